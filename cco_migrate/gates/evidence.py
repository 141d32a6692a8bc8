"""Turns what was measured into evidence of each criterion, with what a person should see. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from cco_migrate.gates import recorded, soundness, standing, traffic
from cco_migrate.gates.baseline import Pace
from cco_migrate.gates.measured import Measured
from cco_migrate.gates.observed import Observed, few
from cco_migrate.gates.order import Order
from cco_migrate.gates.verifying import rate_of
from cco_migrate.judge.charges import Charge, Charges
from cco_migrate.judge.counts import Count
from cco_migrate.judge.gate import Sample, Unmeasured
from cco_migrate.judge.integrity import Invariant
from cco_migrate.judge.records import SentIds
from cco_migrate.judge.ruling import Conditions
from cco_migrate.judge.ruling import Evidence as Statistics
from cco_migrate.pricing.prices import PriceTable, Usage
from cco_migrate.probes.glances import time_text


def observe(measured: Measured, order: Order) -> Mapping[str, Observed]:
    """Return the evidence of every criterion of the order, by id."""
    return {one.id: EVIDENCE[one.id](measured, order) for one in order.criteria}


def _conformance(measured: Measured, order: Order) -> Observed:
    if (silent := _unsent(measured)) is not None:
        return silent
    faults = [
        f"{one.canary.stream.label}: {fault}"
        for one in measured.sent
        for fault in one.stream.faults
    ]
    gap_ms = max(one.stream.longest_gap_s for one in measured.sent) * 1000
    notes = (*few(faults), f"longest silence within a stream {gap_ms:.0f} ms")
    rate = rate_of(measured.sent, measured.kept)
    earlier = rate.n - rate_of(measured.sent).n
    notes += (f"{earlier} of the streams in earlier runs",) if earlier else ()
    return _sample(rate, measured, notes)


def _intact(measured: Measured, order: Order) -> Observed:
    if (silent := _unsent(measured)) is not None:
        return silent
    compared = [one for one in measured.sent if one.compared]
    lost = [f"{one.canary.stream.label}: {one.loss}" for one in compared if one.loss]
    betas = _betas(measured)
    missing = [fault for fault in betas if fault]
    notes = [f"{len(compared)} of {len(measured.sent)} streams could be compared"]
    notes += [] if betas else ["betas not measured: no record tells which ones arrived"]
    found = Invariant(len(compared) + len(betas), few([*lost, *missing]))
    return _sample(found, measured, tuple(notes))


def _audited(measured: Measured, order: Order) -> Observed:
    if (silent := _unsent(measured)) is not None:
        return silent
    if isinstance(measured.records, Unmeasured):
        return Observed(measured.records)
    ids = tuple(one for one in measured.request_ids if one)
    nameless = len(measured.request_ids) - len(ids)
    if nameless:
        return Observed(Unmeasured(f"{nameless} answers carry no x-gateway-request-id"))
    recorded = tuple(str(row["request_id"]) for row in measured.records)
    return _sample(SentIds(ids, recorded), measured)


def _billed(measured: Measured, order: Order) -> Observed:
    if (silent := _unsent(measured)) is not None:
        return silent
    if isinstance(measured.records, Unmeasured):
        return Observed(measured.records)
    if order.prices is None:
        return Observed(Unmeasured("llmGateway.costTracking.enabled is false: no cost is known"))
    usages = {
        exchange.request_id: exchange.usage
        for one in measured.sent
        for exchange in (one.stream, one.whole)
        if exchange is not None and exchange.usage
    }
    charges = tuple(
        _charge(row, usages[row["request_id"]], order.prices)
        for row in measured.records
        if row["request_id"] in usages
    )
    as_of = order.prices.as_of.isoformat()
    return _sample(Charges(charges, as_of), measured, (f"prices as of {as_of}",))


def _captured(measured: Measured, order: Order) -> Observed:
    if (silent := _unsent(measured)) is not None:
        return silent
    old, beside = measured.pace, measured.beside
    notes = tuple(_told(f"through {order.proxy}" if order.proxy else "asked directly", old))
    if beside is not None:
        gateway = _told(f"gateway {order.gateway}", beside.pace)
        notes += (beside.why,) if beside.why else tuple(gateway)
    whole = sum(one.n for one in old.first_token.values())
    return _sample(Count(whole, old.streams), measured, notes)


def _earlier(measured: Measured, order: Order) -> Observed:
    runs = measured.kept.runs
    broken = [
        f"{words} (run of {time_text(run.at_s)})" for run in runs for words in run.found.values()
    ]
    return _sample(Invariant(1 + len(runs), few(broken)), measured)


EVIDENCE: Mapping[str, Callable[[Measured, Order], Observed]] = {
    "config-loaded": soundness.config_loaded,
    "evidence-integrity": soundness.integrity,
    "gateway-healthy": soundness.healthy,
    "start-failures": soundness.started,
    "stream-conformance": _conformance,
    "canary-intact": _intact,
    "audit-complete": _audited,
    "cost-accuracy": _billed,
    "baseline-captured": _captured,
    "earlier-findings": _earlier,
    **recorded.EVIDENCE,
    **traffic.EVIDENCE,
    **standing.EVIDENCE,
}
"""Who makes the evidence of a criterion; every criterion of a phase has a row."""


def _told(path: str, pace: Pace) -> Iterator[str]:
    """Yield what a path took to the first token, how many streams a second, and how many broke."""
    for name, one in sorted(pace.first_token.items()):
        yield f"{path}: {name}: {math.exp(one.mean) * 1000:.0f} ms, {one.n} streams"
    for name, one in sorted(pace.throughput.items()):
        yield f"{path}: {name}: {math.exp(one.mean):.1f} streams a second"
    yield f"{path}: {pace.broken} of {pace.streams} streams broke"


def _betas(measured: Measured) -> list[str]:
    """Return, for each record that tells the betas, which of those sent it lacks; else ""."""
    if isinstance(measured.records, Unmeasured):
        return []
    sent = {one.stream.request_id: one.canary for one in measured.sent}
    found = []
    for row in measured.records:
        shape, canary = row.get("request_shape"), sent.get(row["request_id"])
        told = shape.get("betas") if isinstance(shape, Mapping) else None
        if canary is None or not isinstance(told, list):
            continue
        missing = [beta for beta in canary.betas if beta not in told]
        what = f"{canary.stream.label}: betas lost: {', '.join(missing)}"
        found.append(what if missing else "")
    return found


def _charge(row: Mapping[str, object], usage: Mapping[str, int], prices: PriceTable) -> Charge:
    """Return what was billed beside what the tokens cost that the client was told."""
    tariff, told = prices.tariff(str(row["model"])), row["cost_usd"]
    billed = None if told is None else Decimal(str(told))
    if tariff is None or row.get("terms"):  # the record does not say all such a price depends on
        return Charge(str(row["request_id"]), billed, None, None, str(row["model"]))
    costs = [tariff.cost_usd(_usage(usage, hour=hour)) for hour in (False, True)]
    return Charge(str(row["request_id"]), billed, min(costs), max(costs), str(row["model"]))


def _usage(usage: Mapping[str, int], *, hour: bool) -> Usage:
    written = usage.get("cache_creation_input_tokens", 0)
    return Usage(
        usage.get("input_tokens", 0),
        usage.get("output_tokens", 0),
        cache_write_5m=0 if hour else written,
        cache_write_1h=written if hour else 0,
        cache_read=usage.get("cache_read_input_tokens", 0),
    )


def _unsent(measured: Measured) -> Observed | None:
    """Return why traffic proves nothing: none was sent, or our credential was refused."""
    if measured.unsent:
        return Observed(Unmeasured(measured.unsent))
    refused = next((one.stream.status for one in measured.sent if one.refused), None)
    if refused is not None:
        return Observed(Unmeasured(f"the verification credential was refused with {refused}"))
    return None


def _sample(evidence: Statistics, measured: Measured, notes: tuple[str, ...] = ()) -> Observed:
    return Observed(Sample(evidence, Conditions(measured.age_s)), notes)
