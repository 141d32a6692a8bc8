"""The checklist of each phase of the cutover, answered by what its run saw, or left open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate.criteria import to_json
from cco_migrate.gates.phases import PHASES as GATES
from cco_migrate.gates.phases import TABLE, criteria_of
from cco_migrate.model import DriverSpec, Instance, JsonObject, Plan, Step
from cco_migrate.report import Answer, checklist
from cco_migrate.report.cutover_checklist import PHASES
from cco_migrate.runs.journal import Event, RunState, Status, StepState

NONE: JsonObject = {}
USES: dict[int, dict[str, str]] = {
    1: {"backup": "files.backup", "state": "switches.state", "validated": "gate.held",
        "routes": "switches.in-force", "launcher": "launcher.leads"},
    2: {"backup": "files.backup", "state": "switches.state", "switch": "files.edit-or-create",
        "validate": "config.valid", "proof": "config.loaded", "routes": "switches.in-force",
        "launcher": "launcher.leads", "gate": "gate.held"},
    3: {"state": "switches.state", "ready": "gate.held", "fits": "removal.fits", "tag": "git.tag",
        "bundle": "git.bundle", "restorable": "removal.restorable", "branch": "git.branch",
        "remove-1": "git.remove", "remove-2": "git.remove", "references": "removal.references",
        "tests": "removal.commands", "revertible": "removal.revertible"},
}  # fmt: skip
FACTS: dict[str, JsonObject] = {
    "state": {"gateway_port": 3000},
    "references": {"documents_count": 0},
}
CLOSING = ("Migration report created", "Team notified of the change")


def planned(phase: int, notes: tuple[str, ...] = ("the gate of phase 1 was GO",)) -> Plan:
    criteria = {one.id: to_json(one) for one in criteria_of(phase, {})}
    params: dict[str, JsonObject] = {
        "gate.held": {"phase": phase, "criteria": criteria},
        "switches.in-force": {"gateway": True, "proxy": False},
    }
    steps = tuple(
        Step(number, name, name, uses, params.get(uses, NONE))
        for number, (name, uses) in enumerate(USES[phase].items(), 1)
    )
    at = Instance("here", "http://127.0.0.1:1", Path("/c"), Path("/h"), DriverSpec("process"))
    return Plan("gateway-cutover", at, steps, (), (), "f0", "f1", notes)


def gone(plan: Plan, **changed: StepState) -> RunState:
    """A run whose every step went well, but for those that are named."""
    rows = [{"id": name, "verdict": "GO", "summary": f"{name}: as it should be"} for name in TABLE]
    steps = {
        step.id: StepState(
            event=Event.JUDGED,
            reason=f"{step.id} is well",
            evidence={"verdict": "GO", **FACTS.get(step.id, NONE)}
            | ({"criteria": rows} if step.uses == "gate.held" else {}),
        )
        for step in plan.steps
    }
    found = {name.replace("_", "-"): one for name, one in changed.items()}
    return RunState("gc-1", Status.DONE, "", "", steps | found, {})


def answers(plan: Plan, state: RunState) -> dict[str, Answer]:
    return {item.text: item.answer for item in checklist(plan, state)}


@pytest.mark.parametrize("phase", PHASES)
def test_run_that_saw_everything_proves_every_item(phase: int) -> None:
    plan = planned(phase)
    found = answers(plan, gone(plan))
    last = found.pop("Team notified of the change")
    assert last is Answer.OPEN
    assert set(found.values()) == {Answer.PROVEN}
    assert all(item.evidence for item in checklist(plan, gone(plan)))


@pytest.mark.parametrize("phase", PHASES)
def test_run_that_saw_nothing_proves_nothing(phase: int) -> None:
    plan = planned(phase, notes=())
    nothing = RunState("gc-1", Status.OPEN, "", "", {}, {})
    items = {item.text: item for item in checklist(plan, nothing) if item.text not in CLOSING}
    assert Answer.PROVEN not in {item.answer for item in items.values()}
    asked = [one.text for one in PHASES[phase] if not one.only_with]
    assert list(items) == asked


@pytest.mark.parametrize("phase", PHASES)
def test_each_criterion_that_is_asked_for_is_one_of_the_gate(phase: int) -> None:
    """A checklist that asks what the gate of its phase does not would stay open for ever."""
    plan = planned(phase)
    for name in GATES[phase]:
        rows = [{"id": name, "verdict": "NO-GO", "summary": f"{name}: it is not"}]
        gate = plan.steps[list(USES[phase].values()).index("gate.held")]
        state = gone(plan)
        lacking = replace(state.steps[gate.id], evidence={"verdict": "NO-GO", "criteria": rows})
        found = checklist(plan, replace(state, steps={**state.steps, gate.id: lacking}))
        told = [item.answer for item in found if "it is not" in item.evidence]
        assert set(told) <= {Answer.NOT_PROVEN}
    open_items = [
        item.text
        for item in checklist(plan, gone(plan))
        if "no gate of this plan asks it" in item.evidence
    ]
    assert open_items == []


FAILED = StepState(event=Event.JUDGED, reason="it is not", evidence={"verdict": "NO-GO"})
CASES: dict[str, tuple[int, dict[str, StepState], str]] = {
    "old proxy": (2, {"routes": FAILED}, "The daemon runs without the old proxy"),
    "launcher": (2, {"launcher": FAILED},
                 "Switches and launcher leave no other way than the gateway"),
    "build": (3, {"tests": FAILED}, "The code builds, and its tests pass without it"),
    "references": (3, {"references": FAILED}, "Nothing refers to what was removed"),
    "one removal": (3, {"remove-2": FAILED}, "The old proxy is removed on a branch of its own"),
    "restore": (3, {"restorable": FAILED},
                "The repository was restored from that bundle, and its tests passed there"),
    "revert": (3, {"revertible": FAILED}, "A revert of the removal was rehearsed, tests included"),
}  # fmt: skip


@pytest.mark.parametrize(("phase", "changed", "text"), CASES.values(), ids=CASES)
def test_step_that_failed_answers_its_item(
    phase: int, changed: dict[str, StepState], text: str
) -> None:
    plan = planned(phase)
    items = {item.text: item for item in checklist(plan, gone(plan, **changed))}
    assert items[text].answer is Answer.NOT_PROVEN
    assert items[text].evidence.startswith("it is not")


def test_documents_that_speak_of_the_removed_are_told() -> None:
    plan = planned(3)
    left = StepState(event=Event.JUDGED, reason="no reference is left",
                     evidence={"verdict": "GO", "documents_count": 3})  # fmt: skip
    items = {item.text: item for item in checklist(plan, gone(plan, references=left))}
    assert items["Documents are rewritten"].evidence == "3 places in documents still speak of it"
    assert items["Nothing refers to what was removed"].answer is Answer.PROVEN


def test_standby_leaves_the_old_path_open_on_purpose() -> None:
    plan = planned(2)
    kept = tuple(
        replace(step, params={"gateway": True, "proxy": True})
        if step.uses == "switches.in-force" else step
        for step in plan.steps
    )  # fmt: skip
    items = {i.text: i for i in checklist(replace(plan, steps=kept), gone(plan))}
    found = items["The daemon runs without the old proxy"]
    assert (found.answer, "standby" in found.evidence) == (Answer.OPEN, True)


def test_old_path_that_serves_only_during_the_canary_is_closed_at_the_end() -> None:
    plan = planned(2)
    both = Step(3, "canary-5-routes", "ports", "switches.in-force", {"proxy": True})
    divided = Step(3, "canary-5-launcher", "launcher", "launcher.divides")
    plan = replace(plan, steps=(both, divided, *plan.steps))
    found = answers(plan, gone(plan))
    assert found["The daemon runs without the old proxy"] is Answer.PROVEN
    assert found["Each share of the canary was drawn as planned"] is Answer.PROVEN


def test_person_who_has_not_spoken_leaves_an_item_open() -> None:
    plan = planned(2)
    rows = [{"id": "launcher-refuses", "verdict": "INCONCLUSIVE",
             "summary": "launcher-refuses: nobody was asked"}]  # fmt: skip
    gate = StepState(event=Event.JUDGED, reason="", evidence={"verdict": "HOLD", "criteria": rows})
    items = {item.text: item for item in checklist(plan, gone(plan, gate=gate))}
    found = items["The launcher refuses in plain words while the gateway is away"]
    assert (found.answer, found.evidence) == (Answer.OPEN, "nobody was asked")
    assert items["Each request is in the audit, once"].answer is Answer.NOT_PROVEN


def test_soak_is_asked_for_only_when_the_plan_has_one() -> None:
    text = "The change held for its bake time"
    plan = planned(2)
    assert text not in answers(plan, gone(plan))
    soak = Step(12, "soak", "soak", "soak.judged")
    longer = replace(plan, steps=(*plan.steps, soak))
    assert answers(longer, gone(plan))[text] is Answer.NOT_PROVEN
    assert answers(longer, gone(longer))[text] is Answer.PROVEN


def test_rollback_leaves_only_what_outlives_it() -> None:
    plan = planned(3)
    left = {name: StepState(event=Event.UNDONE, evidence={}) for name in ("tag", "bundle")}
    back = replace(gone(plan, **left), status=Status.ROLLED_BACK)
    proven = [text for text, answer in answers(plan, back).items() if answer is Answer.PROVEN]
    assert proven == [*(one.text for one in PHASES[3] if one.outlives), CLOSING[0]]


def test_restore_point_that_was_never_made_is_not_kept() -> None:
    plan = planned(3)
    items = {i.text: i for i in checklist(plan, gone(plan, bundle=StepState()))}
    found = items["Tag and bundle of the last commit with the old proxy are made"]
    assert (found.answer, found.evidence) == (Answer.NOT_PROVEN, "not reached")


def test_plan_of_no_phase_is_asked_step_by_step(instance_at: Callable[[str], Instance]) -> None:
    plan = replace(planned(1), steps=(Step(1, "state", "current state", "switches.state"),))
    assert [item.text for item in checklist(plan, gone(plan))] == ["current state", *CLOSING]
