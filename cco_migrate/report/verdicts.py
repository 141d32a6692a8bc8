"""Every verdict of a run with its figures: of each check, and of each criterion of a soak. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cco_migrate.checks import CHECKS
from cco_migrate.judge.gate import judge_gate
from cco_migrate.model import JsonObject, Plan, Step
from cco_migrate.runs.journal import RunState
from cco_migrate.soak.evidence import samples
from cco_migrate.soak.terms import USES as SOAK
from cco_migrate.soak.terms import Soak

FIGURES = ("k", "n", "low", "high", "margin", "unit", "go", "no_go")
"""What a criterion's figures are called: counted against, of how many, the interval the quantity is
proved to lie in, the distance to the GO bound, the unit, and both bounds. Null where there is none.
"""


def verdicts(plan: Plan, state: RunState) -> list[JsonObject]:
    """Return a row for each check that was judged, those of its criteria below it."""
    found: list[JsonObject] = []
    for step in (*plan.steps, *plan.way_back):
        known = state.steps.get(step.id)
        if known is None or not known.evidence or "verdict" not in known.evidence:
            continue
        found.append(
            _row(step, "", known.evidence["verdict"], known.reason, _counts(known.evidence))
        )
        found.extend(_criteria(step, known.evidence))
    return found


def criteria_rows(step: Step, evidence: JsonObject) -> Iterator[JsonObject]:
    """Yield what a gate or a soak says of each criterion, with every figure it rests on."""
    figures = _soak_figures(step, evidence)
    for one in evidence.get("criteria", ()):
        yield {**one, **one.get("facts", {}), **figures.get(one["id"], {})}


def newest(plan: Plan, state: RunState, criterion: str) -> JsonObject:
    """Return what the last step that asks a criterion says of it; empty when none was judged."""
    for step in reversed(plan.steps):
        known = state.steps.get(step.id)
        for row in criteria_rows(step, (known.evidence if known else None) or {}):
            if row["id"] == criterion:
                return row
    return {}


def waived(plan: Plan) -> list[JsonObject]:
    """Return what is only observed because a person said so before the first sample."""
    soaks = [Soak.from_json(step.params) for step in plan.steps if step.uses == SOAK]
    return [
        {"what": one.criterion, "by": one.by, "why": one.why}
        for soak in soaks
        for one in soak.waivers
    ]


def is_judged(step: Step) -> bool:
    """Return whether a step is a check: it changes nothing and ends with a verdict."""
    return step.uses in CHECKS or step.uses == SOAK


def _criteria(step: Step, evidence: JsonObject) -> Iterator[JsonObject]:
    for one in criteria_rows(step, evidence):
        summary = one["summary"].removeprefix(f"{one['id']}: ")
        row = _row(step, one["id"], one["verdict"], summary, one)
        yield {**row, "enforced": one["enforced"], "waived": one.get("waived", "")}


def _soak_figures(step: Step, evidence: JsonObject) -> Mapping[str, JsonObject]:
    """Return the figures of a soak's criteria, judged again from the journaled statistics."""
    if step.uses != SOAK or "statistics" not in evidence:
        return {}
    soak = Soak.from_json(step.params)
    gate = judge_gate(soak.criteria, samples(soak, evidence["statistics"]), soak.terms)
    return {one.criterion.id: one.judgement().facts for one in gate.rulings}


def _counts(evidence: JsonObject) -> JsonObject:
    """Return how many answers of the verification traffic were wrong, of how many."""
    if "faults" not in evidence or "sent" not in evidence:
        return {}
    return {"k": len(evidence["faults"]), "n": evidence["sent"], "unit": "answers"}


def _row(step: Step, criterion: str, verdict: str, summary: str, figures: JsonObject) -> JsonObject:
    return {
        "step": step.id,
        "title": step.title,
        "criterion": criterion,
        "verdict": verdict,
        "enforced": True,
        "summary": summary,
        "waived": "",
        "traffic": figures.get("traffic") or "",
        **{name: figures.get(name) for name in FIGURES},
    }
