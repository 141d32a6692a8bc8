"""Does every accepted request have its record? By the numbers that processes gave them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cco_migrate.judge.gate import Unmeasured
from cco_migrate.judge.records import Boot
from cco_migrate.probes.audited import Record

LOST_AFTER_S = 6 * 3600.0
"""No answer streams for so long: a number that is missing then has no record, and gets none."""


@dataclass(frozen=True, slots=True)
class Followed:
    """How far the numbers of every process were followed.

    Attributes:
        boots: What was found, by process.
        through: The last number that is accounted for, by process.
        later: Records behind a number that may still be in flight.
    """

    boots: tuple[Boot, ...]
    through: Mapping[str, int]
    later: int


def follow(
    records: Iterable[Record],
    now: datetime,
    known: Mapping[str, int] | None = None,
    *,
    lost_after_s: float = LOST_AFTER_S,
) -> Followed | Unmeasured:
    """Follow the numbers of every process up to the first that may still be in flight.

    A request is recorded when it ends, so a number is only missing once one that arrived after it
    did so longer ago than any request takes.

    Args:
        known: The last number that was accounted for before, by process.
        lost_after_s: How long that is.
    """
    arrivals: dict[str, list[tuple[int, datetime]]] = {}
    try:
        for row in records:
            arrival = datetime.fromisoformat(row["timestamp"])
            arrivals.setdefault(str(row["boot_id"]), []).append((int(row["seq"]), arrival))
    except (KeyError, TypeError, ValueError):
        return Unmeasured("the records do not say which process numbered a request, and how")
    settled = now - timedelta(seconds=lost_after_s)
    before = known or {}
    boots, through, later = [], dict(before), 0
    for boot, rows in arrivals.items():
        begin = before.get(boot)
        ahead = sorted(row for row in rows if begin is None or row[0] > begin)
        if not ahead:
            continue
        first = ahead[0][0] if begin is None else begin + 1
        last = _followed(first, ahead, settled)
        counts = Counter(number for number, _ in ahead if number <= last)
        later += sum(number > last for number, _ in ahead)
        through[boot] = last
        boots.append(Boot(boot, last - first + 1, counts.total(), len(counts)))
    return Followed(tuple(boots), through, later)


def _followed(first: int, ahead: Iterable[tuple[int, datetime]], settled: datetime) -> int:
    """Return the last number that is recorded or lost; `first` - 1 when that is open for all."""
    last = first - 1
    for number, arrival in ahead:
        if number > last + 1 and arrival > settled:
            return last
        last = number
    return last
