"""Was every request recorded, once? Compared by identity: equal counts prove nothing. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.ruling import Estimate
from cco_migrate.judge.terms import Terms

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class SentIds:
    """Verification traffic: what was sent against what was recorded.

    Attributes:
        sent: Ids the gateway gave to our requests.
        recorded: Ids in the audit, as often as they stand there; those of others are left out.
        in_flight: Requests that have not ended: their records are still to come.
    """

    sent: tuple[str, ...]
    recorded: tuple[str, ...]
    in_flight: int = 0

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return the number of requests with no record or more than one: a fact, not a rate."""
        ours = set(self.sent)
        counts = Counter(one for one in self.recorded if one in ours)
        lost = sorted(ours - counts.keys())
        twice = sorted(one for one, times in counts.items() if times > 1)
        wrong = len(lost) + len(twice)
        said = f"{len(ours)} requests sent, {len(lost)} not recorded, {len(twice)} recorded twice"
        said += f" ({', '.join([*lost, *twice][:_SHOWN])})" if wrong else ""
        facts = {"lost": lost[:_SHOWN], "twice": twice[:_SHOWN], "in_flight": self.in_flight}
        return Estimate(
            len(ours),
            wrong,
            wrong,
            said,
            k=wrong,
            obstacle=_in_flight(self.in_flight),
            facts=facts,
        )


@dataclass(frozen=True, slots=True)
class Boot:
    """The sequence numbers that one process recorded, of those it gave out.

    Attributes:
        expected: Numbers from the first to the last that were recorded, all of them.
        recorded: Records.
        distinct: Different numbers among the records.
        crashed: Whether the process is known to have died: what it had accepted may be lost.
    """

    boot_id: str
    expected: int
    recorded: int
    distinct: int
    crashed: bool = False

    @classmethod
    def of(cls, boot_id: str, numbers: Iterable[int], *, crashed: bool = False) -> Boot:
        """Return what numbers say, given in any order."""
        given = tuple(numbers)
        distinct = set(given)
        expected = max(distinct) - min(distinct) + 1 if distinct else 0
        return cls(boot_id, expected, len(given), len(distinct), crashed)


@dataclass(frozen=True, slots=True)
class Sequences:
    """Real traffic, whose senders we cannot ask: every number must have its record."""

    boots: tuple[Boot, ...]
    in_flight: int = 0

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return the number of gaps and repetitions; gaps of a crashed process are named apart."""
        gaps = sum(boot.expected - boot.distinct for boot in self.boots if not boot.crashed)
        excused = sum(boot.expected - boot.distinct for boot in self.boots if boot.crashed)
        twice = sum(boot.recorded - boot.distinct for boot in self.boots)
        expected = sum(boot.expected for boot in self.boots)
        said = f"{expected} requests accepted, {gaps} without record, {twice} recorded twice"
        said += f", {excused} lost in a recorded crash" if excused else ""
        wrong = gaps + twice
        return Estimate(
            expected,
            wrong,
            wrong,
            said,
            k=wrong,
            obstacle=_in_flight(self.in_flight),
            facts={"gaps": gaps, "twice": twice, "excused": excused, "in_flight": self.in_flight},
        )


def loss_upper(found: int, alpha: float) -> float:
    """Return the share that may be lost when all of `found` sampled requests are recorded."""
    return float(1 - alpha ** (1 / found))


def _in_flight(count: int) -> str:
    return f"{count} requests are still in flight" if count else ""
