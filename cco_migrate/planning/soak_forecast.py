"""Can a soak decide within its bake time? Its order from what was typed, and the plan's forecast.

Reads the file of criteria and asks the gateway for its recorded requests.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.context import Context
from cco_migrate.criteria import CRITERIA, read_criteria
from cco_migrate.durations import parse_duration, show_duration
from cco_migrate.errors import InvalidInput
from cco_migrate.gates.checked import read_typed
from cco_migrate.judge.criterion import Criterion, Kind, Mode, Traffic
from cco_migrate.judge.forecast import Assumption, forecast
from cco_migrate.judge.gate import judge_gate
from cco_migrate.judge.outages import DAY_S
from cco_migrate.judge.stopping import Samples
from cco_migrate.migrations import Inputs
from cco_migrate.planning.preflight import Line, Mark
from cco_migrate.session import MigrateOptions
from cco_migrate.soak.counted import MINUTE_S
from cco_migrate.soak.looks import Tally
from cco_migrate.soak.probes import count
from cco_migrate.soak.terms import SOAKED, SYNTHETIC, Offer, Soak, Waiver, make_soak
from cco_migrate.world import Files

WAIVABLE = (*SOAKED, SYNTHETIC)
"""Criteria a person may have observed only."""

_PRESENT_S = 3600.0
_ROWS = 1000
_FIELDS = frozenset({"timestamp", "success", "status", "stream"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed of a soak; empty strings where nothing was.

    Attributes:
        waive: Criteria to observe only.
        why: Their reason, in the operator's words.
        by: Who typed it, user@host.
    """

    bake: str
    interval: str
    on_no_go: str
    criteria: str
    waive: tuple[str, ...]
    why: str
    by: str


@dataclass(frozen=True, slots=True)
class Present:
    """The real traffic of now.

    Attributes:
        span_s: How long it took to come.
        tallies: By criterion.
    """

    span_s: float
    tallies: Mapping[str, Tally]


def order(
    options: MigrateOptions, bake: str, waived: Collection[str], inputs: Inputs, context: Context
) -> Soak | None:
    """Return the soak that was asked for, of this bake time; None when there is none to be.

    Args:
        bake: As it was typed; "" for no soak.
        waived: Names of everything that a person waived.

    Raises:
        InvalidInput: As `ordered`.
    """
    asked = Asked(
        bake=bake,
        interval=options.soak_interval,
        on_no_go=options.on_no_go,
        criteria=options.criteria,
        waive=tuple(sorted(set(waived).intersection(WAIVABLE))),
        why=options.why,
        by=context.world.processes.operator(),
    )
    models = tuple(dict.fromkeys(inputs.verification.models))
    offer = Offer(options.soak_requests, models, inputs.verification.credential)
    return ordered(asked, offer, context.world.files)


def ordered(asked: Asked, offer: Offer, files: Files) -> Soak | None:
    """Return the soak that was asked for; None when none was.

    Raises:
        InvalidInput: An option makes no sense, or belongs to a soak and there is none.
    """
    if not asked.bake:
        if asked.interval or asked.criteria or asked.waive or offer.requests:
            raise InvalidInput(
                "--soak-interval, --soak-requests, --criteria and waived criteria belong to --soak"
            )
        return None
    if asked.waive and not asked.why.strip():
        raise InvalidInput(f"--waive {', '.join(asked.waive)} needs --why: it is in the report")
    if offer.requests and not offer.models:
        raise InvalidInput("--soak-requests: no rule names a model that could be asked for")
    if offer.requests < 0:
        raise InvalidInput(f"--soak-requests {offer.requests}: 0 or more can be sent")
    made = make_soak(
        parse_duration(asked.bake, "--soak"),
        parse_duration(asked.interval, "--soak-interval") if asked.interval else None,
        asked.on_no_go,
        _known(asked.criteria, files),
        tuple(Waiver(name, asked.by, asked.why.strip()) for name in asked.waive),
        offer,
    )
    try:
        judge_gate(made.criteria, {}, made.terms)
    except ValueError as error:
        raise InvalidInput(f"--criteria {asked.criteria}: {error}") from error
    return made


def check_soak(
    soak: Soak, context: Context, *, title: str = "soak", share: float = 1.0
) -> list[Line]:
    """Say when each criterion can decide at the present rate; one that cannot in time is a FAIL.

    Args:
        share: Of the present traffic, above 0 to 1: as much will be seen.
    """
    try:
        rows = context.gateway.audit(limit=_ROWS) or []
    except (Unreachable, NotAGateway):
        rows = []  # another line of the preflight says what is wrong with it
    found = present(rows, context.world.clock.now())
    seen = Present(found.span_s / share, found.tallies)
    return [line for _, line in lines(soak, seen, title)]


