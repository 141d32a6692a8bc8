"""What an answer costs, in whole picodollars (1e-12 USD). Pure.

The model's tariff, the length of the prompt, the terms the provider names in its answer (fast,
batch, a region) and the searches it made decide. What has no price is unknown, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from gateway import model_ids
from gateway.cost import tariffs
from gateway.cost.tariffs import CostSettings, Price, Tariff
from gateway.wire.usage import STANDARD, Terms, Usage

PICO = 10**12
MAX_COST = 2**63 - 1
"""More picodollars are no answer's cost, and no ledger's integer."""


class Pricing:
    """A price table. A model is found by its id, else by its id without `-YYYYMMDD`, else not.

    Args:
        table: Tariffs by model id; empty when costs are not to be known.
        regions: What a region multiplies the price of every token by.
    """

    __slots__ = ("_regions", "_table")

    def __init__(
        self, table: Mapping[str, Tariff], regions: Mapping[str, Decimal] | None = None
    ) -> None:
        self._table, self._regions = table, regions or {}

    @classmethod
    def parse(
        cls,
        document: Mapping[str, Any],  # Any: a JSON document
        costs: CostSettings | None = None,
    ) -> Pricing:
        """Return a document's table with the prices of the settings laid over it.

        Empty when costs are not to be known. Raises PriceError.
        """
        costs = costs or CostSettings()
        if not costs.enabled:
            return cls({})
        regions = {name: Decimal(text) for name, text in document["regions"].items()}
        return cls(tariffs.parse(document, costs.overrides), regions)

    def price(self, model: str) -> Price | None:
        """Return a model's plain price; None when it is not in the table."""
        tariff = model_ids.find(self._table, model)
        return None if tariff is None else tariff.price

    def cost(self, usage: Usage, model: str) -> int | None:
        """Return picodollars; None when the model, or what the answer says, has no price."""
        tokens, searches = self._tokens(usage, model), self._searches(usage, model)
        if tokens is None or searches is None or tokens + searches > MAX_COST:
            return None
        return tokens + searches

    def cost_saved(self, usage: Usage, requested: str, billed: int | None) -> int | None:
        """Return picodollars saved by an override; negative when it cost more.

        The same tokens at the requested model's price, less what was billed. None when either
        price is unknown. Cache writes that the change of model itself caused are the ledger's to
        take off: only there it is known what the conversation had cached.
        """
        wanted = self.cost(usage, requested)
        return None if wanted is None or billed is None else wanted - billed

    def rewrite(self, usage: Usage, model: str) -> tuple[int, int]:
        """Return what a cache write costs more than a read, for 5 minutes and for an hour.

        Picodollars a token of such a prompt; zeros when the model has no price.
        """
        tariff = self._tariff(model, STANDARD)
        if tariff is None:
            return 0, 0
        price = tariff.at(usage.prompt_tokens)
        return price.cache_write_5m - price.cache_read, price.cache_write_1h - price.cache_read

    def _tokens(self, usage: Usage, model: str) -> int | None:
        terms = usage.terms
        total = 0
        for adviser, step in usage.steps or ((None, usage),):
            tariff = self._tariff(model, terms) if adviser is None else self._advice(adviser, terms)
            if tariff is None:
                return None
            total += tariff.of(step)
        if terms.geo is None:
            return total
        factor = self._regions.get(terms.geo)
        if factor is None:
            return None
        over, under = factor.as_integer_ratio()
        return (total * over + under // 2) // under

    def _tariff(self, model: str, terms: Terms) -> Tariff | None:
        tariff = model_ids.find(self._table, model)
        return None if tariff is None else tariff.on(terms)

    def _advice(self, adviser: str, terms: Terms) -> Tariff | None:
        # Whether an adviser works on the terms of the model it advises, nobody says.
        usual = replace(terms, geo=None) == STANDARD
        return model_ids.find(self._table, adviser) if usual else None

    def _searches(self, usage: Usage, model: str) -> int | None:
        if not usage.web_searches:
            return 0
        tariff = model_ids.find(self._table, model)
        if tariff is None or tariff.web_search is None:
            return None
        return usage.web_searches * tariff.web_search


def usd(pico: int) -> Decimal:
    """Return picodollars as dollars, exactly, without trailing zeros."""
    return Decimal(usd_text(pico))


def usd_text(pico: int) -> str:
    """Return picodollars as dollars in plain digits, exactly, without trailing zeros."""
    whole, rest = divmod(abs(pico), PICO)
    digits = f"{whole}.{rest:012d}".rstrip("0").rstrip(".")
    return f"-{digits}" if pico < 0 else digits
