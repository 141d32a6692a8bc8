"""Sends verification streams, bounded, until more of them would change nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cco_migrate.gates.baseline import Pace, Strata, against, pace_of_bursts
from cco_migrate.gates.kept import Kept
from cco_migrate.gates.order import Order
from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.ruling import Evidence as Statistics
from cco_migrate.probes.canaries import TOOL_EVERY, Canary, canary
from cco_migrate.probes.counters import Counters
from cco_migrate.probes.glances import attributed_counters
from cco_migrate.probes.site import Site
from cco_migrate.probes.streams import Burst, Sent, send_burst
from cco_migrate.verdict import Verdict

STREAM_S = 60.0
_READ_EVERY = 3  # bursts between two readings of the counters

Waiting = Callable[[str, float], None]
"""Says what is awaited, and for how many seconds at most; "" when the wait is over."""


@dataclass(frozen=True, slots=True)
class Verified:
    """Verification traffic and the counters that were read during it."""

    bursts: tuple[Burst, ...] = ()
    readings: tuple[Counters | Unmeasured, ...] = ()

    @property
    def sent(self) -> tuple[Sent, ...]:
        """All streams in the order in which they were sent."""
        return tuple(one for burst in self.bursts for one in burst.sent)


def verify(order: Order, site: Site, waiting: Waiting, kept: Kept) -> Verified:
    """Send bursts of canaries, and read the counters now and then.

    A burst does not wait for its own answers, so that a path that handles one request after
    another cannot pass for one that handles them together.

    Args:
        kept: What earlier runs showed, which spares streams.
    """
    bursts: list[Burst] = []
    readings: list[Counters | Unmeasured] = []
    for number, canaries in enumerate(planned(order), 1):
        waiting(f"verification, at most {order.streams} streams", STREAM_S)
        bursts.append(send_burst(site, canaries, order.credential))
        if number % _READ_EVERY == 0:
            readings.append(attributed_counters(site))
        # The bounds hold however often one looks.
        if refused(bursts[-1]) or _decided(pace_of_bursts(bursts) + pace_kept(kept), order):
            break
    return Verified(tuple(bursts), tuple(readings))


def planned(order: Order) -> tuple[tuple[Canary, ...], ...]:
    """Return the canaries of an order, burst by burst: one of every kind in each.

    The last burst may be smaller. No two calls return the same questions: no cache knows them.
    """
    run = f"gate-{secrets.token_hex(6)}"
    made = [canary(number, run=run, model=order.model) for number in range(order.streams)]
    return tuple(
        tuple(made[begin : begin + TOOL_EVERY]) for begin in range(0, len(made), TOOL_EVERY)
    )


def refused(burst: Burst) -> bool:
    """Return whether the credential was not accepted: then nobody needs to ask again."""
    return any(one.refused for one in burst.sent)


def rate_of(sent: Sequence[Sent], kept: Kept | None = None) -> Rate:
    """Return how many streams broke the protocol, those of sound runs before this one included.

    A refused credential is no stream at all.
    """
    made = [one for one in sent if not one.refused]
    earlier = pace_kept(kept) if kept else Pace()
    broken = sum(bool(one.stream.faults) for one in made) + earlier.broken
    return Rate(broken, len(made) + earlier.streams)


def pace_kept(kept: Kept) -> Pace:
    """Return how the gateway answered in sound runs before this one."""
    total = Pace()
    for run in kept.sound:
        total += Pace(run.first_token, run.throughput, run.streams, run.broken)
    return total


def _decided(pace: Pace, order: Order) -> bool:
    """Whether more streams would change nothing."""
    streams = order.criterion("stream-conformance")
    if _open(streams, Rate(pace.broken, pace.streams), order):
        return False
    if order.baseline is None:
        return True
    old = order.baseline.old
    return not (
        _short(order, "latency-ratio", old.first_token, pace.first_token)
        or _short(order, "throughput-ratio", old.throughput, pace.throughput)
    )


def _short(order: Order, name: str, old: Strata, new: Strata) -> bool:
    """Whether a comparison that the gate asks for, and can make, is undecided."""
    if not order.asks(name) or not old:
        return False
    return _open(order.criterion(name), against(old, new), order)


def _open(criterion: Criterion, evidence: Statistics, order: Order) -> bool:
    estimate = evidence.estimate(criterion, order.terms)
    verdict = criterion.bounds.decide(estimate.low, estimate.high)
    return estimate.n < criterion.minimum_samples or verdict is Verdict.INCONCLUSIVE
