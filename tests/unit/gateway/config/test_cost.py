"""What `costTracking` says: prices exactly as written, and what keeps costs from being known."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from gateway import resources
from gateway.config.cost import MAX_AGE_DAYS
from gateway.config.loading import load
from gateway.config.settings import Settings
from gateway.cost.pricing import Pricing
from gateway.cost.tariffs import CostSettings, PriceOverride
from gateway.errors import ConfigError
from gateway.wire.usage import Usage

TAKEN = date.fromisoformat(resources.prices()["as_of"])
LAST_DAY = TAKEN + timedelta(days=MAX_AGE_DAYS)


def settings(folder: Path, costs: str, today: date | None = None) -> Settings:
    text = f'{{"llmGateway": {{"costTracking": {costs}}}}}'
    (folder / "orchestra-config.json").write_text(text)
    return load(folder, folder, today)


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        ("3", "3"),
        ("0.1", "0.1"),
        ("0.30000000000000000", "0.3"),
        ("3e-1", "0.3"),
        ("1.10", "1.1"),
        ("4.999999", "4.999999"),
        ("0.000001", "0.000001"),
        ("10000.0", "10000"),
        ("0", "0"),
    ],
)
def test_price_is_read_as_it_is_written(tmp_path: Path, written: str, exact: str) -> None:
    costs = (
        f'{{"pricingOverrides": {{"m": {{"inputPerMillion": {written}, "outputPerMillion": 1}}}}}}'
    )
    found = settings(tmp_path, costs)
    assert found.costs == CostSettings(
        overrides=(("m", PriceOverride(Decimal(exact), Decimal(1))),)
    )
    cost = Pricing.parse(resources.prices(), found.costs).cost(Usage(input_tokens=1), "m")
    assert cost == Decimal(exact) * 10**6
    assert found.warnings == ()


def test_three_tenths_is_three_times_a_tenth(tmp_path: Path) -> None:
    row = '{"inputPerMillion": 0.1, "outputPerMillion": 0.2, "cacheReadPerMillion": 0.3}'
    found = settings(tmp_path, f'{{"pricingOverrides": {{"m": {row}}}}}')
    pricing = Pricing.parse(resources.prices(), found.costs)
    both = pricing.cost(Usage(input_tokens=1, output_tokens=1), "m")
    assert both == pricing.cost(Usage(cache_read_tokens=1), "m") == 300_000


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{"inputPerMillion": 1}', "Overrides.m.outputPerMillion: must be given"),
        ('{"cacheReadPerMillion": 1}', "Overrides.m.inputPerMillion: must be given"),
        (
            '{"inputPerMillion": 0.0000001, "outputPerMillion": 1}',
            "m.inputPerMillion: 1E-7 is not a price",
        ),
        (
            '{"inputPerMillion": 1e-999999, "outputPerMillion": 1}',
            "Million: 1E-999999 is not a price",
        ),
        ('{"inputPerMillion": -0.5, "outputPerMillion": 1}', "must be at least 0; write USD per"),
        ('{"inputPerMillion": 10000.5, "outputPerMillion": 1}', "must be at most 10000; write USD"),
        ('{"inputPerMillion": 1e999999, "outputPerMillion": 1}', "must be at most 10000"),
        ('{"inputPerMillion": 1e9999999999999999999, "outputPerMillion": 1}', "number of any use"),
        ('{"inputPerMillion": "3", "outputPerMillion": 1}', "must be of type number"),
        ('{"inputPerMillion": NaN, "outputPerMillion": 1}', "NaN is not JSON"),
        ('{"inputPerMillon": 1, "outputPerMillion": 1}', 'write "inputPerMillion"'),
        ("{}", "write at least inputPerMillion and outputPerMillion"),
    ],
)
def test_price_that_cannot_be_used_is_an_error(tmp_path: Path, row: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, f'{{"pricingOverrides": {{"m": {row}}}}}')
    assert words in str(caught.value)
    assert "orchestra-config.json" in str(caught.value)


def test_part_of_a_known_models_prices_is_enough(tmp_path: Path) -> None:
    found = settings(
        tmp_path, '{"pricingOverrides": {"claude-opus-5": {"outputPerMillion": 20.5}}}'
    )
    price = Pricing.parse(resources.prices(), found.costs).price("claude-opus-5")
    assert price is not None
    assert (price.input, price.output) == (5_000_000, 20_500_000)


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ("{}", []),
        ('{"enabled": true}', []),
        ('{"enabled": false}', ["costTracking.enabled: is false, so no request has a cost (null)"]),
        (
            '{"enabled": false, "pricingOverrides": {"claude-opus-5": {"inputPerMillion": 1}}}',
            ["so no request has a cost", "costTracking.pricingOverrides: has no effect"],
        ),
    ],
)
def test_costs_that_are_switched_off_are_said_to_be(
    tmp_path: Path, costs: str, said: list[str]
) -> None:
    found = settings(tmp_path, costs, LAST_DAY)
    assert len(found.warnings) == len(said)
    for warning, words in zip(found.warnings, said, strict=True):
        assert words in warning
        assert "orchestra-config.json" in warning


def test_costs_that_are_switched_off_are_unknown(tmp_path: Path) -> None:
    off = settings(tmp_path, '{"enabled": false}').costs
    pricing = Pricing.parse(resources.prices(), off)
    assert pricing.cost(Usage(1), "claude-opus-5") is None
    assert pricing.cost_saved(Usage(1), "claude-opus-5", None) is None
    assert pricing.rewrite(Usage(), "claude-opus-5") == (0, 0)


@pytest.mark.parametrize(
    ("today", "old"),
    [(None, False), (TAKEN, False), (LAST_DAY, False), (LAST_DAY + timedelta(days=1), True)],
)
def test_old_price_table_is_warned_about(tmp_path: Path, today: date | None, *, old: bool) -> None:
    warnings = settings(tmp_path, "{}", today).warnings
    assert bool(warnings) is old
    for warning in warnings:
        assert f"the prices are of {TAKEN}, {MAX_AGE_DAYS + 1} days old" in warning


def test_age_does_not_matter_while_nothing_is_priced(tmp_path: Path) -> None:
    found = settings(tmp_path, '{"enabled": false}', TAKEN + timedelta(days=999))
    assert [warning for warning in found.warnings if "days old" in warning] == []
