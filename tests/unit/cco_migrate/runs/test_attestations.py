"""What people approve about a gate: it holds for that gate, until it expires, and only a HOLD."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cco_migrate.errors import InvalidInput
from cco_migrate.runs import attestations
from cco_migrate.runs.attestations import Approval
from cco_migrate.verdict import Judgement, Verdict

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
WORD = Approval(
    "soak", "Kim", NOW - timedelta(hours=1), "change 4711", NOW + timedelta(hours=1), "ops@host"
)


def test_approval_survives_its_journal_line() -> None:
    assert Approval.from_json(WORD.to_json()) == WORD


@pytest.mark.parametrize(
    ("after_h", "holds"), [(-1.5, False), (-1, True), (0, True), (0.99, True), (1, False)]
)
def test_approval_holds_from_its_time_until_it_expires(after_h: float, holds: bool) -> None:
    assert WORD.holds(NOW + timedelta(hours=after_h)) is holds


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("24h", NOW + timedelta(hours=24)),
        ("2026-11-22T09:00:00Z", datetime(2026, 11, 22, 9, tzinfo=UTC)),
        ("2026-11-22T10:00:00+01:00", datetime(2026, 11, 22, 9, tzinfo=UTC)),
    ],
)
def test_expiry_is_a_length_of_time_or_a_moment(text: str, until: datetime) -> None:
    assert attestations.parse_expiry(text, NOW) == until


@pytest.mark.parametrize(
    ("text", "why"),
    [("soon", "write a number"), ("2026-11-22T09:00:00", "time zone"), ("2026-11-20", "time zone"),
     ("2026-11-21T13:00:00Z", "is over")],
)  # fmt: skip
def test_expiry_that_says_nothing_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        attestations.parse_expiry(text, NOW)


@pytest.mark.parametrize("verdict", Verdict)
def test_person_decides_a_hold_and_nothing_else(verdict: Verdict) -> None:
    judgement = Judgement("soak", verdict, "between the bounds", {"k": 3})
    found = attestations.decided(judgement, [WORD], NOW)
    if verdict is not Verdict.HOLD:
        assert found == judgement
        return
    assert found.verdict is Verdict.GO
    assert found.summary == "between the bounds; approved by Kim (change 4711)"
    assert found.facts == {"k": 3, "approved": WORD.to_json()}


@pytest.mark.parametrize(
    ("gate", "now"), [("proof", NOW), ("soak", NOW + timedelta(hours=1))], ids=["other", "expired"]
)
def test_word_about_another_gate_or_an_expired_one_is_none(gate: str, now: datetime) -> None:
    judgement = Judgement(gate, Verdict.HOLD, "between the bounds")
    assert attestations.decided(judgement, [WORD], now) == judgement


def test_lines_say_who_what_and_until_when() -> None:
    later = NOW + timedelta(days=1)
    assert attestations.lines([WORD], NOW) == [
        "soak approved by Kim for change 4711, until 2026-11-21T15:00:00+00:00"
    ]
    assert "EXPIRED 2026-11-21T15" in attestations.lines([WORD], later)[0]
