"""What each model costs a token, by the price table and by the configuration. Pure.

Money is whole picodollars (1e-12 USD); prices are told in USD per million tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation
from typing import Any

from msgspec import structs

from gateway.model_ids import find, undated
from gateway.wire.usage import STANDARD, Terms, Usage

MAX_PRICE = 10_000
"""USD per million tokens; a higher one is a mistake."""

# What a provider with prompt caching usually takes, in prices of an input token.
_WRITE_5M, _WRITE_1H, _READ = Decimal("1.25"), Decimal(2), Decimal("0.1")
_HOUR = _WRITE_1H / _WRITE_5M
_TARIFFS: Mapping[Terms, str] = {
    Terms(speed="fast"): "fast",
    Terms(tier="fast"): "fast",
    Terms(tier="priority"): "priority",
    Terms(tier="flex"): "flex",
    Terms(tier="batch"): "batch",
}
"""By which row of a model an answer is billed that was made on terms."""

_NAMES = frozenset(_TARIFFS.values())
_EXACT = Context(prec=40, traps=[Inexact, InvalidOperation])


class PriceError(ValueError):
    """A price that cannot be used.

    Attributes:
        model: Whose price it is.
        kind: A name of Price.
    """

    def __init__(self, model: str, kind: str, problem: str) -> None:
        self.model, self.kind, self.problem = model, kind, problem
        super().__init__(f"{model}.{kind}: {problem}")


@dataclass(frozen=True, slots=True)
class PriceOverride:
    """Prices of one model, USD per million tokens; None leaves the table's.

    Attributes:
        cache_write: For five minutes; an hour costs in proportion.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cache_write: Decimal | None = None
    cache_read: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CostSettings:
    """What is to be known about costs.

    Attributes:
        enabled: Whether costs are computed; otherwise none is known.
        overrides: Pairs (model, its prices), laid over the table.
    """

    enabled: bool = True
    overrides: tuple[tuple[str, PriceOverride], ...] = ()


@dataclass(frozen=True, slots=True)
class Price:
    """Picodollars per token. Cache writes are priced by how long they live."""

    input: int
    output: int
    cache_write_5m: int
    cache_write_1h: int
    cache_read: int


@dataclass(frozen=True, slots=True)
class Tariff:
    """Everything one model costs.

    Attributes:
        long_prompt: The number of prompt tokens above which every token of a request has another
            price, and that price; None when length changes nothing.
        web_search: Picodollars a search; None when unknown.
        on_terms: Prices of answers made on other terms, by the name of their row; others are
            unknown.
    """

    price: Price
    long_prompt: tuple[int, Price] | None = None
    web_search: int | None = None
    on_terms: Mapping[str, Tariff] = field(default_factory=dict)

    def of(self, usage: Usage) -> int:
        """Return what the tokens cost."""
        price = self.price if self.long_prompt is None else self.price_of(usage)
        return (
            usage.input_tokens * price.input
            + usage.output_tokens * price.output
            + usage.cache_write_5m_tokens * price.cache_write_5m
            + usage.cache_write_1h_tokens * price.cache_write_1h
            + usage.cache_read_tokens * price.cache_read
        )

    def price_of(self, usage: Usage) -> Price:
        """Return the price of an answer's tokens, which the length of its prompt decides."""
        if self.long_prompt is None:
            return self.price
        above, price = self.long_prompt
        return price if usage.prompt_tokens() > above else self.price

    def on(self, terms: Terms) -> Tariff | None:
        """Return what the model costs on these terms, wherever it runs; None when unknown."""
        plain = structs.replace(terms, geo=None)
        if plain == STANDARD:
            return self
        return self.on_terms.get(_TARIFFS.get(plain, ""))


def parse(
    document: Mapping[str, Any],  # Any: a JSON document
    overrides: Iterable[tuple[str, PriceOverride]] = (),
) -> Mapping[str, Tariff]:
    """Return the tariffs of a price table with prices laid over them. Raises PriceError.

    Prices for an id without a date hold for the dated ids of the table, too.
    """
    listed = {model: _tariff(model, row) for model, row in document["models"].items()}
    given = dict(overrides)
    found = {model: _replaced(model, find(listed, model), row) for model, row in given.items()}
    for model in listed.keys() - given.keys():
        row = given.get(undated(model))
        if row is not None:
            found[model] = _replaced(model, listed[model], row)
    return {**listed, **found}


def _tariff(where: str, row: Mapping[str, Any]) -> Tariff:  # Any: a JSON document
    long, search = row.get("long_prompt"), row.get("web_search_per_1k")
    return Tariff(
        price=_price(where, row),
        long_prompt=long and (long["above_tokens"], _price(f"{where}.long_prompt", long)),
        # USD for a thousand searches: one costs what a thousand tokens would, as a token's price.
        web_search=search and _pico(where, "web_search_per_1k", search) * 1000,
        on_terms={name: _tariff(f"{where}.{name}", row[name]) for name in _NAMES if name in row},
    )


def _price(where: str, row: Mapping[str, Any]) -> Price:  # Any: a JSON document
    return Price(**{name: _pico(where, name, row[name]) for name in Price.__slots__})


def _replaced(model: str, tariff: Tariff | None, override: PriceOverride) -> Tariff:
    """Return a tariff with the prices given, which hold for long prompts, too.

    Answers on other terms and searches keep the table's prices: nothing was said about them.
    """
    given = _given(model, override)
    if tariff is None:
        return Tariff(_derived(model, given))
    long = tariff.long_prompt
    return replace(
        tariff,
        price=replace(tariff.price, **given),
        long_prompt=long and (long[0], replace(long[1], **given)),
    )


def _given(model: str, override: PriceOverride) -> dict[str, int]:
    told = {
        "input": override.input,
        "output": override.output,
        "cache_write_5m": override.cache_write,
        "cache_read": override.cache_read,
    }
    given = {name: _pico(model, name, value) for name, value in told.items() if value is not None}
    if "cache_write_5m" in given:
        given["cache_write_1h"] = _times(given["cache_write_5m"], _HOUR)
    return given


def _derived(model: str, given: Mapping[str, int]) -> Price:
    """Return the prices of a model that is in no table."""
    for name in ("input", "output"):
        if name not in given:
            raise PriceError(model, name, "must be given, no price of this model is known")
    usual = {
        "cache_write_5m": _times(given["input"], _WRITE_5M),
        "cache_write_1h": _times(given["input"], _WRITE_1H),
        "cache_read": _times(given["input"], _READ),
    }
    return Price(**{**usual, **given})


def _times(pico: int, factor: Decimal) -> int:
    """Return a price in proportion to another, to the nearest picodollar a token."""
    return int((pico * factor).quantize(Decimal(1), ROUND_HALF_EVEN))


def _pico(model: str, kind: str, price: str | Decimal) -> int:
    """Return picodollars per token for USD per million tokens."""
    try:
        value = Decimal(price)
        pico = _EXACT.multiply(value, Decimal(10**6)) if 0 <= value <= MAX_PRICE else None
    except (InvalidOperation, Inexact):
        pico = None
    if pico is None or pico != pico.to_integral_value():
        text = f"{price} is not a price from 0 to {MAX_PRICE} in steps of 0.000001 USD per million"
        raise PriceError(model, kind, text)
    return int(pico)
