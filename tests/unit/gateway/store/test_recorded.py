"""A record is read back as what decided about it, and says when it does not tell its price."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway import resources
from gateway.cost.pricing import Pricing
from gateway.store import conversations, writing
from gateway.store.opening import connect
from gateway.store.recorded import Recorded, Window, latest_start, page, rate_limits
from gateway.store.records import AuditRecord
from gateway.wire.usage import Terms, Usage

PRICING = Pricing.parse(resources.prices())
FOREVER = Window(0, 2**62)
MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    """A new ledger; what a test writes it takes back."""
    with closing(connect(tmp_path_factory.mktemp("ledger") / "l.db")) as opened:
        yield opened


def read_back(connection: apsw.Connection, *records: AuditRecord) -> list[Recorded]:
    """Return what the ledger tells of records, which it then forgets."""
    connection.execute("BEGIN")
    try:
        writing.insert(connection, records, keep_entries=True)
        return page(connection, FOREVER, (0, 0), 1000)
    finally:
        connection.execute("ROLLBACK")


COUNTS = st.integers(0, 10**6)
WORDS = (
    st.sampled_from([None, "batch", "flex", "priority"]),
    st.sampled_from([None, "fast", "slow"]),
    st.sampled_from([None, "us", "eu"]),
    st.sampled_from([None, "fallback_message"]),
)
USAGES = st.builds(
    Usage,
    *(COUNTS,) * 5,
    web_searches=st.integers(0, 2),
    terms=st.builds(Terms, *WORDS),
    steps=st.sampled_from([(), ((None, Usage(1)), ("claude-opus-4-6", Usage(2)))]),
)


@given(usage=USAGES, model=st.sampled_from(["claude-opus-4-6", "claude-sonnet-4-6", "unheard-of"]))
def test_what_is_read_back_has_the_price_of_the_answer_or_says_that_it_does_not_tell(
    connection: apsw.Connection, record: AuditRecord, usage: Usage, model: str
) -> None:
    (found,) = read_back(connection, replace(record, usage=usage))
    assert found.usage is not None
    assert found.usage.prompt_tokens() == usage.prompt_tokens()
    if found.whole:
        assert PRICING.cost(found.usage, model) == PRICING.cost(usage, model)


@pytest.mark.parametrize(
    ("usage", "whole"),
    [
        (Usage(1, 1), True),
        (None, True),
        (Usage(1, 1, terms=Terms(geo="us")), True),
        (Usage(1, 1, terms=Terms(speed="fast", geo="us")), True),
        (Usage(1, 1, terms=Terms(tier="batch")), True),
        (Usage(1, 1, web_searches=5), False),
        (Usage(1, 1, terms=Terms(geo="us"), web_searches=1), False),
        (Usage(1, 1, steps=((None, Usage(1, 1)), ("b", Usage(2)))), False),
        (Usage(1, 1, terms=Terms(geo="us", other="fallback_message")), False),
    ],
)
def test_searches_and_steps_are_not_told(
    connection: apsw.Connection, record: AuditRecord, usage: Usage | None, whole: bool
) -> None:
    (found,) = read_back(connection, replace(record, usage=usage))
    assert found.whole == whole
    if whole:
        assert found.usage == usage


@pytest.mark.parametrize(
    ("usages", "hour"),
    [
        ([Usage(1, 1, 0, 100)], True),
        ([Usage(1, 1, 20, 100)], True),
        ([Usage(1, 1, 100)], False),
        ([Usage(1, 1)], False),
        ([None], False),
        # A turn that only reads: its conversation says it.
        ([Usage(1, 1, 0, 100), Usage(1, 1, cache_read_tokens=100)], True),
        ([Usage(1, 1, 100), Usage(1, 1, cache_read_tokens=100)], False),
        ([Usage(1, 1, 0, 100), Usage(1, 1, 20, 0, 100)], False),
    ],
)
def test_prompt_is_cached_for_an_hour_where_it_was_written_for_one(
    connection: apsw.Connection, record: AuditRecord, usages: list[Usage | None], hour: bool
) -> None:
    turns = [
        replace(
            record,
            request_id=f"r{number}",
            at_us=record.at_us + number * MINUTE_US,
            session_id="s",
            chosen="b",
            usage=usage,
        )
        for number, usage in enumerate(usages)
    ]
    assert read_back(connection, *turns)[-1].hour == hour
    # Nobody's prompt, whose only word is its own.
    (alone,) = read_back(connection, replace(turns[-1], session_id=None))
    written = usages[-1] is not None and usages[-1].cache_write_1h_tokens > 0
    assert alone.hour == written


def test_pages_follow_each_other_in_the_order_of_arrival(
    tmp_path: Path, record: AuditRecord
) -> None:
    with closing(connect(tmp_path / "l.db")) as database:
        moments = [5, 3, 3, 9, 1]
        records = [
            replace(record, request_id=f"r{number}", at_us=at_us)
            for number, at_us in enumerate(moments)
        ]
        with database:
            writing.insert(database, records, keep_entries=True)
        found: list[Recorded] = []
        while rows := page(database, Window(2, 9), found[-1].place if found else (0, 0), 2):
            found += rows
        assert [one.request_id for one in found] == ["r1", "r2", "r0", "r3"]
        assert [latest_start(database, Window(2, 9), limit) for limit in (1, 2, 3, 9)] == [
            9,
            5,
            3,
            2,
        ]


def test_a_conversation_is_known_to_have_begun_before_the_window(
    connection: apsw.Connection, record: AuditRecord
) -> None:
    turn = replace(record, session_id="s", agent_id="a", chosen="b")
    later = replace(turn, request_id="r2", at_us=turn.at_us + MINUTE_US)
    first, second = read_back(connection, turn, later)
    assert first.began_us == second.began_us == turn.at_us
    assert second.conversation == conversations.ConversationKey("s", "a", "a")
    (alone,) = read_back(connection, record)
    assert (alone.began_us, alone.conversation) == (None, None)


def test_limits_are_those_last_named(connection: apsw.Connection, record: AuditRecord) -> None:
    connection.execute("BEGIN")
    try:
        first = replace(record, limits=(("requests", 50), ("input_tokens", 1000)))
        second = replace(first, request_id="r2", limits=(("requests", 60),))
        writing.insert(connection, [first], keep_entries=True)
        writing.insert(connection, [second], keep_entries=True)
        assert rate_limits(connection) == {("p", "b"): {"requests": 60}}
    finally:
        connection.execute("ROLLBACK")
