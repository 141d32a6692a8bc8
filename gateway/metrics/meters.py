"""What each request adds to the metrics; counts in memory that all workers share."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.access.limits import Limit
from gateway.metrics.counters import Counters, Series
from gateway.metrics.exposition import Metric
from gateway.metrics.report import (
    LATENCY_S,
    OVERHEAD_S,
    TTFT_S,
    Facts,
    TokenKind,
    ratio,
    report,
)
from gateway.store.records import AuditRecord, Endpoint
from gateway.wire.usage import Usage

ZERO_RULES = 200
"""So many override rules have a line before they first fire."""

OTHER = "other"
"""Whatever label value the configuration does not name."""

NONE = "none"
"""The model of a request that was refused before any was found."""


_Labels = tuple[str, str | None, int, bool, str | None, str | None]
"""Of a request: provider, model, status, stream, the model a rule replaced, why one did not."""

_Buckets = tuple[tuple[int, ...], tuple[int, ...]]
"""Of a histogram: the upper bounds in microseconds, and the counters."""

_NO_RULE = (OTHER, OTHER)

_REMEMBERED = 1024

# Bound once: Python 3.11 asks an enum's metaclass for a member each time that it is named.
_COUNT_TOKENS = Endpoint.COUNT_TOKENS
_NO_TOKENS = Usage()


class BrokenBy(StrEnum):
    """Who ended a stream before its terminal event."""

    CLIENT = "client"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Known:
    """The label values that are shown; all others become `other`.

    Attributes:
        rules: Override rules (requested model, model sent instead), in the order of the file.
    """

    providers: Collection[str]
    models: Collection[str]
    rules: tuple[tuple[str, str], ...]


class Meter(Protocol):
    """What reads a stream as it passes."""

    stop_at: int | None
    """None until the terminal event was seen."""


class Metrics:
    """What one worker counts. Every method is a handful of additions; none raises."""

    def __init__(self, counters: Counters, known: Known) -> None:
        """Create at zero what must be visible from the start."""
        self._counters, self._values = counters, counters.values
        self._providers = frozenset(known.providers)
        self._models = frozenset(known.models)
        self._rules = frozenset(known.rules)
        self._streams = 0
        self._row, self._sums = counters.row(_SUMS), (0,) * len(_SUMS)
        for series in _zeros(known):
            counters.add(series, 0)
        self._latency = _buckets(counters, "cco_api_latency", LATENCY_S)
        self._ttft = _buckets(counters, "gateway_ttft_seconds", TTFT_S)
        self._overhead = _buckets(counters, "gateway_overhead_seconds", OVERHEAD_S)
        self._overhead_sum = counters.slot(_sum_of("gateway_overhead_seconds"))
        # Most requests have the labels of one before, and a counter stays in its slot.
        self._slots: dict[_Labels, tuple[int, ...]] = {}

    def observe(self, record: AuditRecord) -> None:
        """Count a request that has ended."""
        values, generated = self._values, record.endpoint is not _COUNT_TOKENS
        labels = (
            record.provider,
            record.model,
            record.status,
            record.stream,
            (record.requested_model or OTHER) if record.overridden and generated else None,
            record.skipped_reason,
        )
        for slot in self._slots.get(labels) or self._find(labels):
            values[slot] += 1
        latency_us, ttft_us = record.latency_us, record.ttft_us
        bounds_us, buckets = self._latency
        values[buckets[bisect_left(bounds_us, latency_us)]] += 1
        if ttft_us is not None:
            bounds_us, buckets = self._ttft
            values[buckets[bisect_left(bounds_us, ttft_us)]] += 1
        usage = (record.usage if generated else None) or _NO_TOKENS
        latency, ttft, cost, input_, output, write, read = self._sums
        sums = (
            latency + latency_us,
            ttft + (ttft_us or 0),
            cost + (record.cost_pico or 0),
            input_ + usage.input_tokens,
            output + usage.output_tokens,
            write + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
            read + usage.cache_read_tokens,
        )
        self._row.put(sums)
        self._sums = sums

    def overhead(self, seconds: float) -> None:
        """Count what the gateway itself added to the time to an answer's first byte."""
        values, micros = self._values, int(seconds * 1_000_000)
        bounds_us, buckets = self._overhead
        values[buckets[bisect_left(bounds_us, micros)]] += 1
        values[self._overhead_sum] += micros

    @contextmanager
    def stream(self, meter: Meter) -> Iterator[None]:
        """Count a stream as open within the block, and as broken when it had no terminal event."""
        self._count_streams(1)
        broken_by = BrokenBy.PROVIDER
        try:
            yield
        except asyncio.CancelledError:
            broken_by = BrokenBy.CLIENT
            raise
        finally:
            self._count_streams(-1)
            if meter.stop_at is None:
                self._counters.add(("gateway_streams_broken_total", broken_by.value))

    def unread(self, provider: str) -> None:
        """Count an answer in an encoding that could not be read: its cost is not known."""
        shown = provider if provider in self._providers else OTHER
        self._counters.add(("gateway_answers_unread_total", shown))

    def committed(self, records: int) -> None:
        """Count records that are in the ledger."""
        self._counters.add(("gateway_audit_records_total",), records)

    def limited(self, limit: Limit) -> None:
        """Count a request that was refused because its client is over a limit."""
        self._counters.add(("gateway_limited_total", limit.value))

    def cache_asked(self, *, hit: bool) -> None:
        """Count a look into the response cache."""
        self._counters.add(("cco_cache_hits",) if hit else ("cco_cache_misses",))

    def cache_holds(self, items: int, size_bytes: int) -> None:
        """Note what this worker's response cache holds."""
        self._counters.put(("cache_items",), items)
        self._counters.put(("cache_bytes",), size_bytes)

    def cache_totals(self, live: Collection[str]) -> CacheTotals:
        """Return what the response caches of all workers did and hold."""
        values = self._summed(live)
        names = ("cco_cache_hits", "cco_cache_misses", "cache_items", "cache_bytes")
        return CacheTotals(*(values.get((name,), 0) for name in names))

    def read(self, facts: Facts) -> Iterator[Metric]:
        """Return every metric, summed over all workers."""
        return report(self._summed(facts.live), facts)

    def close(self) -> None:
        """Count no more; what was counted stays in the sums of the other workers."""
        self._counters.close()

    def _find(self, labels: _Labels) -> tuple[int, ...]:
        """Return the counters that one more such request raises by one."""
        provider, model, status, stream, replaced, skipped = labels
        rule = None if replaced is None else (replaced, model or OTHER)
        shown = (
            provider if provider in self._providers else OTHER,
            NONE if model is None else model if model in self._models else OTHER,
            str(status),
            "true" if stream else "false",
        )
        found: list[Series] = [("gateway_requests_total", *shown)]
        if rule is not None:
            found.append(("cco_overrides_total", *(rule if rule in self._rules else _NO_RULE)))
        if skipped is not None:
            found.append(("gateway_overrides_skipped_total", skipped))
        slots = tuple(map(self._counters.slot, found))
        # Of what comes from outside only models that are known are kept, and their ids are short.
        known = self._models.issuperset({model, model if replaced is None else replaced})
        if known and len(self._slots) < _REMEMBERED:
            self._slots[labels] = slots
        return slots

    def _count_streams(self, change: int) -> None:
        self._streams += change
        self._counters.put(("gateway_streams_active",), self._streams)

    def _summed(self, live: Collection[str]) -> Mapping[Series, int]:
        total: dict[Series, int] = {}
        for boot_id, values in self._counters.by_process().items():
            for series, value in values.items():
                if boot_id in live or series not in _GAUGES:
                    total[series] = total.get(series, 0) + value
        return total


