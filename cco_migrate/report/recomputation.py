"""Every verdict of a journal, judged again from the facts beside it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cco_migrate.checks import CHECKS, Check
from cco_migrate.checks.held_gate import USES as GATE
from cco_migrate.criteria import from_json
from cco_migrate.judge.criterion import Mode
from cco_migrate.model import JsonObject, Plan
from cco_migrate.runs import attestations
from cco_migrate.runs.attestations import Approval
from cco_migrate.runs.journal import Entry, Event
from cco_migrate.soak.check import SoakThrough
from cco_migrate.soak.terms import USES as SOAK
from cco_migrate.verdict import Verdict

JUDGES: Mapping[str, Check] = {**CHECKS, SOAK: SoakThrough()}
_DECIDED = frozenset({Verdict.GO.value, Verdict.NO_GO.value})
_ADDED = frozenset({"verdict", "approved"})
"""What the engine writes beside the facts of a judge."""


@dataclass(frozen=True, slots=True)
class Recomputed:
    """One verdict, judged again.

    Attributes:
        line: Of the journal, counted from 1.
        step: Id of the step.
        told: What the journal says.
        found: What its facts give; None when nothing was measured and so nothing can be judged.
        fault: Why the two do not agree; empty when they do.
    """

    line: int
    step: str
    told: str
    found: Verdict | None
    fault: str = ""


def recompute(plan: Plan, entries: Sequence[Entry]) -> tuple[Recomputed, ...]:
    """Judge every journaled verdict again, with the approvals that held at its time."""
    found: list[Recomputed] = []
    approvals: list[Approval] = []
    for line, entry in enumerate(entries, 1):
        if entry.event is Event.APPROVED:
            approvals.append(Approval.from_json(entry.data))
        elif entry.event is Event.JUDGED:
            found.append(_judged_again(plan, line, entry, approvals))
    return tuple(found)


def _judged_again(plan: Plan, line: int, entry: Entry, approvals: Sequence[Approval]) -> Recomputed:
    evidence: JsonObject = entry.data["evidence"]
    told = str(evidence["verdict"])
    facts = {name: value for name, value in evidence.items() if name not in _ADDED}
    if not facts:  # a check that could not measure leaves none
        fault = "GO without a single fact" if told == Verdict.GO.value else ""
        return Recomputed(line, entry.step, told, None, fault)
    try:
        verdict = _verdict(plan, entry, facts, approvals)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        fault = f"its facts cannot be judged ({error!r})"
        return Recomputed(line, entry.step, told, None, fault)
    fault = "" if verdict.value == told else f"the journal says {told}, its facts give {verdict}"
    return Recomputed(line, entry.step, told, verdict, fault or _gate_fault(plan, entry, facts))


def _verdict(plan: Plan, entry: Entry, facts: JsonObject, approvals: Sequence[Approval]) -> Verdict:
    step = plan.step(entry.step)
    judgement = JUDGES[step.uses].judge(step, facts)
    # A line tells its time cut to the millisecond: it was judged before the end of that one.
    judged_at = datetime.fromisoformat(entry.ts) + timedelta(milliseconds=1)
    return attestations.decided(judgement, approvals, judged_at).verdict


def _gate_fault(plan: Plan, entry: Entry, facts: JsonObject) -> str:
    """Return what a gate says of its criteria that their figures do not; empty when all fits.

    GO and NO-GO are a matter of figures and frozen bounds. Why a criterion is called neither may
    stand outside of them: evidence that is too old, too little, or in doubt.
    """
    step = plan.step(entry.step)
    if step.uses != GATE:
        return ""
    for row in facts.get("criteria", ()):
        asked = from_json(row["id"], step.params["criteria"][row["id"]])
        if row["enforced"] is not (asked.mode is Mode.ENFORCE):
            return f"{row['id']} counts otherwise than the plan says"
        found = asked.bounds.decide(*_interval(row["facts"]))
        if row["verdict"] in _DECIDED and row["verdict"] != found.value:
            return f"{row['id']} is called {row['verdict']}, its figures give {found}"
        stands = row["enforced"] and asked.bounds.go is not None and row["verdict"] != Verdict.GO
        if facts["gate"] == Verdict.GO.value and stands:
            return f"the gate is called GO, its criterion {row['id']} is {row['verdict']}"
    return ""


def _interval(figures: JsonObject) -> tuple[float, float]:
    """Return what a quantity is proved to lie in; a bound that is not known is none."""
    low, high = figures["low"], figures["high"]
    return -math.inf if low is None else low, math.inf if high is None else high
