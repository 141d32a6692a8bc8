"""Measures for a gate: looks before, verification traffic, looks after. Sends bounded requests."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cco_migrate.gates.order import Order
from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.terms import Terms
from cco_migrate.probes.canaries import canary
from cco_migrate.probes.counters import REQUESTS, Counters, read_counters
from cco_migrate.probes.instances import Health, Process, look_at_health, processes, providers
from cco_migrate.probes.records import Record, read_records
from cco_migrate.probes.site import Site
from cco_migrate.probes.streams import Sent, send
from cco_migrate.verdict import Verdict

HEALTH_LOOKS = 8  # each over a connection of its own, so that several workers answer
MIN_WATCH_S = 1.2  # a second of uptime has to pass in between
SETTLE_S = 3.0

Waiting = Callable[[str, float], None]
"""Says what is awaited, and for how many seconds at most; "" when the wait is over."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the gateway said of itself at one time."""

    health: tuple[Health | Unmeasured, ...]
    processes: tuple[Process, ...] | Unmeasured
    providers: Mapping[str, bool] | Unmeasured
    counters: Counters | Unmeasured

    @property
    def seen(self) -> tuple[Health, ...]:
        """The looks at health that were answered."""
        return tuple(one for one in self.health if isinstance(one, Health))


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything a gate measured.

    Attributes:
        readings: Of the counters, in order of time: before, during and after the traffic.
        unsent: Why nothing was sent; empty when something was.
        age_s: Seconds from the last look to the end of the measurement.
    """

    before: Look
    after: Look
    readings: tuple[Counters, ...]
    sent: tuple[Sent, ...]
    unsent: str
    records: tuple[Record, ...] | Unmeasured
    age_s: float = 0.0

    @property
    def request_ids(self) -> tuple[str | None, ...]:
        """Ids of all answered requests; None for an answer that names none."""
        return tuple(one for sent in self.sent for one in sent.request_ids)


def measure(order: Order, site: Site, waiting: Waiting) -> Measured:
    """Look, send what the criteria need and no more, and look again."""
    clock, run = site.world.clock, f"gate-{secrets.token_hex(6)}"
    before = _look(site)
    began_s = clock.monotonic()
    unsent = _obstacle(order, before)
    readings, sent = [before.counters], []
    for number in range(0 if unsent else order.streams):
        waiting(f"verification stream {number + 1} of at most {order.streams}", 60)
        sent.append(send(site, canary(number, run=run, model=order.model), order.credential))
        if number % 8 == 7:
            readings.append(_reading(site))
        if sent[-1].refused or _decided(sent, order.criterion("stream-conformance"), order.terms):
            break
    waiting("audit and counters", SETTLE_S)
    ids = [one for exchange in sent for one in exchange.request_ids if one]
    records = read_records(site, ids) if ids else Unmeasured(unsent or "no answer named its id")
    _settle(site, before, len(ids))
    clock.wait_until(lambda: clock.monotonic() - began_s >= MIN_WATCH_S, MIN_WATCH_S)
    after = _look(site)
    looked_s = clock.monotonic()
    readings.append(after.counters)
    waiting("", 0)
    counted = tuple(one for one in readings if isinstance(one, Counters))
    age_s = clock.monotonic() - looked_s
    return Measured(before, after, counted, tuple(sent), unsent, records, age_s)


def rate_of(sent: list[Sent] | tuple[Sent, ...]) -> Rate:
    """Return how many streams broke the protocol; a refused credential is no stream at all."""
    made = [one for one in sent if not one.refused]
    return Rate(sum(bool(one.stream.faults) for one in made), len(made))


def _look(site: Site) -> Look:
    health = tuple(look_at_health(site) for _ in range(HEALTH_LOOKS))
    found = processes(site)
    return Look(health, found, providers(site), _reading(site))


def _reading(site: Site) -> Counters | Unmeasured:
    """Read the counters with the processes they belong to."""
    boots = _boots(site)
    counters = read_counters(site, boots)
    if _boots(site) != boots:
        return Unmeasured("workers were replaced while the counters were read")
    return counters


def _boots(site: Site) -> tuple[str, ...]:
    found = processes(site)
    return () if isinstance(found, Unmeasured) else tuple(one.boot_id for one in found)


def _obstacle(order: Order, look: Look) -> str:
    if not look.seen:
        return "the gateway does not answer, so nothing was sent"
    return "" if order.streams else "no verification traffic was asked for"


def _decided(sent: list[Sent], criterion: Criterion, terms: Terms) -> bool:
    """Whether more streams would change nothing: the bounds hold however often one looks."""
    estimate = rate_of(sent).estimate(criterion, terms)
    verdict = criterion.bounds.decide(estimate.low, estimate.high)
    return len(sent) >= criterion.minimum_samples and verdict is not Verdict.INCONCLUSIVE


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
