"""The price table made from genai-prices: every price kept, everything else refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from jsonschema import Draft202012Validator

from cco_migrate import resources
from cco_migrate.commands import development
from cco_migrate.errors import InvalidInput
from cco_migrate.model import JsonObject
from cco_migrate.pricing.model_ids import undated
from cco_migrate.pricing.price_table import REGIONS, UNIT, Difference, differences, table
from cco_migrate.pricing.vendors import VENDORS
from cco_migrate.world import Clock, World

DAY = datetime(2026, 11, 21, 6, tzinfo=UTC)
FLAT = {
    "input_mtok": Decimal(3),
    "output_mtok": Decimal(15),
    "cache_write_mtok": Decimal("3.75"),
    "cache_write_1h_mtok": Decimal("6.0"),
    "cache_read_mtok": Decimal("0.30"),
}
ROW = {
    "input": "3", "output": "15", "cache_write_5m": "3.75", "cache_write_1h": "6",
    "cache_read": "0.3",
}  # fmt: skip
BOTH = ClauseOr([ClauseEquals("m"), ClauseEquals("n")])
Row = Mapping[str, Any]  # Any: JSON values


def model(name: str = "m", **more: Any) -> ModelInfo:  # Any: fields of a foreign class
    fields = {"match": ClauseEquals(name), "prices": ModelPrice(**FLAT), **more}
    return ModelInfo(id=name, **fields)


def made(*models: ModelInfo, vendor: str = "anthropic") -> JsonObject:
    return table({vendor: models}, "1.0", DAY)


def row(*models: ModelInfo, vendor: str = "anthropic") -> Row:
    (found,) = made(*models, vendor=vendor)["models"].values()
    return dict(found)


def test_table_names_its_day_and_source() -> None:
    assert made(model()) == {
        "$schema": "../prices.schema.json",
        "as_of": "2026-11-21",
        "source": "genai-prices 1.0 (list prices published by Anthropic)",
        "unit": UNIT,
        "regions": REGIONS,
        "models": {"m": ROW},
    }


def tiers(**prices: tuple[int, str]) -> ModelPrice:
    """Return prices of which some change at a number of prompt tokens."""
    steps = {
        key: TieredPrices(FLAT[key], [Tier(start, Decimal(price))])
        for key, (start, price) in prices.items()
    }
    return ModelPrice(**{**FLAT, **steps})  # type: ignore[arg-type]  # prices of both kinds


def since(day: int | None, price: str) -> ConditionalPrice:
    prices = ModelPrice(**{**FLAT, "input_mtok": Decimal(price)})
    constraint = None if day is None else StartDateConstraint(date(2026, 11, day))
    return ConditionalPrice(prices=prices, constraint=constraint)


def by_night(price: str) -> ConditionalPrice:
    hours = TimeOfDateConstraint(time(1, tzinfo=UTC), time(4, tzinfo=UTC))
    return ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(price)), constraint=hours)


def variant(when: Mapping[str, str], start: date | None = None) -> PriceVariant:
    constraint = None if start is None else StartDateConstraint(start)
    return PriceVariant(dict(when), ModelPrice(input_mtok=Decimal("1E+1")), constraint)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (model(), ROW),
        (
            model(prices=ModelPrice(**FLAT, web_searches_kcount=Decimal(10))),
            {**ROW, "web_search_per_1k": "10"},
        ),
        (
            model(prices=tiers(input_mtok=(200_000, "6"), output_mtok=(200_000, "22.50"))),
            {**ROW, "long_prompt": {**ROW, "above_tokens": 200000, "input": "6", "output": "22.5"}},
        ),
        (model(prices=[since(None, "3"), since(21, "2"), since(22, "1")]), {**ROW, "input": "2"}),
        (
            model(price_variants=[variant({"speed": "fast"}), variant({"processing": "batch"})]),
            {**ROW, "fast": {**ROW, "input": "10"}, "batch": {**ROW, "input": "10"}},
        ),
        (model(price_variants=[variant({"speed": "fast"}, date(2026, 11, 22))]), ROW),
        (
            model(price_variants=[variant({"speed": "fast"}, date(2026, 11, 21))]),
            {**ROW, "fast": {**ROW, "input": "10"}},
        ),
    ],
)  # fmt: skip
def test_every_kind_of_price_is_kept(one: ModelInfo, expected: Row) -> None:
    assert row(one) == expected
    Draft202012Validator(resources.schema("prices")).validate(made(one))


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (model(prices=ModelPrice(**FLAT, output_audio_mtok=Decimal(1))), "output_audio_mtok cann"),
        (model(prices=ModelPrice(input_mtok=Decimal(1))), "m: the price cache_read_mtok, cache_wr"),
        (model(price_variants=[variant({"geo": "us"})]), "m: prices for {'geo': 'us'} cannot"),
        (model(price_variants=[variant({"speed": "fast", "processing": "batch"})]), "cannot be ex"),
        (model(price_variants=[variant({"service_tier": "scale"})]), "'scale'} cannot"),
        (model(price_variants=[variant({"service_tier": "default"})]), "m: the usual tier has a p"),
        (model(prices=[since(None, "3"), by_night("1")]), "m: prices by the time of day cannot"),
        (
            model(prices=tiers(input_mtok=(200_000, "6"), output_mtok=(100_000, "20"))),
            "m: more than one length of prompt",
        ),
    ],
)  # fmt: skip
def test_what_the_table_cannot_express_is_refused(one: ModelInfo, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        made(one)


def test_ids_are_those_that_requests_carry() -> None:
    found = made(model("claude-3-haiku"), model("claude-2"), model("new"))["models"]
    assert list(found) == ["claude-3-haiku-20240307", "new"]


@pytest.mark.parametrize(
    ("match", "ids"),
    [
        (ClauseEquals("m"), ["m"]),
        (ClauseStartsWith("m"), ["m"]),
        (ClauseOr([ClauseEquals("m-chat"), ClauseEquals("m")]), ["m", "m-chat"]),
        (ClauseOr([ClauseEquals("m-2026-01-31"), ClauseEquals("m-20260131")]), [
            "m-2026-01-31", "m-20260131",
        ]),
        (ClauseOr([ClauseEquals("m-2026-01-31"), ClauseEquals("m")]), ["m"]),
        (ClauseOr([ClauseEquals("m"), ClauseRegex("^m-\\d+$")]), ["m"]),
        (ClauseOr([ClauseEquals("m"), ClauseOr([ClauseEquals("m.1")])]), ["m", "m.1"]),
    ],
)  # fmt: skip
def test_ids_are_those_the_data_names_in_full(match: ClauseOr, ids: list[str]) -> None:
    assert list(made(model(match=match))["models"]) == ids


def test_price_of_a_cache_that_is_not_listed_is_the_inputs() -> None:
    listed = {"input_mtok": Decimal(3), "output_mtok": Decimal(15)}
    write = {"cache_write_mtok": Decimal("3.75")}
    plain = {**ROW, "cache_write_5m": "3", "cache_write_1h": "3", "cache_read": "3"}
    for vendor in ("openai", "deepseek"):
        assert row(model(prices=ModelPrice(**listed)), vendor=vendor) == plain
        written = {**plain, "cache_write_5m": "3.75", "cache_write_1h": "3.75"}
        assert row(model(prices=ModelPrice(**listed, **write)), vendor=vendor) == written


def test_step_of_the_input_holds_for_a_cache_that_is_not_listed() -> None:
    prices = ModelPrice(
        input_mtok=TieredPrices(Decimal(3), [Tier(9, Decimal(6))]), output_mtok=Decimal(15)
    )
    caches = {"cache_write_5m": "6", "cache_write_1h": "6", "cache_read": "6"}
    long = {"above_tokens": 9, "input": "6", "output": "15", **caches}
    assert row(model(prices=prices), vendor="openai")["long_prompt"] == long


def test_every_service_tier_is_kept_and_the_usual_one_is_the_plain_price() -> None:
    tiers = ("default", "fast", "priority", "flex")
    usual = PriceVariant({"service_tier": "default"}, ModelPrice(input_mtok=Decimal("3.0")))
    others = [variant({"service_tier": tier}) for tier in tiers[1:]]
    one = model(price_variants=[usual, *others, variant({"processing": "batch"})])
    dear = {**ROW, "input": "10"}
    assert row(one) == {**ROW, **dict.fromkeys(("fast", "priority", "flex", "batch"), dear)}
    Draft202012Validator(resources.schema("prices")).validate(made(one))


def test_what_no_answer_is_billed_by_is_left_out() -> None:
    apart = {"web_searches_kcount": Decimal(10), "output_audio_mtok": Decimal(64)}
    assert row(model(prices=ModelPrice(**FLAT, **apart)), vendor="openai") == ROW


@pytest.mark.parametrize(
    "models",
    [{"openai": [model()], "deepseek": [model()]}, {"openai": [model(), model("n", match=BOTH)]}],
)
def test_id_of_two_models_is_refused(models: Mapping[str, list[ModelInfo]]) -> None:
    with pytest.raises(InvalidInput, match="m: two models have this id"):
        table(models, "1.0", DAY)


def test_every_id_belongs_to_the_model_it_is_listed_for() -> None:
    for key, vendor in VENDORS.items():
        models = next(one.models for one in providers if one.id == key)
        by_id = {one.id: one for one in models}
        wrong = [
            name
            for one, names in vendor.ids.items()
            for name in names
            if not by_id[one].is_match(name)
        ]
        assert (vendor.ids.keys() - by_id.keys(), wrong) == (set(), [])
        for name in vendor.left_out:
            assert name in by_id or any(one.is_match(name) for one in models), name


def test_azure_asks_the_prices_of_openai_where_the_data_has_both() -> None:
    by_vendor = {one.id: one.models for one in providers}
    listed = table({"openai": by_vendor["openai"]}, "1.0", DAY)["models"]
    same = 0
    for one in by_vendor["azure"]:
        name = undated(one.id)
        if name in listed:
            same += 1
            assert row(replace(one, match=ClauseEquals(one.id)), vendor="openai").items() <= (
                listed[name].items()
            )
    assert same >= 6


def test_differences_are_told_by_model_and_price() -> None:
    long = {"above_tokens": 9, **ROW}
    old = {"regions": {"us": "1.1"}, "models": {"a": ROW, "b": {**ROW, "fast": ROW}, "gone": ROW}}
    new = {
        "regions": {"us": "1.2"},
        "models": {
            "a": {**ROW, "input": "1.5", "output": "20"},
            "b": {**ROW, "long_prompt": long, "fast": {**ROW, "input": "3.3"}},
            "new": ROW,
        },
    }
    assert [str(one) for one in differences(old, new)] == [
        "regions: us 1.1 → 1.2 (+9.1 %)",
        "a: input 3 → 1.5 (-50.0 %)",
        "a: output 15 → 20 (+33.3 %)",
        "b: fast.input 3 → 3.3 (+10.0 %)",
        "b: long_prompt.above_tokens unknown → 9",
        "b: long_prompt.input unknown → 3",
        "b: long_prompt.output unknown → 15",
        "b: long_prompt.cache_write_5m unknown → 3.75",
        "b: long_prompt.cache_write_1h unknown → 6",
        "b: long_prompt.cache_read unknown → 0.3",
        "gone: gone",
        "new: new",
    ]
    assert differences(old, old) == ()


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [("0", "1", "m: input 0 → 1"), ("2", None, "m: input 2 → unknown"), (None, "2", "→ 2")],
)
def test_change_without_a_ratio_has_no_percentage(
    old: str | None, new: str | None, text: str
) -> None:
    assert text in str(Difference("m", "input", old, new))
    assert "%" not in str(Difference("m", "input", old, new))


class FixedClock(Clock):
    """A clock that stands still on another day than the table's."""

    def now(self) -> datetime:
        """Return the day."""
        return datetime(2027, 1, 2, tzinfo=UTC)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    path = tmp_path / "prices.json"
    path.write_bytes((resources.schema_dir() / "data" / "prices.json").read_bytes())
    return path


