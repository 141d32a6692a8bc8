"""Failure rates: verdicts, what stands in their way, and evidence that is carried on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cco_migrate.criteria import CRITERIA
from cco_migrate.judge.criterion import Bounds, Criterion
from cco_migrate.judge.rates import Batch, Rate, design_effect
from cco_migrate.judge.ruling import Conditions, rule
from cco_migrate.judge.terms import Form, Terms
from cco_migrate.verdict import Verdict

Alone = Callable[..., Criterion]
FIXED, ANYTIME = Terms(Form.FIXED), Terms(Form.ANYTIME)
COUNTS = st.tuples(st.integers(0, 60), st.integers(0, 400), st.integers(0, 20)).filter(
    lambda one: one[0] <= one[1]
)


@pytest.mark.parametrize(
    ("name", "k", "n", "verdict"),
    [
        ("streaming-failures", 0, 28, Verdict.INCONCLUSIVE),
        ("streaming-failures", 0, 29, Verdict.GO),
        ("streaming-failures", 4, 100, Verdict.GO),
        ("streaming-failures", 5, 100, Verdict.INCONCLUSIVE),
        ("streaming-failures", 3, 20, Verdict.INCONCLUSIVE),
        ("streaming-failures", 4, 20, Verdict.INCONCLUSIVE),
        ("streaming-failures", 5, 20, Verdict.NO_GO),
        ("streaming-failures", 12, 100, Verdict.INCONCLUSIVE),
        ("streaming-failures", 16, 100, Verdict.NO_GO),
        ("error-rate", 0, 2994, Verdict.INCONCLUSIVE),
        ("error-rate", 0, 2995, Verdict.GO),
        ("error-rate", 4, 10_000, Verdict.GO),
        ("error-rate", 5, 10_000, Verdict.INCONCLUSIVE),
        ("error-rate", 17, 10_000, Verdict.NO_GO),
        ("error-rate", 20, 10_000, Verdict.NO_GO),
    ],
)
def test_one_look_gives_the_published_verdict(
    name: str, k: int, n: int, verdict: Verdict, alone: Alone, fresh: Conditions
) -> None:
    assert rule(alone(name), Rate(k, n), fresh, FIXED).verdict is verdict


@pytest.mark.parametrize(
    ("k", "n", "family", "verdict"),
    [
        (0, 42, 1, Verdict.INCONCLUSIVE),
        (0, 43, 1, Verdict.GO),
        (0, 43, 8, Verdict.GO),
        (2, 2, 1, Verdict.NO_GO),
        (2, 2, 8, Verdict.INCONCLUSIVE),
        (3, 3, 8, Verdict.NO_GO),
    ],
)
def test_any_look_gives_the_published_verdict(
    k: int, n: int, family: int, verdict: Verdict, alone: Alone, fresh: Conditions
) -> None:
    terms = replace(ANYTIME, family=family)
    assert rule(alone("streaming-failures"), Rate(k, n), fresh, terms).verdict is verdict


def test_hits_are_judged_from_the_other_side(alone: Alone, fresh: Conditions) -> None:
    hits = alone("cache-hit-rate")
    verdicts = [rule(hits, Rate(k, 100), fresh, FIXED).verdict for k in (20, 30, 40)]
    assert verdicts == [Verdict.NO_GO, Verdict.INCONCLUSIVE, Verdict.GO]


def test_sentence_says_what_would_be_enough(alone: Alone, fresh: Conditions) -> None:
    burst = Rate(0, 40, design_effect=2)
    said = rule(alone("streaming-failures"), burst, fresh, ANYTIME).summary
    assert said.endswith("46 more without a failure would be GO")
    said = rule(alone("cache-hit-rate"), Rate(30, 100), fresh, FIXED).summary
    assert said.endswith("more of the wanted kind would be GO")
    criterion = alone("error-rate", Bounds(None, 0.1))
    said = rule(criterion, Rate(0, 40), fresh, FIXED).summary
    assert said.endswith("not enough evidence")


def test_ruling_carries_every_figure_and_a_sentence(alone: Alone, fresh: Conditions) -> None:
    ruling = rule(alone("streaming-failures"), Rate(5, 100), fresh, FIXED)
    assert (ruling.k, ruling.n, ruling.age_s, ruling.terms) == (5, 100, 1.0, FIXED)
    assert ruling.interval == pytest.approx((stats.beta.ppf(0.05, 5, 96), 0.102253), abs=1e-6)
    assert ruling.margin == pytest.approx(-0.002253, abs=1e-6)
    assert ruling.summary == (
        "streaming-failures: 5 of 100 requests (5.00%), between 1.99 % and 10.2 %; "
        "allowed at most 10 %; not enough evidence: 3 more without a failure would be GO"
    )
    facts = ruling.judgement().facts
    assert facts["form"] == "fixed"
    assert facts["wilson"] == pytest.approx((0.021544, 0.111750), abs=5e-7)


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (Rate(0, 43), "at most 9.89 % with 95 % confidence; allowed at most 10 %"),
        (Rate(9, 20), "at least 12.8 % with 99.38 % confidence; allowed at most 10 %"),
    ],
)
def test_sentence_names_what_is_proved_and_how_surely(
    rate: Rate, said: str, alone: Alone, fresh: Conditions
) -> None:
    terms = replace(ANYTIME, family=8)
    assert said in rule(alone("streaming-failures"), rate, fresh, terms).summary


@pytest.mark.parametrize(
    ("rate", "conditions", "said"),
    [
        (Rate(), Conditions(1.0), "there are no samples"),
        (Rate(0, 90), Conditions(None), "there are no samples"),
        (Rate(0, 90), Conditions(301.0), "the newest sample is 301 s old, the limit is 300 s"),
        (Rate(0, 90), Conditions(1.0, coverage=0.98), "only 98.0% of the planned probes"),
        (Rate(0, 90), Conditions(1.0, doubt="counters were reset"), "counters were reset"),
        (Rate(50, 60), Conditions(1.0), "60 samples, the plan asks for 80"),
    ],
)
def test_evidence_that_may_not_be_judged_is_inconclusive_and_says_why(
    rate: Rate, conditions: Conditions, said: str, alone: Alone
) -> None:
    criterion = replace(alone("streaming-failures"), minimum_samples=80)
    ruling = rule(criterion, rate, conditions, FIXED)
    assert ruling.verdict is Verdict.INCONCLUSIVE
    assert said in ruling.summary


def test_many_broken_off_requests_leave_go_to_a_person(alone: Alone, fresh: Conditions) -> None:
    criterion = alone("streaming-failures")
    few, many = (rule(criterion, Rate(0, 95, aborted), fresh, ANYTIME) for aborted in (5, 6))
    assert few.verdict is Verdict.GO
    assert many.verdict is Verdict.HOLD
    assert "a person decides: 5.9% of the requests ended by their clients' doing" in many.summary
    assert rule(criterion, Rate(90, 95, 20), fresh, ANYTIME).verdict is Verdict.NO_GO


def test_correlated_requests_count_as_fewer(alone: Alone, fresh: Conditions) -> None:
    criterion = alone("streaming-failures", Bounds(0.10, 0.10))
    plain = rule(criterion, Rate(12, 60), fresh, FIXED)
    burst = rule(criterion, Rate(12, 60, design_effect=3), fresh, FIXED)
    assert (plain.verdict, burst.verdict) == (Verdict.NO_GO, Verdict.INCONCLUSIVE)
    assert burst.interval == pytest.approx((0.0713536, 0.4010281), abs=1e-6)


@pytest.mark.parametrize(
    ("blocks", "effect"),
    [
        ((), 1.0),
        (((0, 10), (0, 10)), 1.0),
        (((1, 10), (1, 10)), 1.0),
        (((10, 10), (0, 10)), 20.0),
        (((10, 10), (0, 10), (0, 0)), 20.0),
    ],
)
def test_design_effect_measures_how_failures_cluster(
    blocks: tuple[tuple[int, int], ...], effect: float
) -> None:
    assert design_effect(blocks) == pytest.approx(effect)


def test_batches_add_up_and_a_repeated_one_counts_once() -> None:
    first, second = Batch(0, 10, 1, 5, 2), Batch(10, 20, 0, 7)
    rate = Rate().add(first).add(second)
    assert (rate.k, rate.n, rate.aborted, rate.through) == (1, 12, 2, 20)
    assert rate.add(first) == rate.add(second) == rate


def test_resumed_soak_goes_on_with_the_same_evidence() -> None:
    """The journal keeps four figures; a resumed soak neither loses nor repeats a batch."""
    kept = json.dumps(asdict(Rate().add(Batch(0, 10, 1, 5)).add(Batch(10, 20, 0, 5))))
    resumed = Rate(**json.loads(kept)).add(Batch(10, 20, 0, 5)).add(Batch(20, 30, 2, 5))
    assert (resumed.k, resumed.n, resumed.through) == (3, 15, 30)


def test_batch_that_overlaps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch 5\.\.15 overlaps what is counted up to 10"):
        Rate().add(Batch(0, 10, 0, 1)).add(Batch(5, 15, 0, 1))


@pytest.mark.parametrize("counts", [(2, 1, 0), (-1, 1, 0), (0, 1, -1)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="not a count of requests"):
        Rate(*counts)
    with pytest.raises(ValueError, match="not a count of requests"):
        Batch(0, 1, *counts)


@given(
    st.lists(COUNTS, max_size=5),
    st.sampled_from(Form),
    st.floats(0, 1000),
    st.lists(st.integers(0, 4), max_size=6),
)
def test_inconclusive_never_becomes_go_without_new_samples(
    counts: list[tuple[int, int, int]], form: Form, later_s: float, replayed: list[int]
) -> None:
    """Neither time, nor resuming, nor reading the same batches again turns evidence into GO."""
    known = CRITERIA["error-rate"]
    criterion = replace(known, bounds=Bounds(0.1, 0.1), minimum_samples=20)
    batches = [Batch(number, number + 1, *one) for number, one in enumerate(counts)]
    rate = Rate()
    for batch in batches:
        rate = rate.add(batch)
    before = rule(criterion, rate, Conditions(200.0), Terms(form))
    for number in replayed:
        rate = rate.add(batches[number]) if number < len(batches) else rate
    after = rule(criterion, rate, Conditions(200.0 + later_s), Terms(form))
    assert (before.k, before.n, before.interval) == (after.k, after.n, after.interval)
    if before.verdict is Verdict.INCONCLUSIVE:
        assert after.verdict is Verdict.INCONCLUSIVE
    assert after.verdict in (before.verdict, Verdict.INCONCLUSIVE)
