"""Plans of a removal, without a repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cco_migrate.checks import CHECKS
from cco_migrate.model import Instance, Plan
from cco_migrate.removal.manifest import read_manifest
from cco_migrate.removal.planning import (
    Removing,
    confirmation,
    force_push,
    plan,
    restore,
    take_back,
)
from cco_migrate.steps import ACTIONS
from cco_migrate.world import Files

DATA = Path(__file__).parents[3] / "data" / "removal"


@pytest.fixture
def given(instance_at: Callable[[str], Instance]) -> Removing:
    manifest = read_manifest(DATA / "removal.toml", Files())
    return Removing(instance_at("http://127.0.0.1:1"), Path("/srv/the daemon"), "c0ffee", manifest)


def test_restore_point_comes_before_anything_that_is_removed(given: Removing) -> None:
    made = plan(given)
    ids = [step.id for step in made.steps]
    assert ids[:4] == ["fits", "tag", "bundle", "restorable"]
    assert ids[4:7] == ["branch", "remove-1", "remove-2"]
    assert [step.number for step in made.steps] == list(range(1, len(ids) + 1))
    assert made.step("tag").params["keep"] is True


def test_every_plan_names_code_that_exists_and_survives_json(given: Removing) -> None:
    plans = (
        plan(given), take_back(given, "main", "back"), restore(given, Path("b"), Path("t"))
    )  # fmt: skip
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


def test_confirmation_names_the_repository(given: Removing) -> None:
    assert confirmation(given) == "remove 2 groups from the daemon"


def test_no_step_pushes_and_a_force_push_is_quoted_for_a_shell(given: Removing) -> None:
    plans = (plan(given), take_back(given, "main", "back"))
    assert "push" not in str([made.steps for made in plans])
    assert all("git -C '/srv/the daemon' " in line for line in force_push(given, "origin", "main"))