@dataclass(frozen=True, slots=True)
class CacheTotals:
    """The response caches of all workers together."""

    hits: int
    misses: int
    items: int
    size_bytes: int

    @property
    def hit_rate(self) -> float:
        """Hits among all looks, 0 to 1; 0 when there were none."""
        return ratio(self.hits, self.hits + self.misses)


def _buckets(counters: Counters, name: str, bounds_s: tuple[float, ...]) -> _Buckets:
    slots = tuple(counters.slot((name, str(bucket))) for bucket in range(len(bounds_s) + 1))
    return tuple(round(bound * 1_000_000) for bound in bounds_s), slots


_GAUGES = frozenset({("gateway_streams_active",), ("cache_items",), ("cache_bytes",)})


def _zeros(known: Known) -> Iterator[Series]:
    yield from ((name,) for name in ("cco_cache_hits", "cco_cache_misses"))
    yield ("gateway_audit_records_total",)
    yield from (("cco_overrides_total", *rule) for rule in dict.fromkeys(known.rules[:ZERO_RULES]))
    yield ("gateway_overrides_skipped_total", "target_down")
    yield from (("gateway_streams_broken_total", cause.value) for cause in BrokenBy)
    yield from (("gateway_limited_total", limit.value) for limit in Limit)
    for provider in known.providers:
        yield ("gateway_answers_unread_total", provider)
        for stream in ("false", "true"):
            yield ("gateway_requests_total", provider, OTHER, "200", stream)
    yield from _GAUGES


def _tokens_of(kind: TokenKind) -> Series:
    return ("gateway_tokens_total", kind.value)


def _sum_of(histogram: str) -> Series:
    return (histogram, "sum")


_SUMS = (
    _sum_of("cco_api_latency"),
    _sum_of("gateway_ttft_seconds"),
    ("gateway_cost_usd_total",),
    *map(_tokens_of, TokenKind),
)
"""What each record adds to."""
