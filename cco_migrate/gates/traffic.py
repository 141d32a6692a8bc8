"""What looks at a gateway over a window make evidence of, and both paths compared. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cco_migrate.gates.baseline import Pace, Strata, against
from cco_migrate.gates.measured import Measured
from cco_migrate.gates.observed import Observed, few
from cco_migrate.gates.order import Order
from cco_migrate.judge.gate import Sample, Unmeasured
from cco_migrate.judge.integrity import Invariant
from cco_migrate.judge.ruling import Conditions
from cco_migrate.judge.ruling import Evidence as Statistics
from cco_migrate.probes.glances import time_text
from cco_migrate.probes.windows import (
    error_rate,
    growth_means,
    outages,
    overhead_means,
    streaming_failures,
)


def _streams(measured: Measured, order: Order) -> Observed:
    return _seen(streaming_failures(measured.window), measured, _since(measured))


def _errors(measured: Measured, order: Order) -> Observed:
    return _seen(error_rate(measured.window), measured, _since(measured))


def _overhead(measured: Measured, order: Order) -> Observed:
    return _seen(overhead_means(measured.window), measured)


def _availability(measured: Measured, order: Order) -> Observed:
    return _seen(outages(measured.kept.glances, order.every_s), measured)


def _latency(measured: Measured, order: Order) -> Observed:
    return _compared(measured, order, lambda pace: pace.first_token)


def _throughput(measured: Measured, order: Order) -> Observed:
    return _compared(measured, order, lambda pace: pace.throughput)


def _restarts(measured: Measured, order: Order) -> Observed:
    window = measured.window
    if not window.compared:
        return Observed(Unmeasured("the counters were read once"))
    return _seen(Invariant(window.compared, few(window.restarts)), measured)


def _memory(measured: Measured, order: Order) -> Observed:
    return _seen(growth_means(measured.kept.glances, lambda one: one.memory_bytes), measured)


def _disk(measured: Measured, order: Order) -> Observed:
    return _seen(growth_means(measured.kept.glances, lambda one: one.disk_bytes), measured)


EVIDENCE: Mapping[str, Callable[[Measured, Order], Observed]] = {
    "streaming-failures": _streams,
    "error-rate": _errors,
    "availability": _availability,
    "latency-ratio": _latency,
    "throughput-ratio": _throughput,
    "latency-average": _overhead,
    "process-restarts": _restarts,
    "memory-growth": _memory,
    "disk-growth": _disk,
}
"""Who makes the evidence of a criterion from a window."""


def _compared(measured: Measured, order: Order, of: Callable[[Pace], Strata]) -> Observed:
    """Compare how the two paths answered verification streams."""
    if order.baseline is None:
        why = "no baseline: capture it over the old path with --phase 0 --baseline FILE"
        return Observed(Unmeasured(why))
    old, note = of(order.baseline.old), (str(order.baseline),)
    if not old:
        why = "the baseline does not tell it: capture it again with --phase 0 --baseline FILE"
        return Observed(Unmeasured(why), note)
    refused = any(one.refused for one in measured.sent)
    if measured.unsent or refused:
        return Observed(Unmeasured(measured.unsent or "the verification credential was refused"))
    return _seen(against(old, of(measured.pace)), measured, note)


def _since(measured: Measured) -> tuple[str, ...]:
    """Say where the window begins when that is not where the evidence begins."""
    window, glances = measured.window, measured.kept.glances
    if not window.restarts or not glances:
        return ()
    first = min(window.minutes, default=None)
    began = time_text(first * 60.0) if first is not None else "now"
    return (f"{len(window.restarts)} restarts; the window begins with the last one, {began}",)


def _seen(
    found: Statistics | Unmeasured, measured: Measured, notes: tuple[str, ...] = ()
) -> Observed:
    if isinstance(found, Unmeasured):
        return Observed(found, notes)
    return Observed(Sample(found, Conditions(measured.age_s)), notes)
