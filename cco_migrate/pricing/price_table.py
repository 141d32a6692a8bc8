"""Makes the price table from the data of genai-prices, and tells two tables apart. Pure.

Only what the table can express is taken; anything else in the data is an error, so that a new kind
of price is looked at by a person instead of being left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from cco_migrate.errors import InvalidInput
from cco_migrate.model import JsonObject

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

UNIT = "USD per million tokens, as decimal strings"

# The ids that requests carry, where they are not just the id of the data. Models without any are
# retired, and had no prompt caching.
IDS: Mapping[str, tuple[str, ...]] = {
    "claude-2": (),
    "claude-v1": (),
    "claude-3-sonnet": (),
    "claude-3-haiku": ("claude-3-haiku-20240307",),
    "claude-3-opus-latest": ("claude-3-opus-20240229", "claude-3-opus-latest"),
    "claude-3-5-haiku-latest": ("claude-3-5-haiku-20241022", "claude-3-5-haiku-latest"),
    "claude-3-5-sonnet": (
        "claude-3-5-sonnet-20240620",
        "claude-3-5-sonnet-20241022",
        "claude-3-5-sonnet-latest",
    ),
    "claude-3-7-sonnet-latest": ("claude-3-7-sonnet-20250219", "claude-3-7-sonnet-latest"),
    "claude-haiku-4-5": ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
    "claude-opus-4-0": ("claude-opus-4-0", "claude-opus-4-20250514"),
    "claude-opus-4-1": ("claude-opus-4-1", "claude-opus-4-1-20250805"),
    "claude-opus-4-5": ("claude-opus-4-5", "claude-opus-4-5-20251101"),
    "claude-sonnet-4-0": ("claude-sonnet-4-0", "claude-sonnet-4-20250514"),
    "claude-sonnet-4-5": ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
}

# What running in one region only multiplies the price of every token by; the data has no such
# figure. Source: https://platform.claude.com/docs/en/about-claude/pricing, data residency. Models
# before Claude Opus 4.6 cannot be asked for it, and their answers never name a region.
REGIONS: Mapping[str, str] = {"us": "1.1"}

_KINDS: Mapping[str, str] = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "cache_read_mtok": "cache_read",
}
_SEARCHES = "web_searches_kcount"
_VARIANTS: Mapping[tuple[tuple[str, str], ...], str] = {
    (("speed", "fast"),): "fast",
    (("processing", "batch"),): "batch",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One price that two tables do not have in common.

    Attributes:
        price: E.g. "input", or "fast.input"; empty for a whole model.
        old: None for what is new.
        new: None for what is gone.
    """

    model: str
    price: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        """Return a line for people, with the change in percent where there is one."""
        if not self.price:
            return f"{self.model}: {'new' if self.old is None else 'gone'}"
        text = f"{self.model}: {self.price} {self.old or 'unknown'} → {self.new or 'unknown'}"
        if self.old is None or self.new is None or not Decimal(self.old):
            return text
        return f"{text} ({(Decimal(self.new) / Decimal(self.old) - 1) * 100:+.1f} %)"


def table(models: Iterable[ModelInfo], version: str, at: datetime) -> JsonObject:
    """Return the price table of a day.

    Args:
        models: Anthropic's models in the data of genai-prices.
        version: Of that package.
        at: The day, aware; of prices that change with time the one then in force is taken.

    Raises:
        InvalidInput: The data holds a price that the table cannot express.
    """
    rows = {name: _row(model, at) for model in models for name in IDS.get(model.id, (model.id,))}
    return {
        "$schema": "../prices.schema.json",
        "as_of": at.date().isoformat(),
        "source": f"genai-prices {version} (Anthropic's published list prices)",
        "unit": UNIT,
        "regions": dict(REGIONS),
        "models": dict(sorted(rows.items())),
    }


def differences(old: JsonObject, new: JsonObject) -> tuple[Difference, ...]:
    """Return what two tables price differently, by model; the day and the source are left out."""
    found = list(_changed("regions", {"regions": old["regions"]}, {"regions": new["regions"]}))
    for model in sorted({*old["models"], *new["models"]}):
        found += _changed(model, old["models"], new["models"])
    return tuple(found)


def _row(model: ModelInfo, at: datetime) -> dict[str, object]:
    row = _rates(model.id, model.get_prices(at))
    for variant in model.price_variants or ():
        name = _VARIANTS.get(tuple(variant.when.items()))
        if name is None:
            raise InvalidInput(f"{model.id}: prices for {variant.when} cannot be expressed")
        if variant.constraint is None or variant.constraint.active(at):
            row[name] = _rates(f"{model.id}.{name}", model.get_prices(at, dict(variant.when)))
    return row


def _rates(where: str, prices: ModelPrice) -> dict[str, object]:
    values = {key: value for key, value in vars(prices).items() if value is not None}
    strange = sorted(values.keys() - {*_KINDS, _SEARCHES})
    missing = sorted(_KINDS.keys() - values.keys())
    if strange or missing:
        names = ", ".join(strange or missing)
        what = "cannot be expressed" if strange else "is missing"
        raise InvalidInput(f"{where}: the price {names} {what}")
    row: dict[str, object] = {name: _text(values[key]) for key, name in _KINDS.items()}
    if _SEARCHES in values:
        row["web_search_per_1k"] = _text(values[_SEARCHES])
    steps = {step.start for value in values.values() for step in getattr(value, "tiers", ())}
    if len(steps) > 1:
        raise InvalidInput(f"{where}: more than one length of prompt changes the price")
    for start in steps:
        long = {name: _text(values[key], above=True) for key, name in _KINDS.items()}
        row["long_prompt"] = {"above_tokens": start, **long}
    return row


def _text(value: Decimal | TieredPrices, *, above: bool = False) -> str:
    """Return a price as a decimal without exponent or trailing zeros."""
    if not isinstance(value, Decimal):
        value = value.tiers[0].price if above else value.base
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _changed(
    model: str, old: Mapping[str, JsonObject], new: Mapping[str, JsonObject]
) -> Iterator[Difference]:
    if model not in old or model not in new:
        yield Difference(model, "", *(str(model) if model in one else None for one in (old, new)))
        return
    before, after = dict(_flat(old[model])), dict(_flat(new[model]))
    for price in dict.fromkeys((*before, *after)):
        if before.get(price) != after.get(price):
            yield Difference(model, price, before.get(price), after.get(price))


def _flat(row: JsonObject, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)
