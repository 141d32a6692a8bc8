"""The numbers of accepted requests, followed process by process."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cco_migrate.judge.gate import Unmeasured
from cco_migrate.judge.records import Boot
from cco_migrate.probes.sequences import LOST_AFTER_S, Followed, follow

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
OLD_S, YOUNG_S = LOST_AFTER_S + 1, 1.0


def rows(numbers: Iterable[int], age_s: float = OLD_S, boot: str = "b") -> list[dict[str, Any]]:
    at = (NOW - timedelta(seconds=age_s)).isoformat()
    return [{"boot_id": boot, "seq": number, "timestamp": at} for number in numbers]


def followed(*parts: list[dict[str, Any]], known: dict[str, int] | None = None) -> Followed:
    found = follow([row for part in parts for row in part], NOW, known)
    assert isinstance(found, Followed)
    return found


@pytest.mark.parametrize(
    ("records", "known", "boot", "later"),
    [
        (rows([7, 5, 6]), {}, Boot("b", 3, 3, 3), 0),
        (rows([5, 7]), {}, Boot("b", 3, 2, 2), 0),
        (rows([5, 6, 6]), {}, Boot("b", 2, 3, 2), 0),
        (rows([5, 6]) + rows([8, 9], YOUNG_S), {}, Boot("b", 2, 2, 2), 2),
        (rows([5, 6]) + rows([7, 8], YOUNG_S), {}, Boot("b", 4, 4, 4), 0),
        (rows([6, 7]), {"b": 4}, Boot("b", 3, 2, 2), 0),
        (rows([3, 4, 5]), {"b": 4}, Boot("b", 1, 1, 1), 0),
        (rows([6], YOUNG_S), {"b": 4}, Boot("b", 0, 0, 0), 1),
    ],
    ids=[
        "in any order", "lost", "doubled", "in flight", "young and whole", "lost since before",
        "seen before", "in flight since before",
    ],
)  # fmt: skip
def test_numbers_are_followed_up_to_the_first_in_flight(
    records: list[dict[str, Any]], known: dict[str, int], boot: Boot, later: int
) -> None:
    found = followed(records, known=known)
    assert (found.boots, found.later) == ((boot,), later)


def test_processes_are_followed_each_by_its_own_numbers() -> None:
    found = followed(rows([1, 2]), rows([1, 3], boot="c"), known={"gone": 9})
    assert found.boots == (Boot("b", 2, 2, 2), Boot("c", 3, 2, 2))
    assert found.through == {"gone": 9, "b": 2, "c": 3}


@pytest.mark.parametrize("change", [{"seq": None}, {"boot_id": "b", "timestamp": "soon"}])
def test_records_without_numbers_say_nothing(change: dict[str, Any]) -> None:
    found = follow([{**rows([1])[0], **change}], NOW)
    assert isinstance(found, Unmeasured)
    assert "which process numbered a request" in found.why


@given(st.sets(st.integers(1, 60), min_size=1), st.integers(0, 60))
def test_two_looks_find_what_one_does(numbers: set[int], cut: int) -> None:
    """However the records are cut, each lost number is found once."""
    once = followed(rows(numbers))
    first = sorted(numbers)[: max(cut % len(numbers), 1)]
    early = followed(rows(first))
    late = followed(rows(numbers), known=dict(early.through))
    expected = sum(one.expected for one in (*early.boots, *late.boots))
    distinct = sum(one.distinct for one in (*early.boots, *late.boots))
    assert (expected, distinct) == (once.boots[0].expected, once.boots[0].distinct)
    assert late.through == once.through
