"""What a soak watches beside failures: overhead, charges and missing records; harm stops it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cco_migrate.costs import CostTracking
from cco_migrate.criteria import CRITERIA
from cco_migrate.judge.criterion import Criterion, Mode
from cco_migrate.soak.counted import charged, charges_json, charges_of
from cco_migrate.soak.log import SoakLog
from cco_migrate.soak.looks import Look
from cco_migrate.soak.terms import GUARDS, Offer, Soak
from cco_migrate.verdict import Verdict
from tests.unit.cco_migrate.soak.scene import COST_USD, TOKENS, Bench, criteria, ordered

HOUR_S = 3600.0


def soaking(bench: Bench, bake_s: float = HOUR_S, **known: Criterion) -> None:
    """Let the soak take so long, with ten requests a minute."""
    bench.step = ordered(criteria(**known), bake_s=bake_s)
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)


def rows(judgement: Any) -> Mapping[str, Mapping[str, Any]]:
    return {row["id"]: row for row in judgement.facts["criteria"]}


def test_healthy_gateway_is_go_by_all_of_them(bench: Bench) -> None:
    soaking(bench)
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    found = {name: rows(judgement)[name] for name in GUARDS}
    assert {row["verdict"] for row in found.values()} == {"GO"}
    assert "mean 10 ms over 59 windows" in found["latency-average"]["summary"]
    assert "0 of 600 charges wrong, $0.900000 billed" in found["cost-accuracy"]["summary"]
    assert "600 requests accepted, 0 without record" in found["audit-gaps"]["summary"]


def slow(bench: Bench) -> None:
    bench.gateway.overhead_s = 0.8


def dear(bench: Bench) -> None:
    bench.gateway.cost_usd = 1000 * COST_USD


def free(bench: Bench) -> None:
    bench.gateway.cost_usd = 0.0


def lossy(bench: Bench) -> None:
    bench.gateway.numbers["boot-1"] += 1


HARMS = {
    "a slow gateway": (slow, "latency-average: mean 800 ms"),
    "a thousand times the price": (
        dear,
        "cost-accuracy: 10 of 11 charges wrong, $15.001500 billed for $0.016500",
    ),
    "no charge at all": (free, "cost-accuracy: 10 of 11 charges wrong"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_harm_takes_the_change_back(bench: Bench, harm: str) -> None:
    does, said = HARMS[harm]
    soaking(bench)
    bench.gateway.serve(1)
    does(bench)
    judgement = bench.soak()
    assert judgement.verdict is Verdict.NO_GO, judgement.summary
    assert said in judgement.summary
    assert bench.clock.at < HOUR_S  # it did not wait for its end


def test_gateway_with_a_price_table_of_its_own_is_told_from_one_that_bills_wrong(
    bench: Bench,
) -> None:
    soaking(bench)
    bench.gateway.cost_usd = 2 * COST_USD
    judgement = bench.soak()
    assert judgement.verdict is Verdict.NO_GO, judgement.summary
    as_of = CostTracking().prices().as_of
    assert f"(gw_9, gw_8, gw_7 of claude-haiku-4-5, prices of {as_of})" in judgement.summary
    assert "if the gateway bills by other prices, install its version" in judgement.summary


@pytest.mark.parametrize(
    ("model", "cost_usd", "wrong"),
    [
        ("gpt-4o", "0.0025", 0),
        ("gpt-4o", "0.005", 0),  # what gpt-4o-2024-05-13 costs, which may have answered
        ("gpt-4o", "0.00015", 1),  # what gpt-4o-mini costs
        ("gpt-4o-2024-08-06", "0.0025", 0),
        ("gpt-4o-2024-08-06", "0.005", 1),
    ],
)
def test_charge_is_that_of_the_model_or_of_a_dated_one_of_it(
    model: str, cost_usd: str, wrong: int
) -> None:
    tokens = dict.fromkeys(("output_tokens", "cache_write_tokens", "cache_read_tokens"), 0)
    said = {"request_id": "gw_1", "model": model, "cost_usd": cost_usd}
    row: Mapping[str, Any] = {**said, "terms": [], "cache": None, **tokens, "input_tokens": 1000}
    found = charged([row], CostTracking().prices())
    assert (found.known, found.wrong) == (1, wrong)


def test_charges_of_an_earlier_version_stay_as_it_wrote_them() -> None:
    told = {
        "known": 2, "wrong": 1, "unknown": 0, "billed_usd": "3", "computed_usd": "2",
        "named": ["gw_1"],
    }  # fmt: skip
    assert charges_json(charges_of(told)) == told


def test_number_that_may_be_in_flight_is_not_lost_yet(bench: Bench) -> None:
    soaking(bench, 600)
    bench.gateway.serve(10)
    lossy(bench)
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    assert "without record" not in rows(judgement)["audit-gaps"]["summary"].partition(",")[0]


def test_number_without_record_is_shown_and_stops_nothing(bench: Bench) -> None:
    """It may be that of an answer that streams for longer than a soak reads back."""
    soaking(bench)
    bench.gateway.serve(1)
    lossy(bench)
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    found = rows(judgement)["audit-gaps"]
    assert (found["verdict"], found["enforced"]) == ("NO-GO", False)


def test_go_does_not_wait_for_what_nobody_can_tell(bench: Bench) -> None:
    soaking(bench, 300)
    bench.gateway.cost_usd = None
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    found = rows(judgement)["cost-accuracy"]
    assert (found["verdict"], found["enforced"]) == ("INCONCLUSIVE", False)


def test_criterion_that_a_file_names_has_to_be_proved(bench: Bench) -> None:
    named = replace(CRITERIA["latency-average"], minimum_samples=30)
    soaking(bench, 300, **{"latency-average": named})
    judgement = bench.soak()
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "latency-average: " in judgement.summary
    modes = {one.id: one.mode for one in Soak.from_json(bench.step.params).criteria}
    assert (modes["latency-average"], modes["audit-gaps"]) == (Mode.ENFORCE, Mode.OBSERVE)


PLAIN = (
    {"cache": "hit"}, {"terms": ["batch"]}, {"terms": None}, {"cache_read_tokens": None},
    {"model": None},
)  # fmt: skip


@pytest.mark.parametrize("change", PLAIN)
def test_request_without_a_plain_price_is_left_out(bench: Bench, change: dict[str, Any]) -> None:
    def minute(_number: int) -> None:
        bench.gateway.serve(10)
        bench.gateway.records[-1] |= {"cost_usd": 0.5, **change}

    soaking(bench, 300)
    bench.clock.every_minute = minute
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    assert "0 of 45 charges wrong" in rows(judgement)["cost-accuracy"]["summary"]


def test_prompt_that_was_cached_for_an_hour_is_billed_right(bench: Bench) -> None:
    def minute(_number: int) -> None:
        bench.gateway.serve(1)
        written = {**TOKENS, "cache_write_tokens": 1000}
        bench.gateway.records[-1] |= {**written, "cost_usd": COST_USD + 0.002}  # twice the input

    soaking(bench, 300)
    bench.clock.every_minute = minute
    judgement = bench.soak()
    assert "0 of 5 charges wrong" in rows(judgement)["cost-accuracy"]["summary"]


def test_switched_off_costs_and_own_requests_leave_their_criteria_undecided(bench: Bench) -> None:
    path = bench.context.instance.config_dir / "orchestra-config.json"
    path.write_text('{"llmGateway": {"costTracking": {"enabled": false}}}')
    soaking(bench, 300)
    bench.step = ordered(criteria(), offer=Offer(50, ("claude-haiku-4-5",), "demo"))
    found = rows(bench.soak())
    assert "costTracking.enabled is false" in found["cost-accuracy"]["summary"]
    # Requests of our own came in every look but the first: their overhead is not real traffic's.
    assert found["latency-average"]["n"] == 0


def test_look_of_an_earlier_version_is_read(bench: Bench) -> None:
    soaking(bench, 300)
    bench.soak()
    lines = bench.path.read_text().splitlines()
    (look, *_) = [json.loads(line)["data"] for line in lines if '"kind":"look"' in line]
    for name in ("charges", "numbered"):
        look.pop(name)
    read = Look.from_json(look)
    assert (read.charges, read.numbered) == (None, None)


def test_evidence_is_folded_from_its_file_as_it_was_seen(bench: Bench) -> None:
    soaking(bench, 300)
    bench.soak()
    again = SoakLog(bench.context.run_dir, bench.context.world.files).evidence
    assert again is not None
    soak = Soak.from_json(bench.step.params)
    assert again.last is not None
    told = again.statistics(soak, again.last.at)
    assert json.loads(json.dumps(told))["numbered"] == {
        "expected": 50, "recorded": 50, "distinct": 50, "through": {"boot-1": 50},
    }  # fmt: skip
    assert told["charges"]["known"] == 50
