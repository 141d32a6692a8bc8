"""What tokens cost, in whole picodollars (1e-12 USD). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.wire.usage import Usage

PICO = 10**12
_DATE = re.compile(r"-\d{8}$")


@dataclass(frozen=True, slots=True)
class Price:
    """Picodollars per token. Cache writes are priced by how long they live."""

    input: int
    output: int
    cache_write_5m: int
    cache_write_1h: int
    cache_read: int


class Pricing:
    """A price table. A model is found by its id, else by its id without `-YYYYMMDD`, else not."""

    __slots__ = ("_prices",)

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._prices = prices

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Pricing:  # Any: a JSON document
        """Return the table of a document in USD per million tokens. Raises ValueError."""
        return cls({model: _price(model, row) for model, row in document["models"].items()})

    def price(self, model: str) -> Price | None:
        """Return a model's price; None when it is not in the table."""
        found = self._prices.get(model)
        return found if found is not None else self._prices.get(_DATE.sub("", model))

    def cost(self, usage: Usage, model: str) -> int | None:
        """Return picodollars; None when the model has no price."""
        price = self.price(model)
        if price is None:
            return None
        return (
            usage.input_tokens * price.input
            + usage.output_tokens * price.output
            + usage.cache_write_5m_tokens * price.cache_write_5m
            + usage.cache_write_1h_tokens * price.cache_write_1h
            + usage.cache_read_tokens * price.cache_read
        )

    def cost_saved(self, usage: Usage, requested: str, billed: int | None) -> int | None:
        """Return picodollars saved by an override; negative when it cost more.

        This is the plain figure: the same tokens at the requested model's price, less what was
        billed. It takes no account of prompt-cache tokens that had to be written only because the
        model changed. None when either price is unknown.
        """
        wanted = self.cost(usage, requested)
        return None if wanted is None or billed is None else wanted - billed


def usd(pico: int) -> Decimal:
    """Return picodollars as dollars, exactly, without trailing zeros."""
    whole, rest = divmod(abs(pico), PICO)
    digits = f"{whole}.{rest:012d}".rstrip("0").rstrip(".")
    return Decimal(f"-{digits}" if pico < 0 else digits)


def _price(model: str, row: Mapping[str, str]) -> Price:
    return Price(**{name: _per_token(f"{model}.{name}", text) for name, text in row.items()})


def _per_token(where: str, text: str) -> int:
    """Return picodollars per token for decimal USD per million tokens."""
    try:
        pico = Decimal(text).scaleb(6)
    except InvalidOperation:
        raise ValueError(f"{where}: {text!r} is not a decimal price") from None
    if not pico.is_finite() or pico < 0 or pico != int(pico):
        raise ValueError(f"{where}: {text!r} is not a price in steps of 1e-6 USD per million")
    return int(pico)
