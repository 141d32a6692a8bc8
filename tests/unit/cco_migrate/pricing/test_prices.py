"""Prices: tokens times list price, exactly; an unknown model has no price."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from cco_migrate import resources
from cco_migrate.pricing.prices import PriceOverride, PriceTable, Usage

TABLE = PriceTable(resources.data("prices"))
SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
GOLDEN = json.loads((resources.schema_dir() / "price-vectors.json").read_bytes())
NAMES = ("inputPerMillion", "outputPerMillion", "cacheWritePerMillion", "cacheReadPerMillion")


@pytest.mark.parametrize(
    "vector", GOLDEN["vectors"], ids=[row["case"] for row in GOLDEN["vectors"]]
)
def test_cost_equals_the_golden_vectors(vector: dict[str, Any]) -> None:  # Any: JSON
    overrides = {
        model: PriceOverride(*(Decimal(row[name]) if name in row else None for name in NAMES))
        for model, row in vector["overrides"].items()
    }
    tariff = PriceTable(GOLDEN["table"], overrides).tariff(vector["model"])
    cost = None if tariff is None else tariff.cost_usd(Usage(**vector["usage"])) * 10**12
    assert cost == vector["picodollars"]


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        (SONNET, Usage(input=1000, output=500), "0.0105"),
        (HAIKU, Usage(input=1000, output=500), "0.0035"),
        (SONNET, Usage(input=1), "0.000003"),
        (SONNET, Usage(input=200_001), "1.200006"),
        (HAIKU, Usage(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000), "9.35"),
        (HAIKU, Usage(input=10**12, output=1), "1000000.000005"),
        ("gpt-5", Usage(input=1000, output=500), "0.00625"),
        ("gpt-5-2025-08-07", Usage(input=1000, cache_read=1000), "0.001375"),
        ("gpt-4o-2024-08-06", Usage(input=1000), "0.0025"),
        ("gpt-4o-2024-05-13", Usage(input=1000), "0.005"),
        ("gpt-5.4", Usage(input=272_001), "1.360005"),
    ],
)
def test_shipped_prices_are_the_published_ones(model: str, usage: Usage, usd: str) -> None:
    tariff = TABLE.tariff(model)
    assert tariff is not None
    assert tariff.cost_usd(usage) == Decimal(usd)


@pytest.mark.parametrize(
    "model", ["claude-opus-4-5-20991231", "claude-opus-4-5-2099-12-31", "claude-opus-4-5"]
)
def test_dated_id_has_the_price_of_its_undated_one(model: str) -> None:
    assert TABLE.tariff(model) == TABLE.tariff("claude-opus-4-5-20251101")
    assert TABLE.knows(model)


@pytest.mark.parametrize(
    "model",
    ["", "gpt-9", "gpt-4o-2024-08", "deepseek-chat", "claude-sonnet-4.5-20250929",
     "claude-sonnet", f"{SONNET}-1", f" {SONNET}",
     "claude-sonnet-4-5-2025", "Claude-Sonnet-4-5"],
)  # fmt: skip
def test_unknown_model_has_no_price(model: str) -> None:
    assert TABLE.tariff(model) is None
    assert not TABLE.knows(model)


def test_override_makes_a_model_known_when_its_main_prices_are() -> None:
    one = Decimal(1)
    table = PriceTable(
        resources.data("prices"),
        {"house": PriceOverride(one, one), "half": PriceOverride(one), HAIKU: PriceOverride(one)},
    )
    assert table.knows("house")
    assert {"house", SONNET} <= set(table.ids)
    assert table.incomplete == ("half",)
    assert not table.knows("half")


def test_every_row_of_the_table_is_priced() -> None:
    assert all(TABLE.knows(model) for model in TABLE.ids)
    assert TABLE.source


def test_age_is_counted_from_the_day_of_the_table() -> None:
    table = PriceTable(GOLDEN["table"])
    assert table.as_of == date(2026, 1, 31)
    assert table.age_days(date(2026, 3, 1)) == 29
