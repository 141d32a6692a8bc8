"""Downtime from probes: what they prove, and what they cannot know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from scipy import stats

from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.outages import (
    DAY_S,
    Outages,
    Planned,
    Probe,
    budget_s,
    clean_days_to_claim,
    long_run_availability,
    poisson_upper,
    watch,
)
from cco_migrate.judge.ruling import Conditions, rule
from cco_migrate.judge.terms import Terms
from cco_migrate.verdict import Verdict

Alone = Callable[..., Criterion]
WINDOW_S = 4 * DAY_S


def watched(
    spacing_s: float,
    failing: Sequence[range],
    planned: Sequence[Planned] = (),
    until_s: float = WINDOW_S,
) -> Outages:
    """Probe regularly; the probes of these numbers fail."""
    down = {number for stretch in failing for number in stretch}
    count = int(until_s / spacing_s)
    probes = (Probe(number * spacing_s, number not in down) for number in range(count + 1))
    return watch(probes, spacing_s, 0.0, planned)


def singles(count: int) -> list[range]:
    return [range(number * 10, number * 10 + 1) for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("days", "seconds"),
    [(2, 172.8), (3, 259.2), (4, 345.6), (6, 518.4), (7, 604.8), (30, 2592)],
)
def test_budget_is_the_published_one(days: float, seconds: float) -> None:
    assert budget_s(0.999, days * DAY_S) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("spacing_s", "failing", "interval", "verdict"),
    [
        (30, [range(100, 112)], (330, 390), Verdict.INCONCLUSIVE),
        (30, [range(100, 113)], (360, 420), Verdict.NO_GO),
        (30, singles(5), (0, 300), Verdict.GO),
        (30, singles(6), (0, 360), Verdict.INCONCLUSIVE),
        (10, singles(6), (0, 120), Verdict.GO),
        (30, [], (0, 0), Verdict.GO),
    ],
)
def test_four_days_give_the_published_verdict(
    spacing_s: float,
    failing: list[range],
    interval: tuple[float, float],
    verdict: Verdict,
    alone: Alone,
    fresh: Conditions,
) -> None:
    outages = watched(spacing_s, failing)
    assert (outages.shortest_s, outages.longest_s) == interval
    assert outages.outages == len(failing)
    assert rule(alone("availability"), outages, fresh, Terms()).verdict is verdict


def test_time_to_come_may_still_be_lost(alone: Alone, fresh: Conditions) -> None:
    criterion = alone("availability")
    early = rule(criterion, watched(30, [], until_s=DAY_S), fresh, Terms())
    assert early.verdict is Verdict.INCONCLUSIVE
    spent = watched(30, [range(100, 113)], until_s=DAY_S)
    assert rule(criterion, spent, fresh, Terms()).verdict is Verdict.NO_GO


def test_missing_probes_are_unknown_not_up(alone: Alone, fresh: Conditions) -> None:
    probes = [Probe(second, up=True) for second in range(0, 345_601, 30)]
    gap = [probe for probe in probes if not 3_000 < probe.at_s < 3_500]
    outages = watch(gap, 30, 0.0)
    assert (outages.shortest_s, outages.longest_s, outages.unseen_s) == (0, 480, 480)
    assert rule(alone("availability"), outages, fresh, Terms()).verdict is Verdict.INCONCLUSIVE
    longer = [probe for probe in probes if not 3_000 < probe.at_s < 9_000]
    said = rule(alone("availability"), watch(longer, 30, 0.0), fresh, Terms()).summary
    assert "only 98.3% of the time was watched" in said


def test_silence_between_two_failures_does_not_lengthen_the_proved_outage() -> None:
    outages = watch([Probe(0, up=True), Probe(10, up=False), Probe(90, up=False)], 10, 0.0)
    assert (outages.shortest_s, outages.longest_s, outages.open_s) == (0, 90, 10)


@pytest.mark.parametrize(("counts", "verdict"), [(True, Verdict.NO_GO), (False, Verdict.GO)])
def test_planned_work_counts_as_the_criterion_says(
    counts: bool, verdict: Verdict, alone: Alone, fresh: Conditions
) -> None:
    work = [Planned(2_990, 3_400), Planned(8_990, 9_160)]
    outages = watched(10, [range(300, 336), range(900, 914)], work)
    criterion = replace(alone("availability"), counts_planned_work=counts)
    ruling = rule(criterion, outages, fresh, Terms())
    assert ruling.verdict is verdict
    assert f"planned work {'counts' if counts else 'does not count'}" in ruling.summary


def test_two_restarts_of_two_minutes_use_most_of_the_budget() -> None:
    outages = watched(10, [range(100, 112), range(900, 912)], [Planned(990, 1_120)])
    assert outages.planned_shortest_s == 110
    assert outages.shortest_s == 110


def test_probes_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"probes are out of order at 1 s"):
        watch([Probe(2, up=True), Probe(1, up=True)], 1, 0.0)


def test_nothing_watched_is_inconclusive(alone: Alone, fresh: Conditions) -> None:
    ruling = rule(alone("availability"), watch([], 30, 0.0), fresh, Terms())
    assert ruling.verdict is Verdict.INCONCLUSIVE
    assert "there are no samples" in ruling.summary


def test_clean_window_is_no_proof_of_the_future() -> None:
    assert poisson_upper(0, 0.05) / 4 == pytest.approx(0.749, abs=5e-4)
    assert long_run_availability(0, 4, 120, 0.05) == pytest.approx(0.99896, abs=5e-6)
    days = [clean_days_to_claim(0.999, repair_s, 0.05) for repair_s in (30, 120, 300)]
    assert days == pytest.approx([1.04, 4.16, 10.4], abs=5e-3)


@pytest.mark.parametrize("count", [0, 1, 5, 40, 200])
def test_poisson_bound_agrees_with_scipy(count: int) -> None:
    expected = stats.chi2.isf(0.05, 2 * count + 2) / 2
    assert poisson_upper(count, 0.05) == pytest.approx(expected, rel=1e-9)


def test_a_day_of_seconds_is_judged(alone: Alone, fresh: Conditions) -> None:
    outages = watched(1, [range(5_000, 5_010)], until_s=DAY_S)
    criterion = replace(alone("availability"), window_s=DAY_S)
    ruling = rule(criterion, outages, fresh, Terms())
    assert (ruling.n, ruling.k, ruling.verdict) == (86_401, 10, Verdict.GO)
