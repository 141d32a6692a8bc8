"""The key figures of the cutover, each as it was measured, or why it was not. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from cco_migrate.criteria import CRITERIA
from cco_migrate.model import JsonObject, Plan, Step
from cco_migrate.report.verdicts import criteria_rows
from cco_migrate.runs.journal import RunState
from cco_migrate.verdict import Verdict

KIND = "gateway-cutover"


class Standing(StrEnum):
    """How a key figure stands against its target."""

    MET = "met"
    MISSED = "missed"
    UNDECIDED = "undecided"
    OBSERVED = "observed"  # a figure that no criterion judges
    UNMEASURED = "not measured"


_STANDINGS = {Verdict.GO.value: Standing.MET, Verdict.NO_GO.value: Standing.MISSED}


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, in the unit of its key figure.

    Attributes:
        n: Samples.
        low: The quantity is proved to be at least this; None when nothing is, or it was counted.
        high: The quantity is proved to be at most this; None likewise.
    """

    value: float
    n: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Kpi:
    """One key figure.

    Attributes:
        criterion: Whose evidence tells it.
        figure: Reads it from that evidence; None when there is none in it.
        judged: Whether the verdict of the criterion is that of the figure.
    """

    id: str
    title: str
    quantity: str
    target: str
    unit: str
    criterion: str
    figure: Callable[[JsonObject], Figure | None]
    judged: bool = True


def kpis(plan: Plan, state: RunState) -> list[JsonObject]:
    """Return a row for each key figure and each step that measured it; empty for other kinds.

    A key figure that no step measured has one row, which says why.
    """
    if plan.kind != KIND:
        return []
    told = list(_told(plan, state))
    rows: list[JsonObject] = []
    for kpi in KPIS:
        found = [_row(kpi, step, row) for step, row in told if row["id"] == kpi.criterion]
        asked = [step for step in plan.steps if kpi.criterion in step.params.get("criteria", {})]
        rows += found or [_unmeasured(kpi, asked)]
    return rows


def _told(plan: Plan, state: RunState) -> Iterator[tuple[Step, JsonObject]]:
    for step in plan.steps:
        known = state.steps.get(step.id)
        for row in criteria_rows(step, (known.evidence if known else None) or {}):
            yield step, row


def _row(kpi: Kpi, step: Step, told: JsonObject) -> JsonObject:
    figure = kpi.figure(told)
    standing = _STANDINGS.get(told["verdict"], Standing.UNDECIDED)
    if figure is None:
        standing = Standing.UNMEASURED
    elif not kpi.judged:
        standing = Standing.OBSERVED
    said = told["summary"].removeprefix(f"{kpi.criterion}: ").removeprefix("not measured: ")
    return _as_json(kpi, figure, standing, step.title, said)


def _unmeasured(kpi: Kpi, asked: list[Step]) -> JsonObject:
    why = "no gate or soak of this plan asks it"
    if asked:
        why = f"not reached: {', '.join(step.title for step in asked)}"
    return _as_json(kpi, None, Standing.UNMEASURED, "", why)


def _as_json(
    kpi: Kpi, figure: Figure | None, standing: Standing, where: str, said: str
) -> JsonObject:
    return {
        "kpi": kpi.id,
        "title": kpi.title,
        "quantity": kpi.quantity,
        "target": kpi.target,
        "unit": kpi.unit,
        "value": figure.value if figure else None,
        "n": figure.n if figure else 0,
        "low": figure.low if figure else None,
        "high": figure.high if figure else None,
        "standing": standing.value,
        "where": where,
        "said": said,
    }


def _share(told: JsonObject) -> Figure | None:
    """Read the share, in percent, of what counts against a criterion."""
    if not told["n"] or told["k"] is None:
        return None
    low, high = (_scaled(told[name], 100) for name in ("low", "high"))
    return Figure(100 * told["k"] / told["n"], told["n"], low, high)


def _remaining_share(told: JsonObject) -> Figure | None:
    """Read the share, in percent, of what does not count against a criterion."""
    found = _share(told)
    if found is None:
        return None
    low, high = (None if one is None else 100 - one for one in (found.high, found.low))
    return Figure(100 - found.value, found.n, low, high)


def _logged(told: JsonObject) -> Figure | None:
    """Read the share of requests with exactly one record: a count, which has no interval."""
    found = _remaining_share(told)
    return None if found is None else Figure(found.value, found.n)


def _mean(told: JsonObject) -> Figure | None:
    """Read a mean; its interval is as the judge has it."""
    if not told["n"] or "mean" not in told:
        return None
    return Figure(told["mean"], told["n"], told["low"], told["high"])


def _first_token(told: JsonObject) -> Figure | None:
    """Read the geometric mean in ms over all strata of the new path."""
    arms = [arm["new"] for arm in told.get("arms", {}).values() if arm["new"]["n"]]
    n = sum(arm["n"] for arm in arms)
    if not n:
        return None
    return Figure(1000 * math.exp(math.fsum(a["n"] * a["mean"] for a in arms) / n), n)


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _bound(criterion: str) -> float:
    go = CRITERIA[criterion].bounds.go
    if go is None:
        raise ValueError(f"{criterion} has no bound of GO")
    return go


_BELOW_MS = f"below {_bound('latency-average'):g} ms"

KPIS = (
    Kpi("availability", "Availability", "looks at the health endpoint that it answered; the "
        "interval is the share of the time", f"above {100 - 100 * _bound('availability'):g} %",
        "%", "availability", _remaining_share),
    Kpi("overhead", "Average latency: overhead", "what the gateway adds to a request, mean of "
        "windows of one minute", _BELOW_MS, "ms", "latency-average", _mean),
    Kpi("first-token", "Average latency: first token", "from the request to the first token of "
        "verification streams, geometric mean", _BELOW_MS, "ms", "latency-ratio", _first_token,
        judged=False),
    Kpi("error-rate", "Error rate", "requests that failed, of those their client did not break "
        "off", f"below {100 * _bound('error-rate'):g} %", "%", "error-rate", _share),
    Kpi("logged", "Requests logged: our own", "verification requests with exactly one audit "
        "record, by id", "100 %", "%", "audit-complete", _logged),
    Kpi("logged-real", "Requests logged: all", "requests that a process numbered, with an audit "
        "record of that number", "100 %", "%", "audit-gaps", _logged),
)  # fmt: skip
"""The key figures of the cutover plan; latency is two quantities, each with its name."""
