"""Whether a soak can decide in its bake time: what is asked, what is foretold, and how well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cco_migrate.criteria import CRITERIA
from cco_migrate.errors import InvalidInput
from cco_migrate.judge.binomial import proves_below
from cco_migrate.judge.criterion import Bounds, Mode
from cco_migrate.judge.forecast import forecast
from cco_migrate.judge.terms import Form
from cco_migrate.model import OnNoGo
from cco_migrate.planning import soak_forecast
from cco_migrate.planning.preflight import Mark
from cco_migrate.planning.soak_forecast import Asked, Present
from cco_migrate.soak.evidence import Evidence
from cco_migrate.soak.looks import Look, Tally
from cco_migrate.soak.terms import Offer, Soak, make_soak
from cco_migrate.world import Files

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
ASKED = Asked("30m", "", "rollback", "", (), "", "ops@host")
OFFER = Offer(0, ("claude-haiku-4-5",), "demo")


def ordered(asked: Asked = ASKED, offer: Offer = OFFER) -> Soak:
    made = soak_forecast.ordered(asked, offer, Files())
    assert made is not None
    return made


def test_no_soak_is_asked_for_by_saying_nothing() -> None:
    assert soak_forecast.ordered(replace(ASKED, bake=""), OFFER, Files()) is None


def test_interval_fits_the_bake_time_unless_it_is_given() -> None:
    assert ordered().interval_s == 15
    assert ordered(replace(ASKED, bake="4d")).interval_s == 30
    assert ordered(replace(ASKED, interval="10s")).interval_s == 10


def test_soak_is_rebuilt_from_its_step() -> None:
    made = ordered(replace(ASKED, waive=("error-rate",), why="quiet", on_no_go="ask"))
    assert Soak.from_json(made.to_json()) == made
    assert made.on_no_go is OnNoGo.ASK
    observed = [one.id for one in made.criteria if one.mode is Mode.OBSERVE]
    assert observed == ["error-rate", "audit-gaps"]  # the latter is so by itself
    assert str(made.waivers[0]) == "waived: error-rate, by ops@host: quiet"


def test_own_requests_bring_their_own_criterion() -> None:
    names = [one.id for one in ordered(offer=replace(OFFER, requests=60)).criteria]
    assert names[-1] == "synthetic-failures"
    assert "synthetic-failures" not in [one.id for one in ordered().criteria]


REFUSED: Mapping[str, tuple[dict[str, Any], Offer, str]] = {
    "no length of time": ({"bake": "soon"}, OFFER, "--soak soon"),
    "interval": ({"interval": "1h"}, OFFER, "longer than the bake time of 30m"),
    "on_no_go": ({"on_no_go": "pray"}, OFFER, "rollback, freeze, ask"),
    "no reason": ({"waive": ("error-rate",)}, OFFER, "needs --why"),
    "no model": ({}, Offer(5), "no rule names a model"),
    "negative": ({}, replace(OFFER, requests=-1), "0 or more"),
    "no file": ({"criteria": "/nowhere/at.all"}, OFFER, "--criteria /nowhere/at.all"),
    "no soak": ({"bake": "", "interval": "5s"}, OFFER, "belong to --soak"),
    "no soak to send in": ({"bake": ""}, replace(OFFER, requests=5), "belong to --soak"),
}


@pytest.mark.parametrize(("given", "offer", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_soak_that_makes_no_sense_is_refused(given: dict[str, Any], offer: Offer, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        soak_forecast.ordered(replace(ASKED, **given), offer, Files())


def test_file_changes_the_criteria_of_a_soak(tmp_path: Path) -> None:
    path = tmp_path / "criteria.json"
    path.write_text('{"error-rate": {"go": 0.01, "no_go": 0.01}}')
    made = ordered(replace(ASKED, criteria=str(path)))
    assert {one.id: one.bounds for one in made.criteria}["error-rate"] == Bounds(0.01, 0.01)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"lunch": %s}', "no soak measures lunch; there is: config-loaded"),
        ('{"error-rate": {"depends_on": ["latency-ratio"]}}', "depends on latency-ratio"),
        ('{"synthetic-failures": %s}', "synthetic-failures.kind: is rate"),
    ],
)
def test_criteria_that_no_soak_can_measure_are_refused(tmp_path: Path, text: str, why: str) -> None:
    whole = {
        "kind": "count", "go": 1, "no_go": 1, "quantity": "q", "unit": "requests", "source": "s",
    }  # fmt: skip
    path = tmp_path / "criteria.json"
    path.write_text(text.replace("%s", json.dumps(whole)))
    with pytest.raises(InvalidInput, match=why):
        ordered(replace(ASKED, criteria=str(path)))


def record(age_s: float, **changed: Any) -> dict[str, Any]:
    row = {"endpoint": "messages", "client": "cli", "success": True, "status": 200, "stream": True}
    return {"timestamp": (NOW - timedelta(seconds=age_s)).isoformat(), **row, **changed}


def test_present_traffic_is_that_of_the_last_hour_without_our_own() -> None:
    rows = [
        record(10),
        record(600, success=False, status=502),
        record(900, stream=False),
        record(1200, client="claude-cli (cco-migrate verification)"),
        record(1500, endpoint="count_tokens"),
        record(1800, success=False, status=499),
        record(7200),
    ]
    found = soak_forecast.present(rows, NOW)
    assert found.span_s == 3600
    assert found.tallies["error-rate"] == Tally(1, 3, 1)
    assert found.tallies["streaming-failures"] == Tally(1, 2, 1)
    assert soak_forecast.present(rows[:3], NOW).span_s == 900
    assert soak_forecast.present([{"request_id": "foreign"}], NOW).tallies["error-rate"].n == 0


def told(soak: Soak, per_hour: int, failed: int = 0) -> dict[str, tuple[Mark, str]]:
    tally = Tally(failed, per_hour)
    found = Present(3600, {"error-rate": tally, "streaming-failures": tally})
    lines = soak_forecast.lines(soak, found)
    return {criterion.id: (line.mark, line.text) for criterion, line in lines}


@pytest.mark.parametrize(
    ("per_hour", "failed", "criterion", "mark", "text"),
    [
        (9100, 0, "error-rate", Mark.OK, "needs 4512 requests, 29m45s as they come now"),
        (3600, 0, "error-rate", Mark.FAIL, "needs 4512 requests, 1h15m as they come now"),
        (3600, 0, "error-rate", Mark.FAIL, "accept it with --waive error-rate --why WORDS"),
        (3600, 0, "streaming-failures", Mark.OK, "needs 43 requests, 43s as they come now"),
        (0, 0, "streaming-failures", Mark.FAIL, "needs 43 requests, and there are none now"),
        (3600, 400, "streaming-failures", Mark.FAIL, "cannot say GO"),
        (0, 0, "availability", Mark.OK, "decides at the end of the bake time"),
        (0, 0, "config-loaded", Mark.OK, "needs 1 look, 15s as they come now"),
    ],
)
def test_plan_says_when_each_criterion_decides(
    per_hour: int, failed: int, criterion: str, mark: Mark, text: str
) -> None:
    found = told(ordered(), per_hour, failed)[criterion]
    assert (found[0], text in found[1]) == (mark, True), found[1]


def test_waived_criterion_is_a_warning_that_says_by_whom() -> None:
    made = ordered(replace(ASKED, waive=("error-rate",), why="quiet"))
    mark, text = told(made, 10)["error-rate"]
    assert mark is Mark.WARN
    assert text.endswith("waived: error-rate, by ops@host: quiet")


def test_too_few_looks_for_the_availability_are_said_beforehand() -> None:
    mark, text = told(ordered(replace(ASKED, interval="1m")), 10_000)["availability"]
    assert mark is Mark.FAIL
    assert "needs 100 looks, there are 30" in text


def test_own_requests_decide_only_their_own_criterion() -> None:
    few, enough = (ordered(offer=replace(OFFER, requests=n)) for n in (42, 43))
    assert told(few, 0)["synthetic-failures"][0] is Mark.FAIL
    assert told(enough, 0)["synthetic-failures"][0] is Mark.OK
    assert told(enough, 0)["streaming-failures"][0] is Mark.FAIL


def test_predicted_samples_of_simulated_soaks_are_within_a_fifth() -> None:
    """Healthy soaks, requests that come as they like, and a look at intervals."""
    near, soaks, drawn = 0, 200, np.random.default_rng(20261121)
    for _ in range(soaks):
        bound = float(drawn.uniform(0.01, 0.10))
        rate = replace(CRITERIA["streaming-failures"], bounds=Bounds(bound, bound))
        known = {**CRITERIA, "streaming-failures": rate}
        soak = make_soak(1800, None, "rollback", known, (), Offer())
        seen = Present(3600, {"streaming-failures": Tally(0, int(drawn.poisson(4000)))})
        assumed = soak_forecast.assumption(soak, rate, seen)
        predicted = forecast(rate, assumed, soak.terms, soak.bake_s).samples.expected
        assert predicted is not None
        actual = soaked(soak, bound, 4000 / 3600 * soak.interval_s / 4, drawn)
        near += abs(actual / predicted - 1) <= 0.2
    assert near >= 0.95 * soaks


def test_soaks_near_their_bound_end_within_the_range_that_was_foretold() -> None:
    """Chance decides when those end: what is foretold is how far it reaches, and its middle."""
    inside, early, soaks, drawn = 0, 0, 200, np.random.default_rng(20261122)
    bound, share = 0.10, 0.05
    rate = replace(CRITERIA["streaming-failures"], bounds=Bounds(bound, bound))
    known = {**CRITERIA, "streaming-failures": rate}
    soak = make_soak(1800, None, "rollback", known, (), Offer())
    seen = Present(3600, {"streaming-failures": Tally(200, 4000)})
    assumed = soak_forecast.assumption(soak, rate, seen)
    samples = forecast(rate, assumed, soak.terms, soak.bake_s).samples
    assert samples.earliest is not None
    assert samples.expected is not None
    assert samples.latest is not None
    for _ in range(soaks):
        actual = soaked(soak, bound, 4, drawn, share)
        inside += samples.earliest <= actual <= samples.latest + 8  # ends with a look, not between
        early += actual <= samples.expected
    assert inside >= 0.8 * soaks
    assert 0.4 * soaks <= early <= 0.6 * soaks


def test_range_is_said_where_chance_decides() -> None:
    said = {
        failed: told(ordered(), 36_000, failed)["streaming-failures"][1] for failed in (0, 1800)
    }
    assert "needs 43 requests, 4s as they come now" in said[0]
    assert "needs 168 requests (43 to 416 by chance), 17s as they come now" in said[1800]


def soaked(
    soak: Soak,
    bound: float,
    per_look: float,
    drawn: np.random.Generator,
    share: float | None = None,
) -> int:
    """Play a soak on the evidence it keeps; return the requests at the look that said GO.

    Args:
        share: Of the requests that fail; None for a healthy soak.
    """
    evidence, at = Evidence(NOW, NOW), NOW
    while True:
        at += timedelta(seconds=soak.interval_s / 4)
        made = int(drawn.poisson(per_look))
        failed = int(drawn.binomial(made, bound / 200 if share is None else share))
        evidence = evidence.add(
            Look(at, up=True, tallies={"streaming-failures": Tally(failed, made)})
        )
        rate = evidence.rates["streaming-failures"]
        if rate.n and proves_below(rate.k, rate.n, bound, soak.terms.alpha, Form.ANYTIME):
            return rate.n
