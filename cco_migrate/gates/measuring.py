"""Measures for a gate: looks before, verification traffic, looks after. Sends bounded requests."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cco_migrate.gates.baseline import against, first_tokens
from cco_migrate.gates.evidence_file import Evidence
from cco_migrate.gates.kept import Kept, together
from cco_migrate.gates.looking import Look, in_short, look_at
from cco_migrate.gates.order import Order
from cco_migrate.gates.phases import CAPTURE
from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.judge.integrity import Invariant
from cco_migrate.judge.moments import Moments
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.ruling import Evidence as Statistics
from cco_migrate.probes.canaries import TOOL_EVERY, canary
from cco_migrate.probes.counters import REQUESTS, Counters, read_counters
from cco_migrate.probes.footprint import log_errors, log_size, record_faults
from cco_migrate.probes.glances import attributed_counters, glance
from cco_migrate.probes.instances import Health, look_at_health
from cco_migrate.probes.records import Record, read_records
from cco_migrate.probes.site import Site
from cco_migrate.probes.streams import Sent, send
from cco_migrate.probes.windows import Window, window_of
from cco_migrate.verdict import Verdict

MIN_WATCH_S = 1.2  # a second of uptime has to pass in between
SETTLE_S = 3.0
MIN_CANARIES = TOOL_EVERY  # evidence of earlier runs spares the others, not the kinds of them

Waiting = Callable[[str, float], None]
"""Says what is awaited, and for how many seconds at most; "" when the wait is over."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """What a daemon on this machine leaves behind.

    Attributes:
        record: Faults of its record of itself.
        log: Errors in its log while the gate measured.
    """

    record: Invariant | Unmeasured
    log: Invariant | Unmeasured


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything a gate measured.

    Attributes:
        readings: Of the counters, in order of time: before, during and after the traffic.
        unsent: Why nothing was sent; empty when something was.
        kept: All looks, and what earlier runs showed.
        window: Of real traffic, by all these looks.
        now: When the measurement ended.
        systems: One look at each other gateway of the fleet, by URL.
        age_s: Seconds from the last look to the end of the measurement.
    """

    before: Look
    after: Look
    readings: tuple[Counters, ...]
    sent: tuple[Sent, ...]
    unsent: str
    records: tuple[Record, ...] | Unmeasured
    daemon: Daemon
    kept: Kept
    window: Window
    now: datetime
    systems: Mapping[str, Health | Unmeasured]
    age_s: float = 0.0

    @property
    def request_ids(self) -> tuple[str | None, ...]:
        """Ids of all answered requests; None for an answer that names none."""
        return tuple(one for sent in self.sent for one in sent.request_ids)


def measure(
    order: Order, site: Site, waiting: Waiting, evidence: Evidence | None = None
) -> Measured:
    """Look, send what the criteria need and no more, and look again.

    Args:
        evidence: Where looks are kept as soon as they are made; None keeps them for this run.
    """
    clock, kept = site.world.clock, evidence or Evidence(Kept(), lambda _line: None)
    log_begin = log_size(order.home)
    before = _watched(order, site, waiting, kept)
    began_s = clock.monotonic()
    unsent = _obstacle(order, before)
    sent, during = ((), ()) if unsent else _sent(order, site, waiting, kept.kept)
    waiting("audit and counters", SETTLE_S)
    ids = [one for exchange in sent for one in exchange.request_ids if one]
    records = read_records(site, ids) if ids else Unmeasured(unsent or "no answer named its id")
    _settle(site, before, len(ids))
    clock.wait_until(lambda: clock.monotonic() - began_s >= MIN_WATCH_S, MIN_WATCH_S)
    after = look_at(site)
    looked_s = clock.monotonic()
    kept.add(in_short(order, site, after, ours=bool(sent)))
    waiting("", 0)
    readings = (before.counters, *during, after.counters)
    return Measured(
        before,
        after,
        tuple(one for one in readings if isinstance(one, Counters)),
        sent,
        unsent,
        records,
        Daemon(record_faults(site, order.home), log_errors(order.home, log_begin)),
        kept.kept,
        window_of(kept.kept.glances),
        clock.now(),
        {url: look_at_health(Site(url, site.world)) for url in order.systems},
        age_s=clock.monotonic() - looked_s,
    )


