"""The table of measurements; takes those it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from benchmarks.gateway.costs import plain, streamed
from benchmarks.gateway.figures import Row
from benchmarks.gateway.loads import Bench
from benchmarks.gateway.service import first_byte, memory, paced

MEASURES: Mapping[str, Callable[[Bench], Iterator[Row]]] = {
    "plain": plain,
    "streamed": streamed,
    "paced": paced,
    "first-byte": first_byte,
    "memory": memory,
}
"""Every measurement, in the order of the table."""


def rows(bench: Bench, names: Iterable[str]) -> Iterator[Row]:
    """Take the measurements of these names, one after the other."""
    for name in names:
        yield from MEASURES[name](bench)
