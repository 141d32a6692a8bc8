"""Write metrics in the Prometheus text format or as OpenMetrics. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

TEXT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = b"application/openmetrics-text; version=1.0.0; charset=utf-8"

Labels = tuple[tuple[str, str], ...]
Number = int | float | Decimal

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Kind(StrEnum):
    """What a metric is; a counter's name ends in `_total`, an info's in `_info`."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"
    UNTYPED = "untyped"


@dataclass(frozen=True, slots=True)
class Sample:
    """One line.

    Attributes:
        suffix: What follows the metric's name, e.g. `_bucket`; usually empty.
    """

    labels: Labels
    value: Number
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """All samples of one name."""

    name: str
    kind: Kind
    text: str
    samples: tuple[Sample, ...]


def histogram(
    bounds_s: Iterable[float], counts: Iterable[int], sum_s: Number
) -> tuple[Sample, ...]:
    """Return the lines of a histogram.

    Args:
        bounds_s: Upper bounds of the buckets, ascending, without infinity.
        counts: Observations in each bucket alone, then those above the last bound.
        sum_s: Sum of all observations.
    """
    below, samples = 0, []
    for bound, count in zip((*map(str, bounds_s), "+Inf"), counts, strict=True):
        below += count
        samples.append(Sample((("le", bound),), below, "_bucket"))
    return (*samples, Sample((), below, "_count"), Sample((), sum_s, "_sum"))


def openmetrics_wanted(accept: bytes) -> bool:
    """Return whether an Accept header asks for OpenMetrics, and no less than for plain text."""
    wanted = {}
    for item in accept.lower().split(b","):
        media, *parameters = (part.strip() for part in item.split(b";"))
        weight = next((part[2:] for part in parameters if part.startswith(b"q=")), b"1")
        try:
            wanted[media] = float(weight)
        except ValueError:
            wanted[media] = 0.0
    ours = wanted.get(b"application/openmetrics-text", 0.0)
    return ours > 0 and ours >= wanted.get(b"text/plain", 0.0)


def render(metrics: Iterable[Metric], *, openmetrics: bool) -> bytes:
    """Return the answer's body."""
    lines = [line for metric in metrics for line in _lines(metric, openmetrics)]
    return "\n".join([*lines, *(["# EOF"] if openmetrics else []), ""]).encode()


def _lines(metric: Metric, openmetrics: bool) -> Iterator[str]:
    name, kind = metric.name, metric.kind.value
    if openmetrics and metric.kind is Kind.COUNTER:
        name = name.removesuffix("_total")
    elif openmetrics and metric.kind is Kind.INFO:
        name = name.removesuffix("_info")
    elif openmetrics and metric.kind is Kind.UNTYPED:
        kind = "unknown"
    elif metric.kind is Kind.INFO:
        kind = Kind.GAUGE.value
    yield f"# HELP {name} {metric.text.translate(_ESCAPES) if openmetrics else metric.text}"
    yield f"# TYPE {name} {kind}"
    for sample in metric.samples:
        yield f"{metric.name}{sample.suffix}{_braces(sample.labels)} {_number(sample.value)}"


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels) + "}"


def _number(value: Number) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
