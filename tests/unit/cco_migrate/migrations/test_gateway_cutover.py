"""The plans of the gateway cutover: what changes how, which steps there are, what gates ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate import config
from cco_migrate.checks import CHECKS
from cco_migrate.config import ConfigName
from cco_migrate.criteria import CRITERIA
from cco_migrate.engine import SOAK
from cco_migrate.errors import InvalidInput
from cco_migrate.gates.phases import criteria_of
from cco_migrate.migrations import MIGRATIONS, Inputs
from cco_migrate.migrations.gateway_cutover import KIND, PHASES, phase_of
from cco_migrate.migrations.guide import GUIDES
from cco_migrate.migrations.inputs import Cutover, Verification
from cco_migrate.model import Instance, Plan
from cco_migrate.planning.preflight import planned_files
from cco_migrate.removal.manifest import read_manifest
from cco_migrate.removal.planning import Removing
from cco_migrate.soak.terms import Offer, make_soak
from cco_migrate.steps import ACTIONS
from cco_migrate.world import Files

DATA = Path(__file__).parents[3] / "data"
OLD = b'{"gatewayEnabled": false, "proxyEnabled": true}\n'
NEW = b'{"gatewayEnabled": true, "proxyEnabled": false}\n'
SOFT = Cutover(phase=2)


@pytest.fixture
def inputs(instance_at: Callable[[str], Instance]) -> Inputs:
    files = dict.fromkeys(ConfigName, None) | {ConfigName.DAEMON: OLD}
    return Inputs(
        instance_at("http://127.0.0.1:3000"), files, fix=False, replace=True, known_models=(),
        verification=Verification(), cutover=SOFT,
    )  # fmt: skip


def made(inputs: Inputs, data: bytes | None = OLD) -> Plan:
    return MIGRATIONS[KIND](replace(inputs, files={**inputs.files, ConfigName.DAEMON: data}))


STANDBY = Cutover(phase=2, standby=True)


@pytest.mark.parametrize(
    ("cutover", "before", "after"),
    [
        (SOFT, OLD, NEW),
        (SOFT, NEW, NEW),
        (SOFT, None, None),  # the defaults are what is wanted
        (SOFT, b'{"proxyEnabled": true}', b'{"proxyEnabled": false, "gatewayEnabled": true}'),
        (
            SOFT,
            b'{\n  "logLevel": "info",\n  "gateway_enabled": false,\n  "proxyEnabled": true\n}\n',
            b'{\n  "logLevel": "info",\n  "gateway_enabled": true,\n  "proxyEnabled": false\n}\n',
        ),
        (STANDBY, OLD, b'{"gatewayEnabled": true, "proxyEnabled": true}\n'),
        (STANDBY, None, b'{"gatewayEnabled": true, "proxyEnabled": true}\n'),
    ],
)
def test_switches_are_merged_in_place(
    inputs: Inputs, cutover: Cutover, before: bytes | None, after: bytes | None
) -> None:
    inputs = replace(inputs, cutover=cutover)
    plan = made(inputs, before)
    files = {**inputs.files, ConfigName.DAEMON: before}
    changed = planned_files(plan, replace(inputs, files=files))
    assert changed[ConfigName.DAEMON] == after
    assert ("switch" in {step.id for step in plan.steps}) == (before != after)
    assert bool(plan.changes) == (before != after)
    assert plan.fingerprint_before == config.fingerprint(files)
    assert plan.fingerprint_after == config.fingerprint({**files, ConfigName.DAEMON: after})
    assert plan.step("proof").params["fingerprint"] == plan.fingerprint_after


@pytest.mark.parametrize(
    ("swap", "cutover", "missing"),
    [(True, SOFT, set[str]()), (False, Cutover(phase=2, validated="gc-1"), {"validated"})],
)
def test_soft_cutover_has_every_step_and_names_code_that_exists(
    inputs: Inputs, swap: bool, cutover: Cutover, missing: set[str]
) -> None:
    soak = make_soak(1800, None, "rollback", CRITERIA, (), Offer())
    plan = made(replace(inputs, replace=swap, cutover=cutover, soak=soak))
    ids = [step.id for step in plan.steps]
    assert ids == [name for name in GUIDES[KIND] if name not in missing]
    known = ACTIONS.keys() | CHECKS.keys() | SOAK.keys()
    steps = (*plan.steps, *plan.way_back)
    assert {step.uses for step in steps} <= known
    assert len({step.id for step in steps}) == len(steps)
    assert plan.step("restart").uses == ("service.replace" if swap else "service.start")
    assert plan.step("soak").params["fingerprint"] == plan.fingerprint_after


def test_validation_changes_nothing_and_needs_no_way_back(inputs: Inputs) -> None:
    plan = made(replace(inputs, cutover=Cutover()))
    assert (plan.changes, plan.way_back) == ((), ())
    looks = ["validated", "routes", "launcher"]
    assert [step.id for step in plan.steps] == ["backup", "state", *looks, "report"]
    assert plan.step("launcher").params == {"to": "proxy"}
    assert plan.fingerprint_before == plan.fingerprint_after


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        (NEW, ("launcher.leads", {"to": "gateway"})),
        (
            b'{"gatewayEnabled": true, "proxyEnabled": true, "gatewayShare": 25}',
            ("launcher.divides", {"share": 25}),
        ),
        (b'{"gatewayEnabled": false, "proxyEnabled": false}', None),
    ],
)
def test_validation_launches_a_client_the_way_that_is_switched_on(
    inputs: Inputs, data: bytes, asked: tuple[str, object] | None
) -> None:
    plan = made(replace(inputs, cutover=Cutover()), data)
    found = [(step.uses, step.params) for step in plan.steps if step.id == "launcher"]
    assert found == ([asked] if asked else [])


@pytest.mark.parametrize(
    ("before", "in_force", "leads"),
    [
        (OLD, {"gateway": False, "proxy": True}, "proxy"),
        (b'{"proxyEnabled": true}', {"gateway": True, "proxy": True}, "gateway"),
        (b'{"gatewayEnabled": false}', {"gateway": False, "proxy": False}, None),
    ],
)
def test_way_back_proves_where_clients_were_sent_before(
    inputs: Inputs, before: bytes, in_force: dict[str, bool], leads: str | None
) -> None:
    plan = made(inputs, before)
    assert plan.step("back-routes").params == in_force
    launched = [step.params["to"] for step in plan.way_back if step.id == "back-launcher"]
    assert launched == ([leads] if leads else [])


@pytest.mark.parametrize("enabled", [True, False])
def test_overrides_are_in_force_only_while_the_gateway_is_switched_on(
    inputs: Inputs, enabled: bool
) -> None:
    data = f"[overrides]\nenabled = {str(enabled).lower()}\nrules = []\n".encode()
    plan = made(replace(inputs, files={**inputs.files, ConfigName.OVERRIDES: data}))
    assert plan.step("proof").params["overrides_enabled"] is enabled
    assert plan.step("back-proof").params["overrides_enabled"] is False


def test_gates_are_frozen_with_their_criteria_and_survive_json(inputs: Inputs) -> None:
    plan = made(inputs)
    for step_id, phase in (("validated", 1), ("gate", 2)):
        frozen = plan.step(step_id).params
        assert list(frozen["criteria"]) == [one.id for one in criteria_of(phase, {}, carried=True)]
        assert all(row["mode"] == CRITERIA[name].mode for name, row in frozen["criteria"].items()
                   if CRITERIA.get(name))  # fmt: skip
    assert plan.step("gate").params["fingerprint"] == plan.fingerprint_after
    assert plan.step("gate").params["switches"] == [True, False]
    assert plan.step("validated").params["fingerprint"] == plan.fingerprint_before
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))).digest == plan.digest


def test_standby_is_another_way_on_purpose_and_only_observed(inputs: Inputs) -> None:
    modes = {
        standby: made(replace(inputs, cutover=Cutover(phase=2, standby=standby)))
        .step("gate").params["criteria"]["sole-route"]["mode"]
        for standby in (True, False)
    }  # fmt: skip
    assert modes == {True: "observe", False: "enforce"}


def test_demo_observes_what_takes_days_or_people_and_says_so(inputs: Inputs) -> None:
    plan = made(replace(inputs, instance=replace(inputs.instance, demo=True)))
    rows = plan.step("gate").params["criteria"]
    enforced = {name for name, row in rows.items() if row["mode"] == "enforce"}
    at_once = {one.id for one in criteria_of(1, {}, carried=True)}
    assert enforced == at_once | {"start-failures", "sole-route"}
    assert any("only observed" in note for note in plan.notes)


@pytest.fixture
def removing(inputs: Inputs) -> Removing:
    manifest = read_manifest(DATA / "removal" / "removal.toml", Files())
    return Removing(inputs.instance, Path("/srv/daemon"), "c0ffee", manifest)


@pytest.mark.parametrize("phase", PHASES)
def test_phase_is_told_from_its_plan(inputs: Inputs, removing: Removing, phase: int) -> None:
    plan = made(replace(inputs, cutover=Cutover(phase=phase, removing=removing)))
    assert (plan.kind, phase_of(plan)) == (KIND, phase)


def test_hard_cutover_holds_its_gate_before_anything_is_removed(
    inputs: Inputs, removing: Removing
) -> None:
    plan = made(replace(inputs, cutover=Cutover(phase=3, removing=removing)), NEW)
    ids = [step.id for step in plan.steps]
    assert ids[:4] == ["state", "ready", "fits", "tag"]
    assert ids[-1] == "report"
    assert [step.number for step in plan.steps] == sorted(step.number for step in plan.steps)
    assert {step.uses for step in (*plan.steps, *plan.way_back)} <= ACTIONS.keys() | CHECKS.keys()
    assert plan.fingerprint_before == plan.fingerprint_after != ""
    assert plan.step("ready").params["switches"] == [True, False]
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))).digest == plan.digest


@pytest.mark.parametrize(
    ("demo", "observed"),
    [(False, set[str]()), (True, {"critical-bugs", "user-feedback", "team-approval"})],
)
def test_hard_cutover_observes_what_only_days_without_the_proxy_show(
    inputs: Inputs, removing: Removing, demo: bool, observed: set[str]
) -> None:
    asked = replace(inputs, instance=replace(inputs.instance, demo=demo))
    plan = made(replace(asked, cutover=Cutover(phase=3, removing=removing)), NEW)
    rows = plan.step("ready").params["criteria"]
    enforced = {name for name, row in rows.items() if row["mode"] == "enforce"}
    at_once = {one.id for one in criteria_of(1, {}, carried=True)}
    at_once |= {"start-failures", "sole-route", "daemon-record"}
    people = {"critical-bugs", "user-feedback", "team-approval"}
    assert enforced >= at_once | (people - observed)
    assert not enforced & (observed | {"availability", "error-rate", "proxy-removed"})
    assert any("invoke gate --phase 3" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("cutover", "data", "said"),
    [
        (Cutover(phase=7), OLD, "--phase 7"),
        (Cutover(phase=3), NEW, "--phase 3 needs --manifest FILE"),
        (SOFT, b'{"gatewayEnabled": ', "syntax error"),
        (SOFT, b'{"gatewayEnabled": 1}', "gatewayEnabled"),
        (SOFT, b'{"proxyEnabled": true, "proxy_enabled": false}', "means the same"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    inputs: Inputs, cutover: Cutover, data: bytes, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        made(replace(inputs, cutover=cutover), data)
