"""What orchestra-config.json says about costs, and what is wrong with it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from cco_migrate.config import ConfigName
from cco_migrate.costs import RULES, CostTracking, known_prices, lint_costs, read_costs
from cco_migrate.editing.documents import Format, parse
from cco_migrate.errors import InvalidInput
from cco_migrate.pricing.prices import PriceOverride
from cco_migrate.verdict import Severity

PATH = Path("orchestra-config.json")
KEY = "llmGateway.costTracking"


def orchestra(costs: str) -> bytes:
    return f'{{"llmGateway": {{\n"costTracking": {{\n{costs}\n}}}}}}'.encode()


def prices(model: str, *rows: str) -> bytes:
    return orchestra(f'"pricingOverrides": {{"{model}": {{\n{",".join(rows)}}}}}')


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, CostTracking()),
        (b"{}", CostTracking()),
        (orchestra('"enabled": false'), CostTracking(enabled=False)),
        (
            prices("m", '"inputPerMillion": 0.1', '"outputPerMillion": 3'),
            CostTracking(overrides={"m": PriceOverride(Decimal("0.1"), Decimal(3))}),
        ),
        (
            prices("claude-opus-5", '"cacheWritePerMillion": 1e-1', '"cacheReadPerMillion": 2.50'),
            CostTracking(
                overrides={
                    "claude-opus-5": PriceOverride(
                        cache_write=Decimal("0.1"), cache_read=Decimal("2.5")
                    )
                }
            ),
        ),
    ],
)
def test_prices_are_read_as_they_are_written(data: bytes | None, expected: CostTracking) -> None:
    assert read_costs(PATH, data) == expected


MAIN = ('"inputPerMillion": 1', '"outputPerMillion": 1')


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (prices("m", *MAIN[:1]), f":3: {KEY}.pricingOverrides.m: no price of it is known: input"),
        (prices("m", *MAIN[1:]), f":3: {KEY}.pricingOverrides.m: no price of it is known: input"),
        (
            prices("m", *MAIN, '"cacheReadPerMillion": 0.0000015'),
            f":4: {KEY}.pricingOverrides.m.cacheReadPerMillion: must be in steps of 0.000001",
        ),
        (
            prices("m", *MAIN, '"cacheReadPerMillion": 1.00000000000000000000000000001'),
            "cacheReadPerMillion: must be in steps of 0.000001",
        ),
        (prices("m", *MAIN, '"cacheReadPerMillion": 10000.5'), "must be at most 10000; write USD"),
        (prices("m", *MAIN, '"cacheReadPerMillion": -1.5'), "must be at least 0; write USD per mi"),
        (prices("m", *MAIN, '"cacheReadPerMillion": "1.5"'), "write 1.5 without quotes"),
        (prices("m", *MAIN, '"cacheReadPerMillion": 1e9999999999999999999'), "of any use"),
    ],
)
def test_price_that_cannot_be_used_is_named_with_its_line(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_costs(PATH, data)
    assert message in str(caught.value)
    assert str(PATH) in str(caught.value)


def test_switched_off_costs_are_a_warning() -> None:
    data = orchestra('"enabled": false')
    document = parse(data, Format.JSON, PATH, decimals=True)
    assert isinstance(document, dict)
    (finding,) = lint_costs(document, PATH, data)
    assert (finding.rule, finding.severity, finding.line) == (
        "cost-switched-off",
        Severity.WARNING,
        3,
    )
    assert all("\n" not in meaning for _, meaning in RULES.values())


@pytest.mark.parametrize("data", [b"{", prices("m", *MAIN[:1]), orchestra('"enabled": 1')])
def test_faulty_file_leaves_the_shipped_prices(data: bytes) -> None:
    table = known_prices({ConfigName.ORCHESTRA: data})
    assert table.ids == known_prices({}).ids
    assert not table.knows("m")


def test_models_of_the_file_are_known() -> None:
    assert known_prices({ConfigName.ORCHESTRA: prices("m", *MAIN)}).knows("m")
