"""Requests to a run: left by anybody, kept until they are met, and seen by every wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from cco_migrate.errors import Aborted, Held
from cco_migrate.runs.control import Control, Wish, watched
from cco_migrate.world import World


@pytest.fixture
def control(tmp_path: Path, world: World) -> Control:
    return Control(tmp_path, world)


@pytest.mark.parametrize("wish", Wish)
def test_request_is_found_until_it_is_withdrawn(control: Control, wish: Wish) -> None:
    assert control.asked(wish) is None
    asked = control.ask(wish, "lunch")
    assert control.asked(wish) == asked
    assert str(asked) == f"by {asked.by} at {asked.at} (lunch)"
    for other in set(Wish) - {wish}:
        assert control.asked(other) is None
    control.withdraw(wish)
    assert control.asked(wish) is None
    control.withdraw(wish)


def test_first_request_is_kept(control: Control) -> None:
    first = control.ask(Wish.HOLD, "first")
    assert control.ask(Wish.HOLD, "second") == first


@pytest.mark.parametrize("text", ["", "[]", "{}", "17", "not json", '{"by": "a"}'])
def test_damaged_request_holds_the_run_and_names_its_file(
    control: Control, tmp_path: Path, text: str
) -> None:
    (tmp_path / "abort.request.json").write_text(text)
    with pytest.raises(Held, match=r"abort\.request\.json: not a request") as raised:
        control.asked(Wish.ABORT)
    assert raised.value.next_command == f"rm {tmp_path / 'abort.request.json'}"


def test_every_wait_on_a_watched_clock_ends_at_an_abort(control: Control, world: World) -> None:
    clock = watched(world, control.refuse_when_aborted).clock
    assert not clock.wait_until(lambda: False, 0.02, every_s=0.01)
    control.ask(Wish.HOLD, "")
    assert not clock.wait_until(lambda: False, 0.02, every_s=0.01)
    control.ask(Wish.ABORT, "wrong window")
    with pytest.raises(Aborted, match=r"aborted by .*wrong window"):
        clock.wait_until(lambda: False, 60)