def rate_of(sent: Sequence[Sent], kept: Kept | None = None) -> Rate:
    """Return how many streams broke the protocol, those of sound runs before this one included.

    A refused credential is no stream at all.
    """
    made = [one for one in sent if not one.refused]
    runs = tuple(kept.sound) if kept else ()
    broken = sum(bool(one.stream.faults) for one in made) + sum(run.broken for run in runs)
    return Rate(broken, len(made) + sum(run.streams for run in runs))


def tokens_of(sent: Sequence[Sent], kept: Kept) -> Mapping[str, Moments]:
    """Return the times to the first token of this run and of sound ones before it."""
    return together(*(run.first_token for run in kept.sound), first_tokens(sent))


def _sent(
    order: Order, site: Site, waiting: Waiting, kept: Kept
) -> tuple[tuple[Sent, ...], tuple[Counters | Unmeasured, ...]]:
    """Send canaries until more would change nothing, and read the counters now and then."""
    sent: list[Sent] = []
    readings: list[Counters | Unmeasured] = []
    run = f"gate-{secrets.token_hex(6)}"
    for number in range(order.streams):
        waiting(f"verification stream {number + 1} of at most {order.streams}", 60)
        sent.append(send(site, canary(number, run=run, model=order.model), order.credential))
        if number % 8 == 7:
            readings.append(attributed_counters(site))
        if sent[-1].refused or _decided(sent, order, kept):
            break
    return tuple(sent), tuple(readings)


def _watched(order: Order, site: Site, waiting: Waiting, kept: Evidence) -> Look:
    """Look for as long as the order says, and keep every look; return the last one."""
    clock, began_s = site.world.clock, site.world.clock.monotonic()
    look = look_at(site)
    kept.add(in_short(order, site, look))
    while (left_s := began_s + order.watch_s - clock.monotonic()) > 0:
        waiting("real traffic", left_s)
        clock.pause(min(order.every_s, left_s))
        if left_s > order.every_s:
            kept.add(glance(site, order.home))
        else:
            look = look_at(site)
            kept.add(in_short(order, site, look))
    return look


def _obstacle(order: Order, look: Look) -> str:
    # The old path has no health endpoint that would have to answer.
    if not look.seen and order.phase != CAPTURE:
        return "the gateway does not answer, so nothing was sent"
    return "" if order.streams else "no verification traffic was asked for"


def _decided(sent: Sequence[Sent], order: Order, kept: Kept) -> bool:
    """Whether more streams would change nothing: the bounds hold however often one looks."""
    streams = order.criterion("stream-conformance")
    if _open(streams, rate_of(sent, kept), order) or len(sent) < MIN_CANARIES:
        return False
    if order.phase == CAPTURE:
        return False  # whatever was asked for makes the baseline better
    if order.baseline is None or not order.asks("latency-ratio"):
        return True
    ratio = against(order.baseline, tokens_of(sent, kept))
    return not _open(order.criterion("latency-ratio"), ratio, order)


def _open(criterion: Criterion, evidence: Statistics, order: Order) -> bool:
    estimate = evidence.estimate(criterion, order.terms)
    verdict = criterion.bounds.decide(estimate.low, estimate.high)
    return estimate.n < criterion.minimum_samples or verdict is Verdict.INCONCLUSIVE


def _settle(site: Site, before: Look, sent: int) -> None:
    """Wait until the counters, summed over workers, know of the last answer."""
    known = None if isinstance(before.counters, Unmeasured) else before.counters.total(REQUESTS)
    if known is None or not sent:
        return

    def counted() -> bool:
        now = read_counters(site, ())
        total = None if isinstance(now, Unmeasured) else now.total(REQUESTS)
        return total is None or total >= known + sent

    site.world.clock.wait_until(counted, SETTLE_S, every_s=0.2)
