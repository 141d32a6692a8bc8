"""What an answer costs, to the picodollar, or that it is not known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway import resources
from gateway.cost.pricing import Pricing, usd, usd_text
from gateway.cost.tariffs import CostSettings, PriceError, PriceOverride, Tariff
from gateway.wire.usage import STANDARD, Terms, Usage

GOLDEN = json.loads((resources.schema_dir() / "price-vectors.json").read_bytes())
NAMES = ("inputPerMillion", "outputPerMillion", "cacheWritePerMillion", "cacheReadPerMillion")
PLAIN = GOLDEN["table"]["models"]["plain"]
TWICE = {name: str(Decimal(rate) * 2) for name, rate in PLAIN.items()}
HALF = {name: str(Decimal(rate) / 2) for name, rate in PLAIN.items()}
FULL = {**PLAIN, "web_search_per_1k": "10", "fast": {**TWICE, "web_search_per_1k": "10"}}
TIERS = {**PLAIN, "fast": TWICE, "priority": TWICE, "flex": HALF}
TABLE: Mapping[str, Any] = {  # Any: a JSON document
    **GOLDEN["table"],
    "models": {**GOLDEN["table"]["models"], "full": {**FULL, "batch": HALF}, "tiers": TIERS},
}
PRICING = Pricing.parse(TABLE)
USAGE = Usage(1000, 500)
ONE = Usage(1, 1, 1, 1, 1)


@pytest.mark.parametrize(
    "vector", GOLDEN["vectors"], ids=[one["case"] for one in GOLDEN["vectors"]]
)
def test_cost_equals_the_golden_vectors(vector: dict[str, Any]) -> None:  # Any: JSON
    overrides = tuple(
        (model, PriceOverride(*(Decimal(row[name]) if name in row else None for name in NAMES)))
        for model, row in vector["overrides"].items()
    )
    usage = Usage(**{f"{name}_tokens": count for name, count in vector["usage"].items()})
    pricing = Pricing.parse(GOLDEN["table"], CostSettings(overrides=overrides))
    assert pricing.cost(usage, vector["model"]) == vector["picodollars"]


@pytest.mark.parametrize(
    ("model", "terms", "pico"),
    [
        ("full", STANDARD, 10_500_000_000),
        ("full", Terms(speed="fast"), 21_000_000_000),
        ("full", Terms(tier="batch"), 5_250_000_000),
        ("full", Terms(geo="us"), 11_550_000_000),
        ("full", Terms(speed="fast", geo="us"), 23_100_000_000),
        ("full", Terms(geo="eu"), None),
        ("full", Terms(tier="priority"), None),
        ("full", Terms(tier="batch", speed="fast"), None),
        ("full", Terms(speed="slow"), None),
        ("full", Terms(other="fallback_message"), None),
        ("tiers", Terms(tier="priority"), 21_000_000_000),
        ("tiers", Terms(tier="fast"), 21_000_000_000),
        ("tiers", Terms(tier="flex"), 5_250_000_000),
        ("tiers", Terms(tier="batch"), None),
        ("tiers", Terms(tier="scale"), None),
        ("tiers", Terms(tier="flex", other="audio"), None),
        ("tiers", Terms(other="audio"), None),
        ("plain", Terms(speed="fast"), None),
        ("plain", Terms(tier="batch"), None),
        ("plain", Terms(geo="us"), 11_550_000_000),
    ],
)
def test_terms_have_their_price_or_none(model: str, terms: Terms, pico: int | None) -> None:
    assert PRICING.cost(replace(USAGE, terms=terms), model) == pico


@pytest.mark.parametrize(
    ("model", "usage", "pico"),
    [
        ("full", replace(USAGE, web_searches=3), 40_500_000_000),
        ("full", Usage(web_searches=1), 10_000_000_000),
        ("full", replace(USAGE, web_searches=3, terms=Terms(geo="us")), 41_550_000_000),
        ("full", replace(USAGE, web_searches=1, terms=Terms(speed="fast")), 31_000_000_000),
        ("plain", replace(USAGE, web_searches=1), None),
        ("unknown", Usage(web_searches=1), None),
    ],
)
def test_search_is_priced_apart_from_tokens(model: str, usage: Usage, pico: int | None) -> None:
    assert PRICING.cost(usage, model) == pico


SUMMARY = (None, Usage(180_000, 3_500))
ANSWER = (None, Usage(23_000, 1_000))
HALFWAY = (None, Usage(60_000))
ADVICE = ("plain", Usage(1_000, 100))


@pytest.mark.parametrize(
    ("model", "usage", "pico"),
    [
        ("plain", replace(ANSWER[1], steps=(SUMMARY, ANSWER)), 676_500_000_000),
        ("long", Usage(120_000, steps=(HALFWAY, HALFWAY)), 12_000_000_000),
        ("long", Usage(120_000), 60_000_000_000),
        ("long", Usage(100, 10, steps=((None, Usage(100, 10)), ADVICE)), 4_515_000_000),
        ("long", Usage(100, 10, steps=((None, Usage(100, 10)), ("unknown", Usage(1)))), None),
        ("full", Usage(1, steps=((None, Usage(1)), ADVICE), terms=Terms(speed="fast")), None),
        ("full", Usage(1, steps=((None, Usage(1)), ADVICE), terms=Terms(geo="us")), 4_953_300_000),
    ],
)
def test_steps_are_priced_one_by_one(model: str, usage: Usage, pico: int | None) -> None:
    assert PRICING.cost(usage, model) == pico


@pytest.mark.parametrize(("tokens", "pico"), [(1, 1), (4, 4), (5, 6), (10, 11)])
def test_part_of_a_picodollar_is_rounded(tokens: int, pico: int) -> None:
    override = PriceOverride(input=Decimal("0.000001"))
    pricing = Pricing.parse(TABLE, CostSettings(overrides=(("plain", override),)))
    assert pricing.cost(Usage(tokens, terms=Terms(geo="us")), "plain") == pico


def test_price_given_leaves_fast_answers_batches_and_searches_alone() -> None:
    override = PriceOverride(*(Decimal(1),) * 4)
    pricing = Pricing.parse(TABLE, CostSettings(overrides=(("full", override),)))
    assert pricing.cost(ONE, "full") == 5_600_000
    assert pricing.cost(replace(ONE, terms=Terms(speed="fast")), "full") == 56_100_000
    assert pricing.cost(replace(ONE, terms=Terms(tier="batch")), "full") == 14_025_000
    assert pricing.cost(Usage(web_searches=1), "full") == 10_000_000_000


def test_cost_that_no_ledger_can_hold_is_unknown() -> None:
    override = PriceOverride(input=Decimal(10_000))
    pricing = Pricing.parse(TABLE, CostSettings(overrides=(("plain", override),)))
    assert pricing.cost(Usage(900_000_000), "plain") == 9 * 10**18
    assert pricing.cost(Usage(10**10), "plain") is None


@pytest.mark.parametrize(
    ("key", "override"),
    [
        ("house.output", PriceOverride(input=Decimal(1))),
        ("house.input", PriceOverride(output=Decimal(1))),
        ("house.input", PriceOverride(input=Decimal("NaN"))),
        ("house.output", PriceOverride(output=Decimal(-1))),
        ("house.cache_write_5m", PriceOverride(cache_write=Decimal(10_001))),
        ("house.cache_read", PriceOverride(cache_read=Decimal("1.0000001"))),
        ("house.cache_read", PriceOverride(cache_read=Decimal(f"1.{'0' * 40}1"))),
    ],
)
def test_override_that_cannot_be_used_is_refused(key: str, override: PriceOverride) -> None:
    with pytest.raises(PriceError) as caught:
        Pricing.parse(TABLE, CostSettings(overrides=(("house", override),)))
    assert f"{caught.value.model}.{caught.value.kind}" == key


@pytest.mark.parametrize("price", ["x", "-1", "NaN", "Infinity", "0.0000001"])
def test_unusable_price_of_the_table_is_refused(price: str) -> None:
    with pytest.raises(ValueError, match=r"m\.fast\.cache_read"):
        row = {**PLAIN, "fast": {**PLAIN, "cache_read": price}}
        Pricing.parse({**TABLE, "models": {"m": row}})


def test_saving_is_the_difference_or_unknown() -> None:
    billed = PRICING.cost(USAGE, "dated")
    assert PRICING.cost_saved(USAGE, "plain", billed) == 7_000_000_000
    assert PRICING.cost_saved(USAGE, "nothing", billed) is None
    assert PRICING.cost_saved(USAGE, "plain", None) is None


def test_saving_prices_the_adviser_at_its_own_model() -> None:
    usage = Usage(100, 10, steps=((None, Usage(100, 10)), ADVICE))
    billed = PRICING.cost(usage, "dated")
    assert PRICING.cost_saved(usage, "plain", billed) == 300_000_000


def test_rewrite_is_what_a_write_costs_more_than_a_read() -> None:
    assert PRICING.rewrite(Usage(), "plain") == (3_450_000, 5_700_000)
    assert PRICING.rewrite(Usage(), "nothing") == (0, 0)


def test_shipped_table_is_priced_and_reads_cost_less_than_writes() -> None:
    prices = resources.prices()
    pricing = Pricing.parse(prices)
    for model in prices["models"]:
        price = pricing.price(model)
        assert price is not None
        if model.startswith("claude-"):
            assert price.cache_read < price.input < price.cache_write_5m < price.cache_write_1h
        else:
            assert price.cache_read <= price.input <= price.cache_write_5m == price.cache_write_1h


@pytest.mark.parametrize(
    ("model", "terms", "pico"),
    [
        ("gpt-5", STANDARD, 6_250_000_000),
        ("gpt-5-2025-08-07", Terms(tier="flex"), 3_125_000_000),
        ("gpt-5-2025-08-07", Terms(tier="priority"), 12_500_000_000),
        ("gpt-5-2025-08-07", Terms(tier="scale"), None),
        ("gpt-4o-2024-11-20", STANDARD, 7_500_000_000),
        ("gpt-4o-2024-05-13", STANDARD, 12_500_000_000),
        ("gpt-audio", STANDARD, 7_500_000_000),
        ("gpt-audio", Terms(other="audio"), None),
        ("gpt-4o-mini-search-preview", STANDARD, None),
        ("deepseek-chat", STANDARD, None),
        ("gpt-oss-20b", STANDARD, None),
    ],
)
def test_shipped_table_prices_what_its_vendor_tells_exactly(
    model: str, terms: Terms, pico: int | None
) -> None:
    assert Pricing.parse(resources.prices()).cost(replace(USAGE, terms=terms), model) == pico


@given(st.integers(-(10**24), 10**24))
def test_dollars_are_exact(pico: int) -> None:
    assert usd(pico) * 10**12 == pico
    assert "E" not in f"{usd(pico):f}"
    text = usd_text(pico).decode()
    part = text.partition(".")[2]
    assert Decimal(text) * 10**12 == pico
    assert len(part) <= 12
    assert not part.endswith("0")


def test_terms_do_not_depend_on_the_region() -> None:
    price = PRICING.price("plain")
    assert price is not None
    tariff = Tariff(price)
    assert tariff.on(Terms(geo="us")) is tariff


COUNTS = st.integers(0, 10**7)


@given(
    usages=st.lists(st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS), min_size=1),
    model=st.sampled_from(["plain", "plain-20250101", "long", "long-20250101", "full", "nothing"]),
)
def test_tokens_cost_their_price_however_often_a_model_was_asked_for(
    usages: list[Usage], model: str
) -> None:
    again = Pricing.parse(TABLE)
    tariff = again._table.get(model.removesuffix("-20250101"))
    for usage in usages:
        price = None if tariff is None else tariff.price_of(usage)
        expected = price and (
            usage.input_tokens * price.input
            + usage.output_tokens * price.output
            + usage.cache_write_5m_tokens * price.cache_write_5m
            + usage.cache_write_1h_tokens * price.cache_write_1h
            + usage.cache_read_tokens * price.cache_read
        )
        assert again.cost(usage, model) == Pricing.parse(TABLE).cost(usage, model) == expected


def test_only_so_many_ids_are_remembered_and_none_without_a_price() -> None:
    pricing = Pricing.parse(TABLE)
    held = len(pricing._known)
    for number in range(2000):
        assert pricing.cost(USAGE, f"plain-{number:08d}") == pricing.cost(USAGE, "plain")
        assert pricing.cost(USAGE, f"nothing-{number:08d}") is None
    found = pricing._known.keys() - pricing._table.keys()
    assert 0 < len(found) <= len(pricing._known) - held <= 256
    assert all(model.startswith("plain-") for model in found)
