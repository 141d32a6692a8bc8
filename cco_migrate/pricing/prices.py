"""What tokens cost by the dated price table: our own arithmetic, beside the gateway's. Pure.

The gateway's records say neither speed nor region of an answer: only plain prices are known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from cco_migrate.model import JsonObject
from cco_migrate.pricing.model_ids import undated

MILLION = Decimal(1_000_000)
STEP = Decimal("0.000001")
"""Prices in USD per million tokens are multiples of this: the gateway counts in picodollars."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer; `input` excludes the cache tokens."""

    input: int = 0
    output: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0

    @property
    def prompt(self) -> int:
        """The whole prompt, cached or not."""
        return self.input + self.cache_write_5m + self.cache_write_1h + self.cache_read


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per million tokens."""

    input: Decimal
    output: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    cache_read: Decimal

    def cost_usd(self, usage: Usage) -> Decimal:
        """Return what the tokens cost in USD, exactly."""
        total = (
            usage.input * self.input
            + usage.output * self.output
            + usage.cache_write_5m * self.cache_write_5m
            + usage.cache_write_1h * self.cache_write_1h
            + usage.cache_read * self.cache_read
        )
        return total / MILLION


@dataclass(frozen=True, slots=True)
class Tariff:
    """What one model costs.

    Attributes:
        long: The number of prompt tokens above which every token has other rates, and these; None
            when length changes nothing.
    """

    rates: Rates
    long: tuple[int, Rates] | None = None

    def cost_usd(self, usage: Usage) -> Decimal:
        """Return what the tokens cost in USD, exactly."""
        if self.long is not None and usage.prompt > self.long[0]:
            return self.long[1].cost_usd(usage)
        return self.rates.cost_usd(usage)


@dataclass(frozen=True, slots=True)
class PriceOverride:
    """Prices of one model, USD per million tokens; None leaves the table's.

    Attributes:
        cache_write: For five minutes; an hour costs 1.6 times as much.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cache_write: Decimal | None = None
    cache_read: Decimal | None = None


class PriceTable:
    """Tariffs by model id, with prices of the configuration laid over them.

    Prices for an id without a date hold for the dated ids of the table, too. A model that is in no
    table needs input and output; its cache then costs in proportion to input.

    Attributes:
        as_of: Day of the table.
        source: Where the prices come from.
        incomplete: Models that are left out because too few of their prices are known.
    """

    def __init__(
        self, table: JsonObject, overrides: Mapping[str, PriceOverride] | None = None
    ) -> None:
        self.as_of, self.source = date.fromisoformat(table["as_of"]), str(table["source"])
        listed = {model: _tariff(row) for model, row in table["models"].items()}
        given = overrides or {}
        laid = {model: _laid_over(_find(listed, model), row) for model, row in given.items()}
        for model in listed.keys() - given.keys():
            row = given.get(undated(model))
            if row is not None:
                laid[model] = _laid_over(listed[model], row)
        self._tariffs = {**listed, **{name: one for name, one in laid.items() if one is not None}}
        self.incomplete = tuple(name for name, one in laid.items() if one is None)

    def tariff(self, model: str) -> Tariff | None:
        """Look up the exact id, then the id without its date; None when neither is priced."""
        return _find(self._tariffs, model)

    def knows(self, model: str) -> bool:
        """Return whether a model is in the table."""
        return self.tariff(model) is not None

    def age_days(self, today: date) -> int:
        """Return how many days ago the prices were taken."""
        return (today - self.as_of).days

    @property
    def ids(self) -> tuple[str, ...]:
        """Every id in the table."""
        return tuple(self._tariffs)


def _find(tariffs: Mapping[str, Tariff], model: str) -> Tariff | None:
    return tariffs.get(model) or tariffs.get(undated(model))


def _tariff(row: JsonObject) -> Tariff:
    long = row.get("long_prompt")
    return Tariff(_rates(row), long and (long["above_tokens"], _rates(long)))


def _rates(row: JsonObject) -> Rates:
    return Rates(**{kind.name: Decimal(row[kind.name]) for kind in fields(Rates)})


def _laid_over(tariff: Tariff | None, given: PriceOverride) -> Tariff | None:
    """Return a tariff with the prices given, long prompts included; None when too few are known."""
    told = {
        "input": given.input,
        "output": given.output,
        "cache_write_5m": given.cache_write,
        "cache_write_1h": None if given.cache_write is None else _part(given.cache_write, "1.6"),
        "cache_read": given.cache_read,
    }
    known = {name: rate for name, rate in told.items() if rate is not None}
    if tariff is not None:
        long = tariff.long and (tariff.long[0], replace(tariff.long[1], **known))
        return Tariff(replace(tariff.rates, **known), long)
    if given.input is None or given.output is None:
        return None
    usual = {"cache_write_5m": "1.25", "cache_write_1h": "2", "cache_read": "0.1"}
    derived = {name: _part(given.input, factor) for name, factor in usual.items()}
    return Tariff(Rates(**{**derived, **known}))


def _part(rate: Decimal, factor: str) -> Decimal:
    return (rate * Decimal(factor)).quantize(STEP, ROUND_HALF_EVEN)
