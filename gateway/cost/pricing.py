"""What an answer costs, in whole picodollars (1e-12 USD). Pure.

The model's tariff, the length of the prompt, the terms the provider names in its answer (fast, a
service tier, a region) and the searches it made decide. What has no price is unknown, never
guessed.
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

MAX_COST = 2**63 - 1
"""More picodollars are no answer's cost, and no ledger's integer."""

_USD = 10**12
_MAX_DATED = 256
"""So many ids with a date are remembered beside those of the table."""


class Pricing:
    """A price table. A model is found by its id, else by its id without its date, else not.

    Args:
        table: Tariffs by model id; empty when costs are not to be known.
        regions: What a region multiplies the price of every token by.
    """

    __slots__ = ("_known", "_regions", "_table")

    def __init__(
        self, table: Mapping[str, Tariff], regions: Mapping[str, Decimal] | None = None
    ) -> None:
        self._regions = regions or {}
        self._table, self._known = table, dict(table)

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
        tariff = self._find(model)
        return None if tariff is None else tariff.price

    def cost(self, usage: Usage, model: str) -> int | None:
        """Return picodollars; None when the model, or what the answer says, has no price."""
        tariff = self._known.get(model) or self._find(model)
        if usage.terms is not STANDARD or usage.steps or usage.web_searches:
            cost = self._unusual(usage, tariff)
        else:
            cost = None if tariff is None else tariff.of(usage)
        return None if cost is None or cost > MAX_COST else cost

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
        tariff = self._known.get(model) or self._find(model)
        if tariff is None:
            return 0, 0
        price = tariff.price_of(usage)
        return price.cache_write_5m - price.cache_read, price.cache_write_1h - price.cache_read

    def _find(self, model: str) -> Tariff | None:
        found = model_ids.find(self._table, model)
        # Of what comes from outside only ids that have a price are kept, and these are short.
        if found is not None and len(self._known) < len(self._table) + _MAX_DATED:
            self._known[model] = found
        return found

    def _unusual(self, usage: Usage, tariff: Tariff | None) -> int | None:
        """Return what an answer costs that was made on terms, in steps or with searches."""
        terms = usage.terms
        on_terms = None if tariff is None else tariff.on(terms)
        if usage.steps:
            cost = self._steps(usage, on_terms)
        else:
            cost = None if on_terms is None else on_terms.of(usage)
        if terms.geo is not None:
            cost = self._in_region(cost, terms.geo)
        if cost is not None and usage.web_searches:
            search = None if tariff is None else tariff.web_search
            cost = None if search is None else cost + usage.web_searches * search
        return cost

    def _steps(self, usage: Usage, tariff: Tariff | None) -> int | None:
        """Return what the steps of an answer cost at the tariff of its model, and of advisers."""
        total = 0
        for adviser, step in usage.steps:
            billed = tariff if adviser is None else self._advice(adviser, usage.terms)
            if billed is None:
                return None
            total += billed.of(step)
        return total

    def _advice(self, adviser: str, terms: Terms) -> Tariff | None:
        # Whether an adviser works on the terms of the model it advises, nobody says.
        usual = replace(terms, geo=None) == STANDARD
        return self._find(adviser) if usual else None

    def _in_region(self, cost: int | None, geo: str) -> int | None:
        factor = self._regions.get(geo)
        if factor is None or cost is None:
            return None
        over, under = factor.as_integer_ratio()
        return (cost * over + under // 2) // under


def usd(pico: int) -> Decimal:
    """Return picodollars as dollars, exactly, without trailing zeros."""
    return Decimal(usd_text(pico).decode())


def usd_text(pico: int) -> bytes:
    """Return picodollars as dollars in plain digits, exactly, without trailing zeros."""
    digits = (b"%d.%012d" % divmod(abs(pico), _USD)).rstrip(b"0").rstrip(b".")
    return b"-" + digits if pico < 0 else digits
