"""Prices: tokens times list price, exactly; an unknown model has no price."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cco_migrate import resources
from cco_migrate.prices import PriceTable, Rates, Usage

TABLE = PriceTable(resources.data("prices"))
SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        (SONNET, Usage(input=1000, output=500), "0.0105"),
        (HAIKU, Usage(input=1000, output=500), "0.0035"),
        (SONNET, Usage(input=1), "0.000003"),
        (SONNET, Usage(cache_write_5m=1_000_000), "3.75"),
        (SONNET, Usage(cache_write_1h=1_000_000), "6"),
        (SONNET, Usage(cache_read=1_000_000), "0.3"),
        (HAIKU, Usage(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000), "9.35"),
        (SONNET, Usage(), "0"),
        (SONNET, Usage(input=10**12, output=1), "3000000.000015"),
    ],
)
def test_cost_is_tokens_times_price(model: str, usage: Usage, usd: str) -> None:
    rates = TABLE.rates(model)
    assert rates is not None
    assert rates.cost_usd(usage) == Decimal(usd)


@pytest.mark.parametrize("model", ["claude-opus-4-5-20991231", "claude-opus-4-5"])
def test_dated_id_has_the_price_of_its_undated_one(model: str) -> None:
    assert TABLE.rates(model) == TABLE.rates("claude-opus-4-5-20251101")
    assert TABLE.knows(model)


def test_exact_id_goes_before_the_undated_one() -> None:
    row = dict.fromkeys(("input", "output", "cache_write_5m", "cache_write_1h"), "1")
    rows = {"m": {**row, "cache_read": "1"}, "m-20250101": {**row, "cache_read": "2"}}
    table = PriceTable({"as_of": "2026-01-01", "source": "test", "models": rows})
    one = Decimal(1)
    assert table.rates("m-20250101") == Rates(one, one, one, one, Decimal(2))
    assert table.rates("m-20250102") == Rates(one, one, one, one, one)
    assert table.ids == ("m", "m-20250101")


@pytest.mark.parametrize(
    "model",
    ["", "gpt-4o", "claude-sonnet-4.5-20250929", "claude-sonnet", f"{SONNET}-1", f" {SONNET}",
     "claude-sonnet-4-5-2025", "Claude-Sonnet-4-5"],
)  # fmt: skip
def test_unknown_model_has_no_price(model: str) -> None:
    assert TABLE.rates(model) is None
    assert not TABLE.knows(model)


def test_every_row_of_the_table_is_priced() -> None:
    assert all(TABLE.rates(model) is not None for model in TABLE.ids)
    assert TABLE.as_of
    assert TABLE.source
