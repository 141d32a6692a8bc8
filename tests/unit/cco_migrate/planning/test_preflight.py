"""What the preflight says about prices: how old they are, and which the files add."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from cco_migrate.checks.configuration import findings
from cco_migrate.config import ConfigName
from cco_migrate.costs import CostTracking
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.inputs import Verification
from cco_migrate.model import Instance
from cco_migrate.planning.overrides_preflight import MAX_PRICE_AGE_DAYS, check_prices
from cco_migrate.planning.preflight import Mark
from cco_migrate.verdict import Severity

TAKEN = CostTracking().prices().as_of
PATH = Path("model-overrides.toml")
RULES = b'[overrides]\nrules = [["claude-sonnet-4-5", "house-model"]]\n'
HOUSE = b'{"llmGateway": {"costTracking": {"pricingOverrides": {"house-model": {%s}}}}}'


@pytest.mark.parametrize(
    ("age_days", "marks"),
    [(0, []), (MAX_PRICE_AGE_DAYS, []), (MAX_PRICE_AGE_DAYS + 1, [Mark.WARN])],
)
def test_old_prices_are_warned_about(
    instance_at: Callable[[str], Instance], age_days: int, marks: list[Mark]
) -> None:
    files = dict.fromkeys(ConfigName)
    inputs = Inputs(
        instance_at("http://127.0.0.1:9"), files, fix=False, replace=True, known_models=(),
        verification=Verification(),
    )  # fmt: skip
    lines = check_prices(inputs, TAKEN + timedelta(days=age_days))
    assert [line.mark for line in lines] == marks
    for line in lines:
        assert f"the prices are of {TAKEN}, {age_days} days old" in line.text


@pytest.mark.parametrize(
    ("orchestra", "rules"),
    [
        (None, {"override-unknown-target": "warning", "override-unpriced-target": "warning"}),
        (HOUSE % b'"inputPerMillion": 1, "outputPerMillion": 2', {}),
        (
            HOUSE % b'"inputPerMillion": 1',
            {
                "override-unknown-target": "warning",
                "override-unpriced-target": "warning",
                "cost-unknown-model": "error",
            },
        ),
        (
            b'{"llmGateway": {"costTracking": {"enabled": false}}}',
            {
                "override-unknown-target": "warning",
                "override-unpriced-target": "warning",
                "cost-switched-off": "warning",
            },
        ),
    ],
)
def test_model_with_prices_of_the_files_is_known_and_priced(
    orchestra: bytes | None, rules: Mapping[str, str]
) -> None:
    files = {ConfigName.OVERRIDES: RULES, ConfigName.ORCHESTRA: orchestra}
    found = findings(files, PATH, None)
    assert {one.rule: one.severity for one in found} == {
        rule: Severity(severity) for rule, severity in rules.items()
    }
