"""The plan for model overrides: the documented twelve steps, and every change with its own diff."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from cco_migrate import config, engine
from cco_migrate.checks import CHECKS
from cco_migrate.config import ConfigName
from cco_migrate.criteria import CRITERIA
from cco_migrate.drivers import DRIVERS
from cco_migrate.errors import InvalidInput
from cco_migrate.judge.criterion import Mode
from cco_migrate.migrations import MIGRATIONS, Inputs
from cco_migrate.migrations.inputs import Verification
from cco_migrate.model import Instance, Plan
from cco_migrate.runs.store import PREFIX
from cco_migrate.soak.terms import Offer, Soak, Waiver, make_soak
from cco_migrate.steps import ACTIONS
from cco_migrate.tasks import steps

FILE = b"""\
[overrides]
enabled = false
rules = [
    ["claude-sonnet-4.5-20250929", "claude-haiku-4-5-20251001"],
]
"""
KNOWN = ("claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001")


@pytest.fixture
def inputs(instance_at: Callable[[str], Instance]) -> Inputs:
    files = dict.fromkeys(ConfigName, None) | {ConfigName.OVERRIDES: FILE}
    return Inputs(
        instance_at("http://127.0.0.1:3000"), files, fix=True, replace=True, known_models=KNOWN,
        verification=Verification(models=(KNOWN[0],), streamed=1),
    )  # fmt: skip


def made(inputs: Inputs) -> Plan:
    return MIGRATIONS["model-overrides"](inputs)


SOAK = make_soak(
    1800, None, "freeze", CRITERIA, (Waiver("error-rate", "ops@host", "no traffic yet"),), Offer()
)


@pytest.mark.parametrize("fix", [True, False])
@pytest.mark.parametrize("swap", [True, False])
@pytest.mark.parametrize("soak", [None, SOAK], ids=["no soak", "soak"])
def test_plan_has_the_documented_steps_and_names_code_that_exists(
    inputs: Inputs, fix: bool, swap: bool, soak: Soak | None
) -> None:
    plan = made(replace(inputs, fix=fix, replace=swap, soak=soak))
    ids = [step.id for step in plan.steps]
    optional = {"fix": fix, "soak": soak is not None}
    assert ids == [name for name in steps.STEPS if optional.get(name, True)]
    numbers = [step.number for step in plan.steps if step.id not in optional]
    assert numbers == list(range(1, 13))
    known = ACTIONS.keys() | CHECKS.keys() | engine.SOAK.keys()
    assert {step.uses for step in (*plan.steps, *plan.way_back)} <= known
    assert plan.step("restart").uses == ("service.replace" if swap else "service.start")
    assert plan.step("stop").uses == ("service.keep" if swap else "service.stop")
    assert len(set(ids) | {step.id for step in plan.way_back}) == len(ids) + len(plan.way_back)


def test_plan_survives_json(inputs: Inputs) -> None:
    plan = made(inputs)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_every_change_has_its_own_diff(inputs: Inputs) -> None:
    fix, enable = made(inputs).changes
    assert '+    ["claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"],' in fix.diff
    assert "enabled" not in [line[1:8] for line in fix.diff.splitlines() if line[0] in "+-"]
    assert "-enabled = false\n+enabled = true\n" in enable.diff


def test_fingerprints_are_those_of_the_files_before_and_after(inputs: Inputs) -> None:
    plan = made(replace(inputs, fix=False))
    after = FILE.replace(b"false", b"true")
    assert plan.fingerprint_before == config.fingerprint(inputs.files)
    assert plan.fingerprint_after == config.fingerprint(
        {**inputs.files, ConfigName.OVERRIDES: after}
    )
    loaded = plan.step("proof").params
    assert (loaded["fingerprint"], loaded["override_rules"]) == (plan.fingerprint_after, 1)
    assert plan.step("back-proof").params["overrides_enabled"] is False


def test_plan_of_what_is_done_already_changes_nothing(inputs: Inputs) -> None:
    files = {**inputs.files, ConfigName.OVERRIDES: FILE.replace(b"false", b"true")}
    plan = made(replace(inputs, files=files, fix=False))
    assert plan.changes == ()
    assert plan.fingerprint_before == plan.fingerprint_after


@pytest.mark.parametrize("data", [None, b"[overrides", b"[overrides]\nenabled = 'yes'\n"])
def test_file_that_cannot_be_planned_from_is_refused(inputs: Inputs, data: bytes | None) -> None:
    with pytest.raises(InvalidInput):
        made(replace(inputs, files={**inputs.files, ConfigName.OVERRIDES: data}))


def test_notes_say_what_is_not_proved(inputs: Inputs) -> None:
    watch = replace(inputs, replace=False, verification=Verification("watch"))
    notes = "\n".join(made(replace(watch, instance=replace(inputs.instance, demo=True))).notes)
    for words in ("watched, not sent", "see no answer while", "demo upstream answers", "quality"):
        assert words in notes


def test_every_migration_has_a_prefix_and_every_table_has_rows() -> None:
    assert MIGRATIONS.keys() <= PREFIX.keys()
    assert DRIVERS.keys() == {"process", "command"}


def test_soak_is_frozen_in_its_step_with_what_was_waived_and_by_whom(inputs: Inputs) -> None:
    plan = made(replace(inputs, soak=SOAK))
    frozen = Soak.from_json(plan.step("soak").params)
    assert frozen == replace(SOAK, fingerprint=plan.fingerprint_after)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))).digest == plan.digest
    assert "waived: error-rate, by ops@host: no traffic yet" in plan.notes
    assert {one.id: one.mode for one in frozen.criteria}["error-rate"] is Mode.OBSERVE
