"""What is no statistic: records, charges, invariants, counts and people's words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from cco_migrate.judge.attestations import Attestation, Attestations
from cco_migrate.judge.charges import Charge, Charges, charge
from cco_migrate.judge.counts import Count
from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.integrity import CounterReading, Invariant, Reload, consistent, loaded
from cco_migrate.judge.records import Boot, SentIds, Sequences, loss_upper
from cco_migrate.judge.ruling import Conditions, rule
from cco_migrate.judge.terms import Terms
from cco_migrate.pricing.prices import PriceTable, Usage
from cco_migrate.verdict import Verdict

Alone = Callable[..., Criterion]
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
TABLE = PriceTable(
    {
        "as_of": "2026-01-31",
        "source": "test",
        "models": {
            "sonnet": {
                "input": "3",
                "output": "15",
                "cache_write_5m": "3.75",
                "cache_write_1h": "6",
                "cache_read": "0.3",
            }
        },
    }
)
USAGE = Usage(input=1000, output=500)


@pytest.mark.parametrize(
    ("evidence", "verdict", "said"),
    [
        (SentIds(("a", "b"), ("b", "a", "x", "x")), Verdict.GO, "2 requests sent, 0 not recorded"),
        (SentIds(("a", "b"), ("a",)), Verdict.NO_GO, "1 not recorded, 0 recorded twice (b)"),
        (SentIds(("a",), ("a", "a")), Verdict.NO_GO, "0 not recorded, 1 recorded twice (a)"),
        (SentIds(("a",), (), in_flight=1), Verdict.INCONCLUSIVE, "1 requests are still in flight"),
        (SentIds((), ()), Verdict.INCONCLUSIVE, "there are no samples"),
        (Sequences((Boot.of("x", (3, 4, 5)), Boot.of("y", ()))), Verdict.GO, "3 requests accepted"),
        (Sequences((Boot.of("x", (3, 5)),)), Verdict.NO_GO, "1 without record"),
        (Sequences((Boot.of("x", (3, 4, 4)),)), Verdict.NO_GO, "1 recorded twice"),
        (Sequences((Boot.of("x", (3, 5), crashed=True),)), Verdict.GO, "1 lost in a recorded"),
        (Sequences((Boot.of("x", (3, 5)),), 2), Verdict.INCONCLUSIVE, "2 requests are still"),
    ],
)
def test_every_request_must_be_recorded_once(
    evidence: SentIds | Sequences, verdict: Verdict, said: str, alone: Alone, fresh: Conditions
) -> None:
    ruling = rule(alone("audit-complete"), evidence, fresh, Terms())
    assert ruling.verdict is verdict
    assert said in ruling.summary


def test_equal_numbers_of_lost_and_repeated_records_are_seen(
    alone: Alone, fresh: Conditions
) -> None:
    sent = tuple(f"r{number}" for number in range(10))
    ruling = rule(alone("audit-complete"), SentIds(sent, (*sent[3:], *sent[7:])), fresh, Terms())
    assert (ruling.k, ruling.n, ruling.verdict) == (6, 10, Verdict.NO_GO)


@pytest.mark.parametrize(
    ("found", "bound"), [(100, "2.95 %"), (1_000, "0.299 %"), (10_000, "0.03 %")]
)
def test_sample_of_records_bounds_the_loss_only(found: int, bound: str) -> None:
    assert f"{loss_upper(found, 0.05) * 100:.3g} %" == bound


@pytest.mark.parametrize(
    ("billed", "model", "verdict", "said"),
    [
        ("0.0105", "sonnet", Verdict.GO, "0 of 1 charges wrong, $0.010500 billed for $0.010500"),
        ("0.010501", "sonnet", Verdict.GO, "0 of 1"),
        ("0.010502", "sonnet", Verdict.NO_GO, "1 of 1 charges wrong"),
        ("10.50", "sonnet", Verdict.NO_GO, "a price per million read as one per thousand"),
        (None, "sonnet", Verdict.INCONCLUSIVE, "1 without charge or price"),
        ("0.01", "unheard-of", Verdict.INCONCLUSIVE, "1 without charge or price"),
    ],
)
def test_charge_is_what_the_tokens_cost(
    billed: str | None, model: str, verdict: Verdict, said: str, alone: Alone, fresh: Conditions
) -> None:
    usd = None if billed is None else Decimal(billed)
    one = charge("r1", model, USAGE, usd, TABLE)
    ruling = rule(alone("cost-accuracy"), Charges((one,)), fresh, Terms())
    assert ruling.verdict is verdict
    assert said in ruling.summary


def test_one_unknown_price_keeps_the_others_from_go(alone: Alone, fresh: Conditions) -> None:
    right = charge("r1", "sonnet", USAGE, Decimal("0.0105"), TABLE)
    wrong = charge("r2", "sonnet", USAGE, Decimal("0.02"), TABLE)
    unknown = charge("r3", "unheard-of", USAGE, Decimal("0.01"), TABLE)
    verdicts = [
        rule(alone("cost-accuracy"), Charges(rows), fresh, Terms()).verdict
        for rows in ((right, unknown), (right, wrong, unknown))
    ]
    assert verdicts == [Verdict.INCONCLUSIVE, Verdict.NO_GO]


def test_charge_may_lie_between_two_prices_when_the_record_leaves_it_open() -> None:
    one = Charge("r1", Decimal(2), Decimal(1), Decimal(3))
    assert one.right
    with pytest.raises(TypeError, match="r1: charge or price is unknown"):
        _ = Charge("r1", None, Decimal(1), Decimal(1)).right


@pytest.mark.parametrize(
    ("evidence", "verdict", "restart", "said"),
    [
        (loaded({"w0": "f1", "w1": "f1"}, "f1"), Verdict.GO, False, "0 of 2 contradict"),
        (
            loaded({"w0": "f1", "w1": "f0"}, "f1"),
            Verdict.NO_GO,
            False,
            "w1 has f0, planned is f1",
        ),
        (loaded({"w0": ""}, "f1"), Verdict.NO_GO, False, "w0 has no fingerprint"),
        (
            loaded({"w0": "f0"}, "f1", Reload(5, 30)),
            Verdict.INCONCLUSIVE,
            True,
            "a reload goes on; the window begins anew",
        ),
        (
            loaded({"w0": "f0"}, "f1", Reload(31, 30)),
            Verdict.NO_GO,
            False,
            "the reload takes 31 s",
        ),
        (loaded({"w0": "f1"}, "f1", Reload(31, 30)), Verdict.GO, False, "0 of 1"),
        (loaded({}, "f1"), Verdict.INCONCLUSIVE, False, "there are no samples"),
    ],
)
def test_every_worker_must_have_loaded_the_plan(
    evidence: Invariant,
    verdict: Verdict,
    restart: bool,
    said: str,
    alone: Alone,
    fresh: Conditions,
) -> None:
    ruling = rule(alone("config-loaded"), evidence, fresh, Terms())
    assert (ruling.verdict, ruling.restart) == (verdict, restart)
    assert said in ruling.summary


@pytest.mark.parametrize(
    ("readings", "verdict", "restart"),
    [
        ((("n", "a", 1), ("m", "a", 9), ("n", "a", 1), ("n", "b", 2)), Verdict.GO, False),
        ((("n", "a", 5), ("n", "b", 0)), Verdict.INCONCLUSIVE, True),
        ((("n", "a", 5), ("n", "a", 0)), Verdict.NO_GO, False),
        ((("n", "a", 5), ("n", "b", 0), ("n", "b", 3), ("n", "b", 2)), Verdict.NO_GO, True),
        ((), Verdict.INCONCLUSIVE, False),
    ],
)
def test_counters_may_fall_with_a_new_process_only(
    readings: tuple[tuple[str, str, float], ...],
    verdict: Verdict,
    restart: bool,
    alone: Alone,
    fresh: Conditions,
) -> None:
    evidence = consistent(CounterReading(*one) for one in readings)
    ruling = rule(alone("evidence-integrity"), evidence, fresh, Terms())
    assert (ruling.verdict, ruling.restart) == (verdict, restart)


@pytest.mark.parametrize(
    ("count", "verdict"),
    [
        (Count(0, 0), Verdict.INCONCLUSIVE),
        (Count(0, 5), Verdict.NO_GO),
        (Count(1, 5), Verdict.GO),
    ],
)
def test_overrides_must_have_been_applied_when_there_was_traffic(
    count: Count, verdict: Verdict, alone: Alone, fresh: Conditions
) -> None:
    assert rule(alone("overrides-applied"), count, fresh, Terms()).verdict is verdict


def word(
    by: str, hours: float, *, scope: str = "p1", days: int = 7, yes: bool = True
) -> Attestation:
    at = NOW + timedelta(hours=hours)
    return Attestation(by, at, scope, at + timedelta(days=days), yes)


@pytest.mark.parametrize(
    ("given", "verdict", "said"),
    [
        ((), Verdict.INCONCLUSIVE, "approved by nobody"),
        ((word("ann", -1),), Verdict.GO, "approved by ann"),
        ((word("ann", -1, scope="p0"),), Verdict.INCONCLUSIVE, "approved by nobody"),
        ((word("ann", -48, days=1),), Verdict.INCONCLUSIVE, "1 expired"),
        ((word("ann", 1),), Verdict.INCONCLUSIVE, "approved by nobody"),
        ((word("ann", -2), word("bob", -1, yes=False)), Verdict.NO_GO, "refused by bob"),
        ((word("bob", -1), word("bob", -2, yes=False)), Verdict.GO, "approved by bob"),
    ],
)
def test_people_approve_a_scope_until_they_change_their_mind_or_it_expires(
    given: tuple[Attestation, ...], verdict: Verdict, said: str, alone: Alone, fresh: Conditions
) -> None:
    ruling = rule(alone("team-approval"), Attestations(given, "p1", NOW), fresh, Terms())
    assert ruling.verdict is verdict
    assert said in ruling.summary
