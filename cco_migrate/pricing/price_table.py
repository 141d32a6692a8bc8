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
from cco_migrate.pricing.model_ids import undated
from cco_migrate.pricing.vendors import VENDORS, Vendor

if TYPE_CHECKING:
    from genai_prices.types import MatchLogic, ModelInfo, ModelPrice, TieredPrices

UNIT = "USD per million tokens, as decimal strings"

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
    (("service_tier", "fast"),): "fast",
    (("service_tier", "priority"),): "priority",
    (("service_tier", "flex"),): "flex",
    (("processing", "batch"),): "batch",
}
_USUAL = {"service_tier": "default"}


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


def table(vendors: Mapping[str, Iterable[ModelInfo]], version: str, at: datetime) -> JsonObject:
    """Return the price table of a day.

    Args:
        vendors: Models in the data of genai-prices, by a key of VENDORS.
        version: Of that package.
        at: The day, aware; of prices that change with time the one then in force is taken.

    Raises:
        InvalidInput: The data holds a price that the table cannot express.
    """
    rows: dict[str, object] = {}
    names = []
    for key, models in vendors.items():
        held = len(rows)
        for name, row in _rows(VENDORS[key], models, at):
            if name in rows:
                raise InvalidInput(f"{name}: two models have this id")
            rows[name] = row
        names += [VENDORS[key].name] if len(rows) > held else []
    return {
        "$schema": "../prices.schema.json",
        "as_of": at.date().isoformat(),
        "source": f"genai-prices {version} (list prices published by {' and '.join(names)})",
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


def _rows(
    vendor: Vendor, models: Iterable[ModelInfo], at: datetime
) -> Iterator[tuple[str, object]]:
    for model in models:
        names = [name for name in _ids(vendor, model) if name not in vendor.left_out]
        if names and model.id not in vendor.left_out:
            yield from dict.fromkeys(names, _row(vendor, model, at)).items()


def _ids(vendor: Vendor, model: ModelInfo) -> tuple[str, ...]:
    """Return the ids of a model; one with a date only where the one without is another model."""
    if model.id in vendor.ids:
        return vendor.ids[model.id]
    own = (model.id,) if model.is_match(model.id) else ()
    names = dict.fromkeys((*own, *_exact(model.match)))
    return tuple(name for name in names if undated(name) == name or undated(name) not in names)


def _exact(match: MatchLogic) -> Iterator[str]:
    """Return the ids that are named in full by what tells a model."""
    if hasattr(match, "equals"):
        yield match.equals
    for one in getattr(match, "or_", ()):
        yield from _exact(one)


def _row(vendor: Vendor, model: ModelInfo, at: datetime) -> dict[str, object]:
    variants = model.price_variants or []
    conditions = [*(model.prices if isinstance(model.prices, list) else ()), *variants]
    if any(hasattr(one.constraint, "start_time") for one in conditions):
        raise InvalidInput(f"{model.id}: prices by the time of day cannot be expressed")
    row = _rates(vendor, model.id, model.get_prices(at))
    for variant in variants:
        when = dict(variant.when)
        name = "" if when == _USUAL else _VARIANTS.get(tuple(when.items()))
        if name is None:
            raise InvalidInput(f"{model.id}: prices for {when} cannot be expressed")
        if variant.constraint is not None and not variant.constraint.active(at):
            continue
        rates = _rates(vendor, f"{model.id}.{name}", model.get_prices(at, when))
        if name:
            row[name] = rates
        elif any(row.get(kind) != rate for kind, rate in rates.items()):
            raise InvalidInput(f"{model.id}: the usual tier has a price of its own")
    return row


def _rates(vendor: Vendor, where: str, prices: ModelPrice) -> dict[str, object]:
    values = {key: value for key, value in vars(prices).items() if value is not None}
    values = {key: value for key, value in values.items() if key not in vendor.unused}
    for kind, other in vendor.instead.items():
        if other in values:
            values.setdefault(kind, values[other])
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
