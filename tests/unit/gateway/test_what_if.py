"""What other rules would change, in figures: held against the price table and sums by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from statistics import variance

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gateway.cost.pricing import Pricing
from gateway.overrides.shape import Shape
from gateway.replay import Decision, Turn
from gateway.store.recorded import Recorded
from gateway.store.records import Endpoint
from gateway.what_if import CONFIDENCE, MIN_UNITS, Load, Sums, student_t, switching_cost
from gateway.wire.usage import Terms, Usage

OPUS, SONNET, HAIKU = "opus", "sonnet", "haiku"
MODELS = {
    OPUS: ("5", "25", "6.25", "10", "0.5"),
    SONNET: ("3", "15", "3.75", "6", "0.3"),
    HAIKU: ("1", "5", "1.25", "2", "0.1"),
}
KINDS = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
TABLE = {name: dict(zip(KINDS, row, strict=True)) for name, row in MODELS.items()}
FAST = {"fast": dict(zip(KINDS, ("30", "150", "37.5", "60", "3"), strict=True))}
LONG = {"long_prompt": {"above_tokens": 200_000, **TABLE[OPUS]}}
PRICING = Pricing.parse(
    {
        "regions": {"us": "1.1"},
        "models": {**TABLE, OPUS: {**TABLE[OPUS], **FAST}, "longer": {**TABLE[SONNET], **LONG}},
    }
)

USD = 10**12
NOW_US = 1_800_000_000_000_000
MINUTE_US, SECOND_US = 60_000_000, 1_000_000
TURN = Usage(10_000, 2000)
"""Costs 0.10 on opus, 0.06 on sonnet, 0.02 on haiku."""

REQUEST = Recorded(
    place=(NOW_US, 1),
    request_id="r1",
    at_us=NOW_US,
    endpoint=Endpoint.MESSAGES,
    provider="p",
    model=OPUS,
    requested=OPUS,
    chosen=OPUS,
    agent_type=None,
    agent_source=None,
    session_id=None,
    agent_id=None,
    project_id=None,
    subscription=False,
    shape=Shape(),
    usage=TURN,
    cost_pico=PRICING.cost(TURN, OPUS),
    began_us=None,
)
KEPT = Decision(
    requested=OPUS,
    chosen=OPUS,
    provider="p",
    model=OPUS,
    matched=False,
    adapted=(),
    left=None,
    broken=None,
    limits_known=True,
    switched=False,
)
MOVED = replace(KEPT, chosen=SONNET, model=SONNET, matched=True)


def asked(usage: Usage | None, model: str = OPUS, *, hour: bool = False) -> Recorded:
    """Return a request that was billed by the price table."""
    cost = None if usage is None else PRICING.cost(usage, model)
    return replace(REQUEST, model=model, chosen=model, usage=usage, cost_pico=cost, hour=hour)


def added(pairs: Iterable[tuple[Recorded, Decision | None]]) -> Sums:
    sums = Sums(PRICING)
    for recorded, decision in pairs:
        sums.add(recorded, decision)
    return sums


def costs(recorded: Recorded, decision: Decision) -> tuple[int, float, float]:
    """Return how many requests were priced, and USD now and then."""
    sums = added([(recorded, decision)])
    return sums.priced, sums.now_pico / USD, sums.then_pico / USD


COUNT = st.integers(0, 10**7)


@given(usage=st.builds(Usage, *(COUNT,) * 5), model=st.sampled_from([*TABLE, "longer"]))
def test_then_is_the_price_of_the_same_tokens_on_the_other_model(usage: Usage, model: str) -> None:
    sums = added([(asked(usage), replace(KEPT, chosen=model, model=model))])
    assert (sums.priced, sums.now_pico) == (1, PRICING.cost(usage, OPUS))
    assert sums.then_pico == PRICING.cost(usage, model)


@pytest.mark.parametrize(
    ("usage", "hour", "usd"),
    [
        (TURN, False, (0.1, 0.06)),
        (Usage(cache_read_tokens=150_000), False, (0.075, 0.5625)),
        (Usage(cache_read_tokens=150_000), True, (0.075, 0.9)),
        (Usage(0, 0, 0, 50_000, 100_000), True, (0.55, 0.9)),
        (Usage(0, 0, 50_000, 0, 100_000), False, (0.3625, 0.5625)),
        (Usage(1000, 0, 20_000, 10_000, 100_000), True, (0.28, 0.738)),
    ],
)  # fmt: skip
def test_turn_after_a_switch_writes_what_it_would_have_read_for_as_long(
    usage: Usage, hour: bool, usd: tuple[float, float]
) -> None:
    found = costs(asked(usage, hour=hour), replace(MOVED, switched=True))
    assert found == (1, *(pytest.approx(one, abs=1e-12) for one in usd))


def test_turn_that_stays_with_its_model_costs_what_was_billed() -> None:
    billed = replace(REQUEST, cost_pico=123, whole=False)
    assert added([(billed, replace(KEPT, switched=True))]).then_pico == 123


US, QUICK, IDLE = Terms(geo="us"), Terms(speed="fast"), Terms(tier="batch")


@pytest.mark.parametrize(
    ("recorded", "decision", "usd"),
    [
        (asked(Usage(10_000, 2000, terms=US)), MOVED, (0.11, 0.066)),
        (asked(Usage(10_000, 2000, terms=QUICK)), MOVED, None),
        (asked(Usage(10_000, 2000, terms=IDLE)), MOVED, None),
        (replace(REQUEST, whole=False), MOVED, None),
        (replace(REQUEST, cost_pico=None), MOVED, None),
        (REQUEST, replace(MOVED, chosen="unheard-of", model="unheard-of"), None),
        (asked(None), MOVED, None),
        # A deployment has a name of its own: the price is that of the model it stands for.
        (REQUEST, replace(MOVED, model="our-deployment"), (0.1, 0.06)),
    ],
    ids=["region", "fast", "batch", "searched", "unbilled", "unknown", "no-usage", "alias"],
)
def test_request_is_priced_both_ways_or_is_in_no_sum(
    recorded: Recorded, decision: Decision, usd: tuple[float, float] | None
) -> None:
    expected = (0, 0, 0) if usd is None else (1, *map(pytest.approx, usd))
    assert costs(recorded, decision) == expected


def test_request_that_a_subscription_pays_is_counted_apart() -> None:
    sums = added([(replace(REQUEST, subscription=True), MOVED), (REQUEST, MOVED)])
    assert (sums.subscription, sums.priced, sums.now_pico) == (1, 1, USD // 10)


def test_what_the_rules_do_is_counted() -> None:
    left = replace(KEPT, matched=True, left="live_session")
    sums = added(
        [
            (REQUEST, None),
            (REQUEST, KEPT),
            (REQUEST, replace(MOVED, adapted=("effort", "thinking"))),
            (REQUEST, replace(MOVED, adapted=("effort",), limits_known=False)),
            (REQUEST, left),
            (REQUEST, replace(MOVED, broken="no key")),
            (REQUEST, replace(KEPT, limits_known=False)),
        ]
    )
    assert (sums.undecided, sums.requests, sums.matched, sums.overridden) == (1, 6, 4, 3)
    assert sums.adapted == {"effort": 2, "thinking": 1}
    assert sums.left == {"live_session": 1}
    assert sums.broken == {"no key": 1}
    assert sums.rules == {(OPUS, SONNET): 3}
    assert sums.limits_unknown == 1


def at(second: float, usage: Usage | None) -> Recorded:
    return replace(asked(usage), at_us=NOW_US + round(second * SECOND_US))


def test_peak_is_the_highest_of_each_figure_in_a_minute_of_the_clock() -> None:
    assert NOW_US % MINUTE_US == 0
    sums = added(
        [
            (at(0, Usage(100, 10, 20, 30, 5000)), KEPT),
            (at(59.999, Usage(50, 1)), KEPT),
            (at(60, Usage(120, 300)), KEPT),
            (at(119, None), KEPT),
            (at(180, Usage(1, 1)), KEPT),
        ]
    )
    assert sums.peaks == {("p", OPUS): Load(requests=2, input_tokens=200, output_tokens=300)}


def test_peaks_are_those_of_the_model_that_would_be_asked() -> None:
    other = replace(MOVED, provider="q")
    turn = Usage(100, 10, cache_read_tokens=5000)
    sums = added([(at(0, TURN), KEPT), (at(1, turn), replace(other, switched=True))])
    # What a new model has not cached it has to be sent as input.
    assert sums.peaks == {("p", OPUS): Load(1, 10_000, 2000), ("q", SONNET): Load(1, 5100, 10)}


def sessions(changes: Iterable[int]) -> Sums:
    """Return the sums of one session for each change of cost, picodollars."""
    then = 2 * USD // 100  # what the turn costs on haiku
    billed = enumerate(then - change for change in changes)
    return added(
        (replace(REQUEST, session_id=f"s{number}", cost_pico=now), replace(MOVED, model=HAIKU))
        for number, now in billed
    )


def test_interval_is_that_of_a_sum_of_as_many_sessions() -> None:
    found = sessions(range(1, 11)).interval()
    # The changes 1 to 10 have the variance 55/6; 2.262 is t of 9 degrees of freedom.
    spread = 2.262 * math.sqrt(10 * 55 / 6)
    assert found == (round(55 - spread), round(55 + spread)) == (33, 77)


@given(changes=st.lists(st.integers(-(10**15), 10**15), min_size=MIN_UNITS, max_size=60))
def test_interval_is_students(changes: list[int]) -> None:
    low, high = sessions(changes).interval() or (0, 0)
    count, total = len(changes), sum(changes)
    t = stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1)
    spread = t * math.sqrt(count * variance(changes))
    assert (high - low) / 2 == pytest.approx(spread, rel=1e-3, abs=1)
    assert (high + low) / 2 == pytest.approx(total, abs=1 + 1e-9 * spread)


def test_interval_needs_enough_sessions_and_counts_a_session_once() -> None:
    assert sessions(range(MIN_UNITS - 1)).interval() is None
    one = added((replace(REQUEST, session_id="s"), MOVED) for _ in range(50))
    assert (one.priced, one.interval()) == (50, None)
    nobody = added((replace(REQUEST, request_id=f"r{n}"), MOVED) for n in range(MIN_UNITS))
    total = nobody.then_pico - nobody.now_pico
    assert nobody.interval() == (total, total) == (-(4 * USD // 10),) * 2


@pytest.mark.parametrize(
    ("freedom", "t90", "t95", "t99"),
    [
        # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2.
        (9, 1.833, 2.262, 3.250),
        (10, 1.812, 2.228, 3.169),
        (15, 1.753, 2.131, 2.947),
        (20, 1.725, 2.086, 2.845),
        (30, 1.697, 2.042, 2.750),
        (60, 1.671, 2.000, 2.660),
        (100, 1.660, 1.984, 2.626),
    ],
)
def test_students_t_is_that_of_the_tables(freedom: int, t90: float, t95: float, t99: float) -> None:
    for p, expected in ((0.95, t90), (0.975, t95), (0.995, t99)):
        assert student_t(p, freedom) == pytest.approx(expected, rel=1e-3)
        assert student_t(1 - p, freedom) == pytest.approx(-student_t(p, freedom))


PREFIX = Usage(7, 9, cache_read_tokens=150_000)
HOUR_US = 60 * MINUTE_US


@pytest.mark.parametrize(
    ("usage", "hour", "idle_us", "usd"),
    [
        (PREFIX, False, MINUTE_US, 150_000 * (3.75 - 0.5) / 1e6),
        (PREFIX, True, MINUTE_US, 150_000 * (6 - 0.5) / 1e6),
        (PREFIX, True, HOUR_US - 1, 150_000 * (6 - 0.5) / 1e6),
        (PREFIX, False, 5 * MINUTE_US, 0),
        (PREFIX, True, HOUR_US, 0),
        (Usage(7, 9, 20_000, 0, 130_000), False, 0, 150_000 * (3.75 - 0.5) / 1e6),
        (Usage(7, 9, 20_000, 30_000, 100_000), True, 0,
         (20_000 * (3.75 - 0.5) + 130_000 * (6 - 0.5)) / 1e6),
        (Usage(7, 9), False, 0, 0),
        (None, False, 0, 0),
        (Usage(cache_read_tokens=150_000, terms=US), False, 0, 150_000 * 3.25 * 1.1 / 1e6),
    ],
)  # fmt: skip
def test_switching_writes_a_live_prefix_instead_of_reading_it(
    usage: Usage | None, hour: bool, idle_us: int, usd: float
) -> None:
    turn = Turn(replace(asked(usage, hour=hour), at_us=NOW_US - idle_us), SONNET)
    switched, cost = switching_cost([turn], PRICING, NOW_US)
    assert switched == 1
    assert cost / USD == pytest.approx(usd, abs=1e-12)


def test_prefix_of_a_long_prompt_is_written_at_the_price_of_one() -> None:
    turns = [Turn(asked(Usage(cache_read_tokens=count)), "longer") for count in (200_000, 200_001)]
    costs = [switching_cost([turn], PRICING, NOW_US)[1] for turn in turns]
    assert costs == [200_000 * (3_750_000 - 500_000), 200_001 * (6_250_000 - 500_000)]


def test_switching_is_free_where_nothing_changes_or_is_billed() -> None:
    turn = Turn(asked(PREFIX), OPUS)
    unrouted = Turn(replace(turn.recorded, chosen=None), SONNET)
    assert switching_cost([turn, unrouted], PRICING, NOW_US) == (0, 0)
    paid = Turn(replace(turn.recorded, subscription=True), SONNET)
    unknown = Turn(turn.recorded, "unheard-of")
    assert switching_cost([paid, unknown], PRICING, NOW_US) == (2, 0)
