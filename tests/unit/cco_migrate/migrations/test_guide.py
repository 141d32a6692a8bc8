"""Every step that any plan can have is explained to people, and nothing else is."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cco_migrate.config import ConfigName
from cco_migrate.criteria import CRITERIA
from cco_migrate.migrations import MIGRATIONS, Inputs
from cco_migrate.migrations.gateway_cutover import KIND
from cco_migrate.migrations.guide import GUIDES, guide_of
from cco_migrate.migrations.guide.gateway_cutover import CANARY
from cco_migrate.migrations.guide.hard_cutover import HARD
from cco_migrate.migrations.guide.words import Commands, Guide
from cco_migrate.migrations.inputs import Canary, Cutover, Verification
from cco_migrate.model import Instance
from cco_migrate.removal.manifest import read_manifest
from cco_migrate.removal.planning import Removing
from cco_migrate.soak.terms import Offer, Soak, make_soak
from cco_migrate.world import Files

DATA = Path(__file__).parents[3] / "data"
OLD = b'{"gatewayEnabled": false, "proxyEnabled": true}\n'
EVERY = [one for table in (*GUIDES.values(), CANARY, HARD) for one in table.values()]


def soak() -> Soak:
    return make_soak(1800, None, "rollback", CRITERIA, (), Offer())


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_each_step_of_each_phase_is_explained(
    instance_at: Callable[[str], Instance], phase: int
) -> None:
    at = instance_at("http://127.0.0.1:3000")
    manifest = read_manifest(DATA / "removal" / "removal.toml", Files())
    cutover = Cutover(
        phase=phase, canary=Canary((5, 25), soak()) if phase == 2 else None,
        removing=Removing(at, Path("/srv/daemon"), "c0ffee", manifest),
    )  # fmt: skip
    files = dict.fromkeys(ConfigName, None) | {ConfigName.DAEMON: OLD}
    plan = MIGRATIONS[KIND](
        Inputs(at, files, fix=False, replace=True, known_models=(), verification=Verification(),
               cutover=cutover, soak=soak())
    )  # fmt: skip
    assert [step.id for step in plan.steps if guide_of(KIND, step.id) is None] == []
    ids = {re.sub(r"\Aremove-\d+\Z", "remove", step.id) for step in plan.steps}
    assert phase != 3 or HARD.keys() <= ids


def test_what_no_plan_has_is_not_explained() -> None:
    assert guide_of(KIND, "nothing") is None
    assert guide_of("model-overrides", "ready") is None


@pytest.mark.parametrize("guide", EVERY)
def test_words_are_whole_sentences(guide: Guide) -> None:
    for said in (guide.does, guide.expect, guide.if_not):
        assert said == "" or said.endswith(".")


@pytest.mark.parametrize(
    "commands", [one.by_hand for one in EVERY if isinstance(one.by_hand, Commands)]
)
def test_what_is_not_run_promises_nothing(commands: Commands) -> None:
    assert "```" not in commands.run
    assert not (commands.not_run and (commands.prints or commands.code))
