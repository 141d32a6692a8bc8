"""Criteria as data: the table, the file that changes it, and its schema."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from cco_migrate import resources
from cco_migrate.criteria import CRITERIA, from_json, read_criteria, to_json
from cco_migrate.editing.documents import Format, index
from cco_migrate.errors import InvalidInput
from cco_migrate.judge.criterion import Bounds, Criterion, Kind, Mode, Traffic
from cco_migrate.validate import Source, validate
from cco_migrate.verdict import Verdict

PATH = Path("criteria.json")


def read(document: object) -> Any:  # Any: JSON
    return read_criteria(json.dumps(document, indent=1).encode(), PATH)


def test_table_has_the_figures_of_the_documents() -> None:
    figures = {
        name: (one.bounds.go, one.bounds.no_go)
        for name, one in CRITERIA.items()
        if one.bounds.no_go not in (0, 1)
    }
    assert figures == {
        "start-failures": (0.05, 0.05),
        "streaming-failures": (0.10, 0.10),
        "error-rate": (0.001, 0.001),
        "availability": (0.001, 0.001),
        "latency-ratio": (1.25, 1.50),
        "throughput-ratio": (0.75, 0.50),
        "latency-average": (500, 500),
        "cache-hit-rate": (0.30, 0.30),
        "complaints": (None, 0.10),
    }
    assert CRITERIA["availability"].window_s == 4 * 86_400
    assert CRITERIA["cache-hit-rate"].mode is Mode.OBSERVE
    assert CRITERIA["throughput-ratio"].traffic is Traffic.SYNTHETIC


@pytest.mark.parametrize("name", list(CRITERIA))
def test_every_criterion_survives_its_json_form_and_fits_the_schema(name: str) -> None:
    row = to_json(CRITERIA[name])
    assert from_json(name, row) == CRITERIA[name]
    data = json.dumps({name: row}).encode()
    source = Source(PATH, data, index(data, Format.JSON))
    assert validate({name: row}, resources.schema("criteria"), source) == ()


def test_schema_knows_every_field_and_every_kind() -> None:
    schema: Any = resources.schema("criteria")  # Any: JSON
    known = schema["additionalProperties"]["properties"]
    named = {one.name for kind in (Criterion, Bounds) for one in fields(kind)}
    assert set(known) == named - {"id", "bounds"}
    assert known["kind"]["enum"] == [kind.value for kind in Kind]
    assert all(row["description"] for row in known.values())


def test_no_file_leaves_the_table() -> None:
    assert read_criteria(None, PATH) == CRITERIA
    assert read({}) == CRITERIA


def test_file_changes_the_keys_it_names_and_adds_criteria() -> None:
    new = {"kind": "count", "go": 2, "at_least": True, "quantity": "q", "unit": "u", "source": "s"}
    found = read({"error-rate": {"go": 0.0005, "mode": "observe"}, "ours": new})
    assert found["error-rate"].bounds == Bounds(0.0005, 0.001)
    assert found["error-rate"].mode is Mode.OBSERVE
    assert found["error-rate"].quantity == CRITERIA["error-rate"].quantity
    assert found["ours"] == Criterion("ours", Kind.COUNT, Bounds(2, None, True), "q", "u", "s")
    assert len(found) == len(CRITERIA) + 1


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"error-rate": {"g0": 1}}, "criteria.json:3: error-rate.g0: unknown key"),
        ({"error-rate": {"go": "1"}}, "error-rate.go: is a text, must be a number; write 1"),
        ({"error-rate": {"mode": "enforced"}}, 'must be one of "enforce", "guard", "observe"'),
        ({"error-rate": {"minimum_samples": 0}}, "must be at least 1; write a whole number"),
        ({"error-rate": {"go": 0, "no_go": 5}}, "error-rate: bounds are shares between 0 and 1"),
        ({"latency-ratio": {"go": 0}}, "latency-ratio: bounds are ratios, more than 0"),
        ({"error-rate": {"go": 0.5}}, "error-rate: no_go 0.001 must not lie below go 0.5"),
        ({"throughput-ratio": {"go": 0.4}}, "no_go 0.5 must not lie above go 0.4"),
        ({"error-rate": {"kind": "count"}}, "error-rate.kind: is rate, and cannot be changed"),
        ({"error-rate": {"window_s": 60}}, "window_s belongs to every outage budget"),
        ({"ours": {"kind": "rate", "go": 1}}, "ours: a new criterion needs 'quantity'"),
        (
            {"ours": {"kind": "rate", "quantity": "q", "unit": "u", "source": "s"}},
            "ours: a criterion without bounds decides nothing",
        ),
    ],
)
def test_impossible_criterion_is_refused_with_its_place(document: object, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(document)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("bounds", "interval", "verdict"),
    [
        (Bounds(1.25, 1.50), (1.0, 1.2), Verdict.GO),
        (Bounds(1.25, 1.50), (1.0, 1.3), Verdict.INCONCLUSIVE),
        (Bounds(1.25, 1.50), (1.3, 1.4), Verdict.HOLD),
        (Bounds(1.25, 1.50), (1.4, 1.6), Verdict.INCONCLUSIVE),
        (Bounds(1.25, 1.50), (1.6, 1.7), Verdict.NO_GO),
        (Bounds(None, 0.1), (0.0, 0.0), Verdict.INCONCLUSIVE),
        (Bounds(0.1, None), (0.2, 0.3), Verdict.INCONCLUSIVE),
        (Bounds(0.75, 0.5, at_least=True), (0.8, 0.9), Verdict.GO),
        (Bounds(0.75, 0.5, at_least=True), (0.6, 0.7), Verdict.HOLD),
        (Bounds(0.75, 0.5, at_least=True), (0.3, 0.4), Verdict.NO_GO),
    ],
)
def test_bounds_decide_by_what_is_proved(
    bounds: Bounds, interval: tuple[float, float], verdict: Verdict
) -> None:
    assert bounds.decide(*interval) is verdict


def test_margin_is_the_distance_to_the_go_bound() -> None:
    assert Bounds(0.1, 0.1).margin(0.02, 0.08) == pytest.approx(0.02)
    assert Bounds(0.75, 0.5, at_least=True).margin(0.7, 0.9) == pytest.approx(-0.05)
    assert Bounds(None, 0.1).margin(0.0, 1.0) is None


@pytest.mark.parametrize("bound", [float("nan"), float("inf")])
def test_bound_that_is_no_number_is_refused(bound: float) -> None:
    with pytest.raises(ValueError, match="bounds must be finite numbers"):
        Bounds(bound, None)


def test_impossible_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Criterion("x", Kind.COUNT, Bounds(1, None), "q", "u", "s", staleness_s=0)
