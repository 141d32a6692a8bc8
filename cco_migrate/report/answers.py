"""What answers an item of a checklist: a step that was taken, or a criterion that was judged. Pure.

Proven is what this run saw. Not proven is what it looked for and did not see, open what nobody has
looked at or said yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cco_migrate.judge.criterion import Kind
from cco_migrate.model import JsonObject, Plan, Step
from cco_migrate.runs.journal import Event, RunState, StepState
from cco_migrate.verdict import Verdict


class Answer(StrEnum):
    """How an item of the checklist is answered."""

    PROVEN = "proven"
    OPEN = "open"
    NOT_PROVEN = "not proven"


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One item of the verification checklist, with what answers it.

    Attributes:
        outlives: Whether it still holds after a rollback: the backup, the report, a person's word.
    """

    text: str
    answer: Answer
    evidence: str
    outlives: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What a run was to do, and what it did."""

    plan: Plan
    state: RunState


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing that speaks for or against an item."""

    answer: Answer
    said: str


Look = Callable[[Found], Proof]
"""Looks for one proof in what a run found."""


def is_good(state: StepState | None) -> bool:
    """Return whether a step was applied, or its check said GO."""
    if state is None or state.event not in {Event.APPLIED, Event.JUDGED}:
        return False
    return bool((state.evidence or {}).get("verdict", "GO") == "GO")


def answered(text: str, proofs: tuple[Proof, ...], *, outlives: bool = False) -> ChecklistItem:
    """Return an item that is proven when all of its proofs are; the worst of them is told."""
    answers = {one.answer for one in proofs}
    worst = next(a for a in (Answer.NOT_PROVEN, Answer.OPEN, Answer.PROVEN) if a in answers)
    said = dict.fromkeys(one.said for one in proofs if one.answer is worst)
    return ChecklistItem(text, worst, "; ".join(said), outlives)


def step_done(*uses: str) -> Look:
    """Look for the steps that are carried out by one of `uses`: every one must have gone well."""

    def look(found: Found) -> Proof:
        steps = [step for step in found.plan.steps if step.uses in uses]
        if not steps:
            return Proof(Answer.OPEN, "no step of this plan looks at it")
        bad = [step for step in steps if not is_good(found.state.steps.get(step.id))]
        if bad:
            return Proof(Answer.NOT_PROVEN, _said(found, bad[0]) or "not reached")
        return Proof(Answer.PROVEN, "; ".join(_said(found, step) for step in steps))

    return look


def step_kept(uses: str) -> Look:
    """Look for what a step left for the way back: it is there after a rollback, too."""

    def look(found: Found) -> Proof:
        known = [found.state.steps.get(one.id) for one in found.plan.steps if one.uses == uses]
        kept = [state for state in known if state is not None and state.evidence is not None]
        if not kept or len(kept) < len(known):
            return Proof(Answer.NOT_PROVEN if known else Answer.OPEN, "not reached")
        return Proof(Answer.PROVEN, "; ".join(state.reason or "kept" for state in kept))

    return look


def criterion_met(name: str) -> Look:
    """Look for a criterion that was judged: in the newest gate or soak that asks it."""

    def look(found: Found) -> Proof:
        row = next((one for one in judged(found) if one["id"] == name), None)
        asked = next((one for one in _asked(found.plan) if name in one), None)
        if row is None:
            lacking = "no gate of this plan asks it" if asked is None else "not reached"
            return Proof(Answer.OPEN if asked is None else Answer.NOT_PROVEN, lacking)
        said = row["summary"].removeprefix(f"{name}: ")
        if row["verdict"] == Verdict.GO.value:
            return Proof(Answer.PROVEN, said)
        person = asked is not None and asked[name]["kind"] == Kind.ATTESTATION.value
        unsaid = person and row["verdict"] == Verdict.INCONCLUSIVE.value
        return Proof(Answer.OPEN if unsaid else Answer.NOT_PROVEN, said)

    return look


def judged(found: Found) -> Iterator[JsonObject]:
    """Yield what gates and soaks say of each of their criteria, the newest step first."""
    for step in reversed(found.plan.steps):
        known = found.state.steps.get(step.id)
        yield from ((known.evidence if known else None) or {}).get("criteria", ())


def facts_of(found: Found, uses: str) -> JsonObject:
    """Return what the last step of this use saw; empty when none saw anything."""
    for step in reversed(found.plan.steps):
        known = found.state.steps.get(step.id)
        if step.uses == uses and known is not None and known.evidence:
            return known.evidence
    return {}


def _asked(plan: Plan) -> Iterator[Mapping[str, JsonObject]]:
    for step in reversed(plan.steps):
        yield step.params.get("criteria", {})


def _said(found: Found, step: Step) -> str:
    known = found.state.steps.get(step.id)
    return known.reason if known else ""