def lines(soak: Soak, found: Present, title: str = "soak") -> Iterator[tuple[Criterion, Line]]:
    """Yield each criterion with what is foretold of it, if the traffic stays as it is.

    Args:
        title: What each line begins with.
    """
    for criterion in soak.criteria:
        assumed = assumption(soak, criterion, found)
        predicted = forecast(criterion, assumed, soak.terms, soak.bake_s)
        looks = soak.bake_s / soak.interval_s
        starved = criterion.kind is Kind.OUTAGE and looks < criterion.minimum_samples
        said = _said(criterion, predicted.samples, predicted.days)
        if starved:
            said = f"{criterion.id} needs {criterion.minimum_samples} looks, there are {looks:.0f}"
        decidable = predicted.decidable and not starved
        yield criterion, _line(soak, criterion, f"{title}: {said}", decidable=decidable)


def present(rows: Sequence[Mapping[str, Any]], now: datetime) -> Present:  # Any: JSON
    """Return the traffic of the last hour, or of as much of it as there are records.

    Args:
        rows: Audit entries, the latest first.
    """
    told = [row for row in rows if row.keys() >= _FIELDS]
    ages = [_age_s(row, now) for row in told]
    recent = [row for row, age_s in zip(told, ages, strict=True) if age_s <= _PRESENT_S]
    span_s = min(max(ages, default=_PRESENT_S), _PRESENT_S)
    return Present(max(span_s, 1.0), count(recent))


def assumption(soak: Soak, criterion: Criterion, found: Present) -> Assumption:
    """Return what is taken for granted: that things go on as they are now."""
    looks_per_day = DAY_S / soak.interval_s
    if criterion.kind is Kind.MEAN:
        return Assumption(DAY_S / MINUTE_S)
    if criterion.kind is not Kind.RATE:
        return Assumption(looks_per_day)
    if criterion.traffic is Traffic.SYNTHETIC:
        return Assumption(soak.offer.requests / soak.bake_s * DAY_S)
    tally = found.tallies.get(criterion.id, Tally())
    share = tally.k / tally.n if tally.n else 0.0
    return Assumption(tally.n / found.span_s * DAY_S, share)


def _said(criterion: Criterion, samples: Samples, days: float | None) -> str:
    if samples.expected is None:
        return f"{criterion.id} cannot say GO: as many requests fail now as it allows, or more"
    if criterion.kind is Kind.OUTAGE:
        return f"{criterion.id} decides at the end of the bake time"
    what = {Kind.RATE: "request", Kind.MEAN: "minute"}.get(criterion.kind, "look")
    what += "" if samples.expected == 1 else "s"
    needed = f"{criterion.id} needs {samples.expected} {what}{samples.by_chance}"
    if days is None:
        return f"{needed}, and there are none now"
    return f"{needed}, {show_duration(days * DAY_S)} as they come now"


def _line(soak: Soak, criterion: Criterion, said: str, *, decidable: bool) -> Line:
    bake = f"the bake time is {show_duration(soak.bake_s)}"
    waived = next((str(one) for one in soak.waivers if one.criterion == criterion.id), "")
    if waived:
        return Line(Mark.WARN, f"{said}; {waived}")
    if decidable:
        return Line(Mark.OK, f"{said}; {bake}")
    if criterion.mode is Mode.GUARD:
        return Line(Mark.OK, f"{said}; {bake}: harm takes the change back, GO does not wait for it")
    if criterion.mode is Mode.OBSERVE:
        return Line(Mark.WARN, f"{said}; {bake}, it is observed only")
    accept = f"soak longer, or accept it with --waive {criterion.id} --why WORDS"
    return Line(Mark.FAIL, f"{said}; {bake}: it cannot be decided; {accept}")


def _age_s(row: Mapping[str, Any], now: datetime) -> float:  # Any: JSON
    return (now - datetime.fromisoformat(row["timestamp"])).total_seconds()


def _known(path: str, files: Files) -> Mapping[str, Criterion]:
    """Return the criteria with what the file changes; one that a soak cannot measure is refused."""
    known = read_criteria(read_typed("--criteria", path, files), Path(path))
    if strange := sorted(known.keys() - CRITERIA.keys() - {SYNTHETIC}):
        measured = ", ".join(WAIVABLE)
        raise InvalidInput(
            f"--criteria {path}: no soak measures {', '.join(strange)}; there is: {measured}"
        )
    if SYNTHETIC in known and known[SYNTHETIC].kind is not Kind.RATE:
        raise InvalidInput(f"--criteria {path}: {SYNTHETIC}.kind: is rate, and cannot be changed")
    return known
