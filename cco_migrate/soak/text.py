"""A soak for people: the verdict of each criterion, its counts, and when it can decide. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cco_migrate.durations import show_duration
from cco_migrate.judge.criterion import Kind, Mode
from cco_migrate.judge.forecast import Assumption, forecast
from cco_migrate.judge.gate import GateRuling
from cco_migrate.judge.outages import DAY_S
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.ruling import Ruling
from cco_migrate.soak.terms import Soak
from cco_migrate.verdict import Verdict

AWAITED = "the bake time"

_MARKS: Mapping[Mode, str] = {
    Mode.ENFORCE: "",
    Mode.GUARD: " (counts when harm is proved)",
    Mode.OBSERVE: " (observed only)",
}


def live(soak: Soak, gate: GateRuling, elapsed_s: float) -> str:
    """Return what is awaited, and below it a line for each criterion.

    Args:
        elapsed_s: Since the evidence began.
    """
    return "\n".join((AWAITED, *lines(soak, gate, elapsed_s)))


def lines(soak: Soak, gate: GateRuling, elapsed_s: float) -> Iterator[str]:
    """Yield the verdict of each criterion, its counts, and when it can decide."""
    for one in gate.rulings:
        counted = "" if one.k is None else f"{one.k:g}/{one.n:g}"
        left = time_to_verdict(soak, one, elapsed_s)
        mark = "" if one.enforced else _MARKS[one.criterion.mode]
        yield f"{one.verdict.value:<12} {one.criterion.id:<20} {counted:>12}  {left}{mark}".rstrip()


def rows(soak: Soak, gate: GateRuling) -> list[dict[str, object]]:
    """Return each criterion with its verdict and figures, as JSON values: the report's table."""
    waived = {one.criterion: str(one) for one in soak.waivers}
    return [
        {
            "id": one.criterion.id,
            "verdict": one.verdict.value,
            "enforced": one.enforced,
            "k": one.k,
            "n": one.n,
            "traffic": one.criterion.traffic.value,
            "summary": one.summary,
            "waived": waived.get(one.criterion.id, ""),
        }
        for one in gate.rulings
    ]


def time_to_verdict(soak: Soak, ruling: Ruling, elapsed_s: float) -> str:
    """Return when a criterion can decide at the rate its samples came so far; "" when it has."""
    criterion = ruling.criterion
    if ruling.verdict is not Verdict.INCONCLUSIVE:
        return ""
    if ruling.obstacle or criterion.kind is not Kind.RATE:
        return ruling.obstacle
    n, k = round(ruling.n), round(ruling.k or 0)
    per_day = n / elapsed_s * DAY_S if elapsed_s > 0 else 0.0
    assumed = Assumption(per_day, k / n if n else 0.0)
    left = forecast(criterion, assumed, soak.terms, soak.bake_s, Rate(k, n))
    if left.samples.expected is None:
        return "cannot say GO at the share of now"
    needed = f"{left.samples.expected} more requests{left.samples.by_chance}"
    if left.days is None:
        return f"{needed}, and there are none"
    return f"{needed}, about {show_duration(left.days * DAY_S)}"