def world() -> World:
    real = World.real()
    return World(real.files, real.processes, real.http, FixedClock())


def test_checked_in_table_is_the_installed_packages(copy: Path) -> None:
    before = copy.read_bytes()
    checked = development.update_prices(world(), copy, check=True)
    written = development.update_prices(world(), copy, check=False)
    assert (checked.text, checked.code) == (written.text, 0)
    assert copy.read_bytes() == before, "the same package gives the same day and the same bytes"


@pytest.mark.parametrize("what", ["price", "source"])
def test_stale_table_is_told_and_then_written(copy: Path, what: str) -> None:
    good = json.loads(copy.read_bytes())
    old = json.loads(copy.read_bytes())
    if what == "price":
        old["models"]["claude-haiku-4-5"]["input"] = "0.8"
    else:
        old["source"] = "genai-prices 0.1.0"
    stale = json.dumps(old).encode()
    copy.write_bytes(stale)
    checked = development.update_prices(world(), copy, check=True)
    assert (checked.code, copy.read_bytes()) == (9, stale)
    assert ("claude-haiku-4-5: input 0.8 → 1 (+25.0 %)" in checked.text) is (what == "price")
    written = development.update_prices(world(), copy, check=False)
    assert (written.code, written.document["written"]) == (0, True)
    assert json.loads(copy.read_bytes()) == {**good, "as_of": "2027-01-02"}
