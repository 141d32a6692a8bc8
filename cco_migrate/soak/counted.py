"""What a soak adds up of the gateway's overhead, charges and request numbers, look by look. Pure.

Sums only: a look costs what came since the one before, however long the soak takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from cco_migrate.judge.charges import Charge, ChargeTotals
from cco_migrate.judge.means import WindowMeans
from cco_migrate.judge.moments import Moments
from cco_migrate.judge.records import Boot, Sequences
from cco_migrate.model import JsonObject
from cco_migrate.pricing.model_ids import undated
from cco_migrate.pricing.prices import PriceTable, Tariff, Usage
from cco_migrate.probes.audited import Record
from cco_migrate.probes.sequences import Followed

MINUTE_S = 60.0
_TOKENS = ("input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens")


@dataclass(frozen=True, slots=True)
class Overhead:
    """What the gateway itself took, minute by minute.

    Attributes:
        minute: Since the epoch, the newest one that is known of; None before the first.
        seconds: Added up in that minute.
        made: Requests of that minute.
        ended: Means of the minutes before, in ms.
    """

    minute: int | None = None
    seconds: float = 0.0
    made: float = 0.0
    ended: Moments = field(default_factory=Moments)

    def add(self, at_s: float, seconds: float, made: float) -> Overhead:
        """Return it with what was counted up to a time; that of a clock set back joins the minute.

        Args:
            at_s: Seconds since the epoch.
        """
        minute = int(at_s // MINUTE_S)
        if self.minute is None or minute <= self.minute:
            known = minute if self.minute is None else self.minute
            return Overhead(known, self.seconds + seconds, self.made + made, self.ended)
        return Overhead(minute, seconds, made, self._all)

    @property
    def means(self) -> WindowMeans:
        """The means of the minutes that are over."""
        return WindowMeans(self.ended)

    @property
    def _all(self) -> Moments:
        mean = (1000 * self.seconds / self.made,) if self.made else ()
        return self.ended + Moments.of(mean)


@dataclass(frozen=True, slots=True)
class Numbered:
    """How many requests the processes numbered, and how many of the numbers are recorded.

    Attributes:
        through: The last number that is accounted for, by process.
    """

    expected: int = 0
    recorded: int = 0
    distinct: int = 0
    through: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Followed) -> Numbered:
        """Return what one look adds."""
        total = cls(through=found.through)
        for one in found.boots:
            total += cls(one.expected, one.recorded, one.distinct)
        return total

    def __add__(self, later: Numbered) -> Numbered:
        """Return both together."""
        return Numbered(
            self.expected + later.expected,
            self.recorded + later.recorded,
            self.distinct + later.distinct,
            {**self.through, **later.through},
        )

    @property
    def sequences(self) -> Sequences:
        """All of them as one, for what matters is the sum."""
        return Sequences((Boot("all", self.expected, self.recorded, self.distinct),))


def charged(records: Iterable[Record], prices: PriceTable) -> ChargeTotals:
    """Return what requests were billed beside what their recorded tokens cost.

    What never had a price is left out: answers from the cache, special terms, unknown usage.
    """
    plain = [row for row in records if is_plain(row)]
    tariffs = {model: _tariffs(model, prices) for model in {str(row["model"]) for row in plain}}
    found = (_charge(row, tariffs[str(row["model"])]) for row in plain)
    return ChargeTotals.of(found, prices.as_of.isoformat())


def charges_json(found: ChargeTotals | None) -> JsonObject | None:
    """Return JSON values."""
    if found is None:
        return None
    money = {"billed_usd": str(found.billed_usd), "computed_usd": str(found.computed_usd)}
    row = {**asdict(found), **money, "named": list(found.named), "models": list(found.models)}
    # As an earlier version wrote it, which said neither: its evidence must give the same again.
    return {name: one for name, one in row.items() if one or name not in {"models", "as_of"}}


def charges_of(row: Mapping[str, Any] | None) -> ChargeTotals | None:  # Any: JSON
    """Rebuild it; raises KeyError, TypeError or ValueError for a row of another shape."""
    if row is None:
        return None
    money = {name: Decimal(row[name]) for name in ("billed_usd", "computed_usd")}
    names = {name: tuple(row.get(name, ())) for name in ("named", "models")}
    return ChargeTotals(**{**row, **money, **names})


def is_plain(row: Record) -> bool:
    """Whether what a request cost follows from its record."""
    tokens = all(isinstance(row.get(name), int) for name in _TOKENS)
    # A gateway that does not say on which terms it bills may bill in a way nobody here knows.
    terms = row.get("terms") == [] and row.get("cache") is None
    return tokens and terms and isinstance(row.get("model"), str)


def _tariffs(model: str, prices: PriceTable) -> tuple[Tariff, ...]:
    """Return what a model may be billed by: the one that answers can be a dated one of it."""
    names = (model, *(one for one in prices.ids if undated(one) == model != one))
    found = (prices.tariff(name) for name in names)
    return tuple(one for one in found if one is not None)


def _charge(row: Record, tariffs: tuple[Tariff, ...]) -> Charge:
    """Return a charge beside the least and the most that the record's tokens may have cost.

    The record does not say for how long a prompt was cached.
    """
    billed = None if row.get("cost_usd") is None else Decimal(str(row["cost_usd"]))
    costs = [one.cost_usd(_usage(row, hour=hour)) for one in tariffs for hour in (False, True)]
    low, high = (min(costs), max(costs)) if costs else (None, None)
    return Charge(str(row["request_id"]), billed, low, high, str(row["model"]))


def _usage(row: Record, *, hour: bool) -> Usage:
    written = row["cache_write_tokens"]
    return Usage(
        row["input_tokens"],
        row["output_tokens"],
        cache_write_5m=0 if hour else written,
        cache_write_1h=written if hour else 0,
        cache_read=row["cache_read_tokens"],
    )
