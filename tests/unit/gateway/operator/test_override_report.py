"""The one line that says what the overrides did, in each form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from gateway.config.settings import ReportFormat
from gateway.operator.override_report import MOST, override_report

Row = Mapping[str, Any]  # Any: JSON values


def row(target: str = "haiku", count: int = 2, saved: str | None = "$0.50") -> Row:
    usd = None if saved is None else Decimal("0.5")
    return {
        "overridden_to": target,
        "count": count,
        "percentage": 100.0,
        "cost_saved": saved,
        "cost_saved_usd": usd,
    }


def statistics(**rows: Row) -> Mapping[str, Any]:  # Any: JSON values
    return {
        "total_overrides": sum(one["count"] for one in rows.values()),
        "overrides_enabled": True,
        "total_requests": 24,
        "unmatched_requests": 4,
        "overrides_by_model": rows,
        "recent_overrides": [{"original_model": "sonnet"}],
    }


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (statistics(), "0 of 24 requests went to another model"),
        (
            statistics(sonnet=row(), opus=row("sonnet", 1, None)),
            "3 of 24 requests went to another model; sonnet → haiku 2, saved $0.50;"
            " opus → sonnet 1",
        ),
    ],
)
def test_text_is_for_people(found: Mapping[str, Any], text: str) -> None:  # Any: JSON values
    assert override_report(found, ReportFormat.TEXT) == text


def test_json_holds_the_figures_of_the_statistics() -> None:
    text = override_report(statistics(sonnet=row()), ReportFormat.JSON)
    assert text is not None
    assert "\n" not in text
    assert json.loads(text, parse_float=Decimal) == {
        "total_overrides": 2,
        "total_requests": 24,
        "unmatched_requests": 4,
        "overrides_by_model": {"sonnet": {**row(), "percentage": 100}},
    }


def test_silent_is_no_report() -> None:
    assert override_report(statistics(sonnet=row()), ReportFormat.SILENT) is None


@pytest.mark.parametrize("form", [ReportFormat.JSON, ReportFormat.TEXT])
def test_names_from_outside_stay_on_the_line_and_keep_no_secret(form: ReportFormat) -> None:
    rows = {"a\nERROR b": row("sk-ant-api03-secret")}
    text = override_report(statistics(**rows), form)
    assert text is not None
    assert "\n" not in text
    assert "secret" not in text
    assert "a ERROR b" in text


def test_only_the_most_frequent_models_are_named() -> None:
    rows = {f"model-{number}": row(count=100 - number) for number in range(MOST + 5)}
    text = override_report(statistics(**rows), ReportFormat.TEXT)
    assert text is not None
    assert text.count("→") == MOST
    assert f"model-{MOST} " not in text
