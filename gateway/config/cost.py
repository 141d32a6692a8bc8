"""Turn the checked section `costTracking` into settings; say what is wrong with prices. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

from gateway.config.documents import Document
from gateway.cost import tariffs
from gateway.cost.tariffs import CostSettings, PriceError, PriceOverride
from gateway.errors import ConfigError

MAX_AGE_DAYS = 90
"""An older price table may be wrong by now."""

_KEY = "llmGateway.costTracking"
_FIELDS: Mapping[str, str] = {
    "inputPerMillion": "input",
    "outputPerMillion": "output",
    "cacheWritePerMillion": "cache_write",
    "cacheReadPerMillion": "cache_read",
}


def parse_costs(path: Path, table: Document, prices: Document) -> CostSettings:
    """Return what is to be known about costs. Raises ConfigError for prices that cannot be used.

    Args:
        prices: The price table they are laid over.
    """
    overrides = tuple(
        (model, _override(row)) for model, row in table.get("pricingOverrides", {}).items()
    )
    try:
        tariffs.parse(prices, overrides)
    except PriceError as error:
        named = (name for name, kind in _FIELDS.items() if error.kind.startswith(kind))
        name = next(named, error.kind)
        key = f"{_KEY}.pricingOverrides.{error.model}.{name}"
        raise ConfigError(path, error.problem, key=key) from error
    return CostSettings(table.get("enabled", True), overrides)


def cost_warnings(
    path: Path, costs: CostSettings, prices: Document, today: date | None
) -> Iterator[str]:
    """Return one sentence for each thing that keeps costs from being known, or right.

    Args:
        today: None leaves the age of the price table out.
    """
    if not costs.enabled:
        yield f"{path}: {_KEY}.enabled: is false, so no request has a cost (null)"
        if costs.overrides:
            yield f"{path}: {_KEY}.pricingOverrides: has no effect, {_KEY}.enabled is false"
        return
    taken = date.fromisoformat(prices["as_of"])
    if today is not None and (today - taken).days > MAX_AGE_DAYS:
        age = f"the prices are of {taken}, {(today - taken).days} days old, and costs may be wrong"
        yield f"{age}; install a newer version, or write {_KEY}.pricingOverrides"


def _override(row: Document) -> PriceOverride:
    given = {kind: Decimal(row[name]) for name, kind in _FIELDS.items() if name in row}
    return PriceOverride(**given)
