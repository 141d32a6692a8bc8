"""Plans of a removal, without a repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate.checks import CHECKS
from cco_migrate.model import Instance, Plan
from cco_migrate.removal.manifest import read_manifest
from cco_migrate.removal.planning import Removing, confirmation, plan
from cco_migrate.removal.ways_back import (
    Removed,
    force_push,
    removed_by,
    restore,
    take_back,
    taken_back_by,
)
from cco_migrate.steps import ACTIONS
from cco_migrate.world import Files

DATA = Path(__file__).parents[3] / "data" / "removal"


@pytest.fixture
def given(instance_at: Callable[[str], Instance]) -> Removing:
    manifest = read_manifest(DATA / "removal.toml", Files())
    return Removing(instance_at("http://127.0.0.1:1"), Path("/srv/the daemon"), "c0ffee", manifest)


@pytest.fixture
def removed(given: Removing) -> Removed:
    found = removed_by(plan(given), "gc-1", Path("/runs/gc-1"))
    assert found is not None
    return found


def test_restore_point_comes_before_anything_that_is_removed(given: Removing) -> None:
    made = plan(given)
    ids = [step.id for step in made.steps]
    assert ids[:4] == ["fits", "tag", "bundle", "restorable"]
    assert ids[4:7] == ["branch", "remove-1", "remove-2"]
    assert [step.number for step in made.steps] == [3, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12]
    assert made.step("tag").params["keep"] is True


def test_every_plan_names_code_that_exists_and_survives_json(
    given: Removing, removed: Removed
) -> None:
    plans = (plan(given), take_back(removed, "main", "back"), restore(removed, Path("t")))
    for made in plans:
        assert {step.uses for step in (*made.steps, *made.way_back)} <= ACTIONS.keys() | CHECKS
        assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert plan(given).digest == plans[0].digest


def test_plan_holds_every_patch_so_that_what_was_reviewed_is_what_is_applied(
    given: Removing,
) -> None:
    made = plan(given)
    assert [Path(change.path).name for change in made.changes] == [
        "proxy", "the daemon", "the daemon"
    ]  # fmt: skip
    diffs = [patch["diff"] for step in made.steps for patch in step.params.get("patches", ())]
    assert diffs == [change.diff for change in made.changes if change.diff]


def test_removal_is_read_back_from_its_plan(given: Removing, removed: Removed) -> None:
    assert (removed.repo, removed.branch, removed.tag) == (
        given.repo, given.manifest.branch, given.manifest.tag
    )  # fmt: skip
    assert removed.delete == ("src/daemon/proxy",)
    assert removed.symbols == given.manifest.symbols
    assert removed.bundle == Path("/runs/gc-1/before-removal.bundle")
    back = take_back(removed, "main", "back")
    assert removed_by(back, "rb-1", Path("/runs/rb-1")) is None
    assert (taken_back_by(back), taken_back_by(plan(given))) == ("gc-1", "")


@pytest.mark.parametrize(
    ("groups", "said"),
    [(2, "remove 2 groups from the daemon"), (1, "remove 1 group from the daemon")],
)
def test_confirmation_names_the_repository(given: Removing, groups: int, said: str) -> None:
    manifest = replace(given.manifest, groups=given.manifest.groups[:groups])
    assert confirmation(plan(replace(given, manifest=manifest))) == said


def test_way_back_asks_for_no_typed_words(removed: Removed) -> None:
    assert confirmation(take_back(removed, "main", "back")) == ""


def test_no_step_pushes_and_a_force_push_is_quoted_for_a_shell(
    given: Removing, removed: Removed
) -> None:
    plans = (plan(given), take_back(removed, "main", "back"))
    assert "push" not in str([made.steps for made in plans])
    said = force_push(removed, "origin", "main")
    assert all("git -C '/srv/the daemon' " in line for line in said)
