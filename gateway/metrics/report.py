"""Which metrics there are, and how sums become their lines. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.cost.pricing import usd
from gateway.metrics.counters import Series
from gateway.metrics.exposition import Kind, Metric, Sample, histogram

LATENCY_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
TTFT_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
OVERHEAD_S = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class TokenKind(StrEnum):
    """How a token is priced."""

    INPUT = "input"
    OUTPUT = "output"
    CACHE_WRITE = "cache_write"
    CACHE_READ = "cache_read"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known without counting.

    Attributes:
        live: Boot ids of the workers alive; gauges of others are not added up.
    """

    fingerprint: str
    overrides_enabled: bool
    live: Collection[str]


_HISTOGRAMS: Mapping[str, tuple[tuple[float, ...], str]] = {
    "cco_api_latency": (LATENCY_S, "Seconds from a request's first byte to its answer's end."),
    "gateway_ttft_seconds": (TTFT_S, "Seconds from a request's first byte to its answer's."),
    "gateway_overhead_seconds": (
        OVERHEAD_S,
        "Seconds the gateway itself added before an answer's first byte.",
    ),
}
_COUNTERS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "cco_overrides_total": (("from", "to"), "Requests sent to another model than asked for."),
    "gateway_overrides_skipped_total": (
        ("reason",),
        "Requests that matched a rule and kept their model, or got it back.",
    ),
    "gateway_requests_total": (("provider", "model", "status", "stream"), "Requests that ended."),
    "gateway_limited_total": (
        ("limit",),
        "Requests refused because their client was over a limit of the gateway's.",
    ),
    "gateway_streams_broken_total": (("cause",), "Streams that ended early, by who ended them."),
    "gateway_answers_unread_total": (
        ("provider",),
        "Answers in an encoding that the gateway could not read: what they cost is not known.",
    ),
    "gateway_tokens_total": (("kind",), "Tokens, as the providers report them."),
    "gateway_audit_records_total": ((), "Audit records committed to the ledger."),
}


def report(values: Mapping[Series, int], facts: Facts) -> Iterator[Metric]:
    """Return every metric, in the order of the tables.

    Args:
        values: Sums over all workers, by name and label values.
    """
    for name, (labels, text) in _COUNTERS.items():
        yield Metric(name, Kind.COUNTER, text, _samples(values, name, labels))
    cost = (Sample((), usd(values.get(("gateway_cost_usd_total",), 0))),)
    yield Metric("gateway_cost_usd_total", Kind.COUNTER, "Cost in USD, where known.", cost)
    for name, (bounds_s, text) in _HISTOGRAMS.items():
        counts = [values.get((name, str(slot)), 0) for slot in range(len(bounds_s) + 1)]
        seconds = values.get((name, "sum"), 0) / 1_000_000
        yield Metric(name, Kind.HISTOGRAM, text, histogram(bounds_s, counts, seconds))
    yield from _gauges(values, facts)


def ratio(part: int, whole: int) -> float:
    """Return a share, 0 to 1; 0 of nothing."""
    return part / whole if whole else 0.0


def _gauges(values: Mapping[Series, int], facts: Facts) -> Iterator[Metric]:
    hits, misses = values.get(("cco_cache_hits",), 0), values.get(("cco_cache_misses",), 0)
    yield _one("cco_cache_hits", Kind.UNTYPED, "Answers from the response cache.", hits)
    yield _one("cco_cache_misses", Kind.UNTYPED, "Looks into it that found nothing.", misses)
    rate = ratio(hits, hits + misses)
    yield _one("cco_cache_hit_rate", Kind.GAUGE, "Hits among all looks, 0 to 1.", rate)
    enabled = int(facts.overrides_enabled)
    yield _one("cco_overrides_enabled", Kind.GAUGE, "1 when model overrides are on.", enabled)
    streams = values.get(("gateway_streams_active",), 0)
    yield _one("gateway_streams_active", Kind.GAUGE, "Streams open now.", streams)
    tokens = {kind: values.get(("gateway_tokens_total", kind.value), 0) for kind in TokenKind}
    prompt = sum(tokens.values()) - tokens[TokenKind.OUTPUT]
    cached = ratio(tokens[TokenKind.CACHE_READ], prompt)
    text = "Prompt tokens read from the providers' prompt caches, among all prompt tokens, 0 to 1."
    yield _one("gateway_prompt_cache_hit_ratio", Kind.GAUGE, text, cached)
    info = (Sample((("fingerprint", facts.fingerprint),), 1),)
    yield Metric("gateway_config_info", Kind.INFO, "The configuration that is served.", info)


def _samples(
    values: Mapping[Series, int], name: str, labels: tuple[str, ...]
) -> tuple[Sample, ...]:
    found = sorted(series for series in values if series[0] == name)
    return tuple(
        Sample(tuple(zip(labels, series[1:], strict=True)), values[series]) for series in found
    )


def _one(name: str, kind: Kind, text: str, value: float) -> Metric:
    return Metric(name, kind, text, (Sample((), value),))
