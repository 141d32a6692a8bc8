"""The verdict of a gate with what was left out of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cco_migrate.gates.observed import Observed
from cco_migrate.gates.order import Order
from cco_migrate.judge.gate import judge_gate
from cco_migrate.judge.ruling import Ruling
from cco_migrate.model import JsonObject
from cco_migrate.verdict import Verdict

EXIT_CODES: Mapping[Verdict, int] = {
    Verdict.GO: 0,
    Verdict.NO_GO: 3,
    Verdict.INCONCLUSIVE: 4,
    Verdict.HOLD: 5,
}
_SPOILED = (Verdict.GO, Verdict.HOLD)


@dataclass(frozen=True, slots=True)
class Row:
    """One criterion of the gate.

    Attributes:
        notes: What else a person should see; empty when there is nothing.
    """

    ruling: Ruling
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The sentence with its notes."""
        return "; ".join((self.ruling.summary, *self.notes))


@dataclass(frozen=True, slots=True)
class Judged:
    """What the evidence says, before anybody looks at how the tests were run."""

    verdict: Verdict
    summary: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a gate ends with.

    Attributes:
        rows: Of each criterion in the order of the gate; empty when nothing was judged.
        irregular: Why the run does not count as one, e.g. a skipped test; empty for a sound run.
    """

    phase: int
    url: str
    verdict: Verdict
    summary: str
    rows: tuple[Row, ...]
    irregular: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        """Exit code of the verdict."""
        return EXIT_CODES[self.verdict]


def judge(order: Order, observed: Mapping[str, Observed]) -> Judged:
    """Return what the evidence of an order says."""
    samples = {name: one.sample for name, one in observed.items()}
    gate = judge_gate(order.criteria, samples, order.terms)
    rows = tuple(Row(one, observed[one.criterion.id].notes) for one in gate.rulings)
    return Judged(gate.verdict, gate.summary, rows)


def conclude(
    order: Order, judged: Judged | None, executed: Collection[str], irregular: Sequence[str]
) -> Outcome:
    """Return the outcome of a run: GO only when each declared criterion was executed, once.

    Args:
        judged: None when nothing was measured.
        executed: Ids of the criteria whose tests ran to their end.
        irregular: What else happened to tests of the gate: skips, expected failures, deselections.
    """
    declared = [one.id for one in order.criteria]
    missing = [f"{name} was not executed" for name in declared if name not in executed]
    told = tuple(dict.fromkeys((*irregular, *missing)))
    if judged is None:
        why = told or ("nothing was measured",)
        return Outcome(order.phase, order.url, Verdict.INCONCLUSIVE, "; ".join(why), (), why)
    verdict, summary = judged.verdict, judged.summary
    if told and verdict in _SPOILED:
        verdict, summary = Verdict.INCONCLUSIVE, f"not all of the gate was run: {'; '.join(told)}"
    return Outcome(order.phase, order.url, verdict, summary, judged.rows, told)


def to_json(outcome: Outcome) -> JsonObject:
    """Return the verdict file: JSON values only."""
    return {
        "schema_version": 1,
        "phase": outcome.phase,
        "url": outcome.url,
        "verdict": outcome.verdict.value,
        "code": outcome.code,
        "summary": outcome.summary,
        "irregular": list(outcome.irregular),
        "criteria": [_row(row) for row in outcome.rows],
    }


def _row(row: Row) -> JsonObject:
    judgement = row.ruling.judgement()
    return {
        "id": judgement.check,
        "verdict": judgement.verdict.value,
        "enforced": row.ruling.enforced,
        "summary": judgement.summary,
        "notes": list(row.notes),
        "facts": judgement.facts,
    }
