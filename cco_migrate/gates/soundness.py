"""Is the planned configuration served everywhere, and does what the gateway says add up? Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

from cco_migrate.gates.looking import Look
from cco_migrate.gates.measured import Measured
from cco_migrate.gates.observed import Observed, few
from cco_migrate.gates.order import Order
from cco_migrate.judge.gate import Sample, Unmeasured
from cco_migrate.judge.integrity import CounterReading, Invariant, consistent, loaded
from cco_migrate.judge.populations import Population
from cco_migrate.judge.ruling import Conditions
from cco_migrate.probes.counters import REQUESTS, STATISTICS, Counters
from cco_migrate.probes.instances import Health

_CLOCKS_AGREE = 0.9  # two machines' clocks never run quite alike; a cached answer stands still


def config_loaded(measured: Measured, order: Order) -> Observed:
    """Return whether every worker serves the planned configuration."""
    if order.fingerprint is None:
        return Observed(Unmeasured("nobody named the planned configuration or its fingerprint"))
    look = measured.after
    if not look.seen:
        return Observed(_silent(look))
    named = dict(_fingerprints(look))
    if not named:
        return Observed(Unmeasured("this gateway tells no configuration fingerprint"))
    found = loaded(named, order.fingerprint)
    doubt = "" if found.broken else _unproved(look)
    return _fact(found, measured, look, doubt)


def integrity(measured: Measured, order: Order) -> Observed:
    """Return whether counters, uptimes and what was sent fit together."""
    if len(measured.readings) < 2:
        counters = measured.after.counters
        why = counters.why if isinstance(counters, Unmeasured) else "the counters were read once"
        return Observed(Unmeasured(why))
    found = consistent(_in_order(measured.readings))
    ages = tuple(_ageing(measured.before, measured.after))
    growth = tuple(_growth(measured))
    window = measured.window
    broken = [*(fault for fault in (*ages, *growth) if fault), *found.broken, *window.broken]
    checked = found.checked + len(ages) + len(growth) + window.compared
    evidence = Invariant(checked, few(broken), few(found.explained))
    return _fact(evidence, measured, measured.after)


def healthy(measured: Measured, order: Order) -> Observed:
    """Return whether the gateway and its providers call themselves healthy."""
    looks, told = (measured.before, measured.after), measured.after.providers
    seen = [health for look in looks for health in look.seen]
    if not measured.after.seen:
        return Observed(_silent(measured.after))
    if isinstance(told, Unmeasured):
        return Observed(told)
    sick = sorted({f"/health says {one.status}" for one in seen if one.status != "ok"})
    down = [f"provider {name} is down" for name, up in sorted(told.items()) if not up]
    return _fact(Invariant(1 + len(told), (*sick, *down)), measured, measured.after)


def started(measured: Measured, order: Order) -> Observed:
    """Return on how many systems of the fleet the gateway has not started, this one included."""
    if not measured.after.seen:
        return Observed(_silent(measured.after))
    faults = [
        look.why if isinstance(look, Unmeasured) else f"{url}/health says {look.status}"
        for url, look in measured.systems.items()
        if isinstance(look, Unmeasured) or look.status != "ok"
    ]
    size = 1 + len(measured.systems)
    alone = () if measured.systems else ("one system; name the others of a fleet with --systems",)
    sample = Sample(Population(size, size, len(faults)), Conditions(measured.age_s))
    return Observed(sample, (*few(faults), *alone))


def _fingerprints(look: Look) -> Iterator[tuple[str, str]]:
    """Yield the fingerprint of every process, by the supervisor's word and by its own."""
    if not isinstance(look.processes, Unmeasured):
        for process in look.processes:
            yield process.name, process.fingerprint
    for health in look.seen:
        if health.fingerprint is not None:
            yield f"/health of process {health.boot_id or 'unknown'}", health.fingerprint


def _unproved(look: Look) -> str:
    """Return why right fingerprints prove nothing yet; empty when all workers are known."""
    if not isinstance(look.processes, Unmeasured):
        return ""
    boots = {one.boot_id for one in look.seen if one.boot_id}
    workers = max((one.workers or 0 for one in look.seen), default=0)
    if workers and len(boots) >= workers:
        return ""
    return f"only {len(boots)} of {workers or 'unknown'} workers were met: {look.processes.why}"


def _in_order(readings: tuple[Counters, ...]) -> Iterator[CounterReading]:
    for number, reading in enumerate(readings):
        # Without a name of the process nobody can say that it is still the same one.
        boot = ",".join(reading.boots) or f"unknown {number}"
        for name, value in reading.series.items():
            yield CounterReading(name, boot, value)


def _growth(measured: Measured) -> Iterator[str]:
    """Yield, for each count of requests, what it misses of those that were sent; else ""."""
    first, last, sent = measured.readings[0], measured.readings[-1], len(measured.request_ids)
    if not sent or not first.boots or first.boots != last.boots:
        return
    for metric in (REQUESTS, STATISTICS):
        before, after = first.total(metric), last.total(metric)
        if before is not None and after is not None:
            grew = after - before
            yield f"{metric} grew by {grew:g} while {sent} were sent" if grew < sent else ""


def _ageing(before: Look, after: Look) -> Iterator[str]:
    """Yield, for each process met twice, whether its uptime stands still; else ""."""
    first: dict[str, Health] = {}
    for health in before.seen:
        first.setdefault(health.boot_id or "", health)
    for health in {one.boot_id or "": one for one in after.seen}.values():
        old = first.get(health.boot_id or "")
        if not health.boot_id or old is None or old.uptime_s is None or health.uptime_s is None:
            continue
        passed_s = health.asked_s - old.answered_s
        grew = health.uptime_s - old.uptime_s
        stale = grew < math.floor(passed_s * _CLOCKS_AGREE)
        yield (f"health is cached: uptime grew by {grew} s in {passed_s:.1f} s" if stale else "")


def _silent(look: Look) -> Unmeasured:
    told = [one.why for one in look.health if isinstance(one, Unmeasured)]
    return Unmeasured(told[0] if told else "nobody looked")


def _fact(found: Invariant, measured: Measured, look: Look, doubt: str = "") -> Observed:
    coverage = len(look.seen) / len(look.health)
    return Observed(Sample(found, Conditions(measured.age_s, coverage, doubt)))
