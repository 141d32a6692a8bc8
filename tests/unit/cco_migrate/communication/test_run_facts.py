"""What a plan and its journal give a notice: nothing that is not written there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cco_migrate.communication import facts
from cco_migrate.communication.facts import Issue, IssueKind
from cco_migrate.model import (
    Basis,
    Certainty,
    Change,
    DriverSpec,
    Instance,
    JsonObject,
    Observation,
    Plan,
    Step,
)
from cco_migrate.recovery.record import Origin, summed
from cco_migrate.recovery.ways import Taken, Way
from cco_migrate.runs.journal import Entry, Event, RunState, Status, StepState
from cco_migrate.verdict import Verdict

AT = datetime(2026, 11, 21, 14, 3, 11, tzinfo=UTC)
CONFIG = Path("/srv/gateway/config/model-overrides.toml")
SEEN = (
    Observation("exists", Certainty.VERIFIED, "no rule matches; --fix adds one"),
    Observation("exists", Certainty.WARNED, "rule 1 has a dot; --fix adds that rule"),
    Observation("exists", Certainty.WARNED, "rule 2 is no known id"),
    Observation("traffic", Certainty.WARNED, "3 requests would be skipped"),
    Observation("traffic", Certainty.ASSUMED, "the provider never told its limits"),
    Observation("restart", Certainty.VERIFIED, "trial start: loads c7d2"),
)
PLAN = Plan(
    kind="model-overrides",
    instance=Instance("edge", "http://127.0.0.1:1", CONFIG, Path("/srv"), DriverSpec("process")),
    steps=(
        Step(4, "fix", "add dashed twins", "files.edit"),
        Step(5, "validate", "validate", "config.valid"),
        Step(7, "restart", "restart", "service.replace"),
        Step(9, "traffic", "traffic", "traffic.flows"),
    ),
    way_back=(
        Step(0, "back-proof", "proof", "config.loaded"),
        Step(0, "back-clients", "clients", "clients.recovered"),
    ),
    changes=(Change(str(CONFIG), "--- a/x\n+++ b/x\n@@ -1 +1 @@\n [o]\n-old\n+new\n", "enable"),),
    fingerprint_before="a",
    fingerprint_after="b",
    notes=("not checked: quality", "waived: error-rate, by ann: known", "the demo answers"),
    basis=Basis(AT.isoformat(), "0.1", {}, (), SEEN),
)


def state(
    status: Status = Status.OPEN, at: datetime = AT, run: str = "mo-1", **steps: StepState
) -> RunState:
    named = {name.replace("_", "-"): step for name, step in steps.items()}
    return RunState(run, status, AT.isoformat(), at.isoformat(), named, {})


def judged(verdict: str, **found: object) -> StepState:
    return StepState(Event.JUDGED, {}, {"verdict": verdict, **found}, "seen", 0.1)


def applied(**found: object) -> StepState:
    return StepState(Event.APPLIED, {}, found, "done", 0.1)


def texts(issues: tuple[Issue, ...], kind: IssueKind) -> list[str]:
    return [one.text for one in issues if one.kind is kind]


def test_changes_are_the_lines_that_differ() -> None:
    (change,) = facts.changes(PLAN)
    assert (change.file, change.why) == ("model-overrides.toml", "enable")
    assert change.lines == ("-old", "+new")


def test_gates_are_the_checks_that_reached_a_verdict_the_way_back_last() -> None:
    told = state(traffic=judged("HOLD"), back_proof=judged("GO"), restart=applied())
    assert [(one.title, one.verdict) for one in facts.gates(PLAN, told)] == [
        ("traffic", Verdict.HOLD),
        ("way back, proof", Verdict.GO),
    ]


def test_issues_of_a_plan_leave_out_what_it_puts_right() -> None:
    issues = facts.issues(PLAN, None)
    assert texts(issues, IssueKind.WARNED) == [
        "rule 2 is no known id", "3 requests would be skipped",
    ]  # fmt: skip
    assert texts(issues, IssueKind.ASSUMED) == ["the provider never told its limits"]
    assert texts(issues, IssueKind.WAIVED) == ["error-rate, by ann: known"]
    assert texts(issues, IssueKind.NOT_PROVEN) == ["quality"]
    assert texts(issues, IssueKind.NOTED) == ["the demo answers"]
    unfixed = replace(PLAN, steps=PLAN.steps[1:])
    assert len(texts(facts.issues(unfixed, None), IssueKind.WARNED)) == 3


def test_what_the_run_saw_in_the_files_replaces_what_was_seen_before_it() -> None:
    told = state(validate=judged("GO", warnings=[f"{CONFIG}:9: rules[1]: matches nothing"]))
    assert texts(facts.issues(PLAN, told), IssueKind.WARNED) == [
        "3 requests would be skipped",
        "model-overrides.toml:9: rules[1]: matches nothing",
    ]


def test_issues_of_a_run_that_is_done_name_what_is_not_proven() -> None:
    told = state(Status.DONE, traffic=judged("INCONCLUSIVE"))
    items = texts(facts.issues(PLAN, told), IssueKind.NOT_PROVEN)
    assert any("Cost" in text for text in items)
    assert not [text for text in items if "notified" in text]  # that is what a notice does
    assert texts(facts.issues(PLAN, state()), IssueKind.NOT_PROVEN) == ["quality"]


def test_assurances_are_what_was_verified_outside_of_the_files() -> None:
    assert facts.assurances(PLAN) == ("trial start: loads c7d2",)
    assert facts.assurances(replace(PLAN, basis=None)) == ()


def test_recovery_is_the_newest_that_was_measured() -> None:
    later, latest = AT + timedelta(days=1), AT + timedelta(days=2)
    runs = [
        (PLAN, state(run="mo-2", at=later, back_clients=applied(recovered_s=0.7))),
        (PLAN, state(run="mo-1", back_clients=applied(recovered_s=4.0))),
        (PLAN, state(run="mo-3", at=latest, back_clients=applied(recovered_s=0.0))),
        (PLAN, state(run="mo-4", at=latest, back_clients=applied(recovered_s=None))),
        (PLAN, state(run="mo-5", at=latest)),
    ]
    assert facts.recovery("model-overrides", runs) == facts.Recovery(0.7, "run mo-2", later)
    assert facts.recovery("model-overrides", runs[2:]) is None
    assert facts.recovery("gateway-cutover", runs) is None  # another way back


@pytest.mark.parametrize(
    ("taken", "seconds"),
    [
        (tuple(Taken(Way.FLAG, 9.0, float(n)) for n in range(1, 11)), 10.0),
        ((*(Taken(Way.FLAG, 9.0, 1.0),) * 9, Taken(Way.FLAG, 9.0)), None),  # one was not seen
        ((Taken(Way.BACKUP, 9.0, 1.0),) * 10, None),
        ((Taken(Way.FLAG, 31.0, 1.0),) * 10, None),  # a promise that was not kept is no news
    ],
)
def test_recovery_of_a_cutover_may_be_that_of_a_rehearsal(
    taken: tuple[Taken, ...], seconds: float | None
) -> None:
    cutover = replace(PLAN, kind="gateway-cutover")
    rehearsal = summed(Origin(AT, "0.1", "0" * 16, "1" * 16), 10, taken, ())
    of = facts.Recovery(seconds, "95th percentile of 10 rehearsals", AT) if seconds else None
    assert facts.recovery("gateway-cutover", (), rehearsal) == of
    assert facts.recovery("model-overrides", (), rehearsal) is None
    later = AT + timedelta(days=1)
    runs = [(cutover, state(run="gc-1", at=later, back_clients=applied(recovered_s=0.7)))]
    assert facts.recovery("gateway-cutover", runs, rehearsal) == facts.Recovery(
        0.7, "run gc-1", later
    )


@pytest.mark.parametrize(
    ("found", "seconds"), [({"downtime_s": 0.0}, 0.0), ({"downtime_s": None}, None), ({}, None)]
)
def test_downtime_is_what_was_measured_or_unknown(found: JsonObject, seconds: float | None) -> None:
    assert facts.downtime_s(PLAN, state(restart=applied(**found))) == seconds
    assert facts.downtime_s(PLAN, state()) is None


def test_rollbacks_are_the_runs_taken_back_in_the_stretch() -> None:
    week = AT + timedelta(weeks=1)
    states = [
        state(Status.ROLLED_BACK, AT),
        state(Status.ROLLBACK_FAILED, week),
        state(Status.ROLLED_BACK, week + timedelta(seconds=1)),
        state(Status.DONE, AT),
    ]
    assert facts.rollbacks(states, AT, week) == 2


def test_happenings_are_the_lines_people_should_hear_of_since_then() -> None:
    def entry(number: int, event: Event, step: str = "", reason: str = "", **data: object) -> Entry:
        at = AT + timedelta(minutes=number)
        return Entry(number, at.isoformat(), 0, "mo-1", step, event, reason, data)

    entries = [
        entry(0, Event.PLANNED, reason="digest"),
        entry(1, Event.PREPARED, "traffic"),
        entry(2, Event.JUDGED, "traffic", "too few", evidence={"verdict": "HOLD"}),
        entry(3, Event.APPLIED, "restart", "0 refused"),
        entry(4, Event.UNDONE, "restore"),
        entry(5, Event.ROLLED_BACK, reason="asked for"),
    ]
    told = [one.text for one in facts.happenings(entries, PLAN, AT)]
    assert told == [
        "the run began",
        "traffic: HOLD (too few)",
        "restart: done (0 refused)",
        "restore: undone",
        "rolled back; the old state is in place (asked for)",
    ]
    assert facts.happenings(entries, PLAN, AT + timedelta(minutes=6)) == ()
