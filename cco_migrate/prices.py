"""What tokens cost by the dated price table: our own arithmetic, beside the gateway's. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from cco_migrate.model import JsonObject

_DATED = re.compile(r"-\d{8}$")
MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer; `input` excludes the cache tokens."""

    input: int = 0
    output: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0


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


class PriceTable:
    """Rates by model id.

    Attributes:
        as_of: Date of the table, ISO.
        source: Where the prices come from.
    """

    def __init__(self, table: JsonObject) -> None:
        self.as_of, self.source = str(table["as_of"]), str(table["source"])
        self._rows: Mapping[str, Mapping[str, str]] = table["models"]

    def rates(self, model: str) -> Rates | None:
        """Look up the exact id, then the id without its date; None when neither is priced."""
        row = self._rows.get(model) or self._rows.get(_DATED.sub("", model))
        return Rates(**{name: Decimal(value) for name, value in row.items()}) if row else None

    def knows(self, model: str) -> bool:
        """Return whether a model is in the table."""
        return self.rates(model) is not None

    @property
    def ids(self) -> tuple[str, ...]:
        """Every id in the table."""
        return tuple(self._rows)
