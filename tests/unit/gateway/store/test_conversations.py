"""Conversations in the ledger: the model each runs on, and what a change of model cost."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest
from msgspec.structs import replace

from gateway.overrides.shape import Shape
from gateway.store import conversations, schema, writing
from gateway.store.conversations import ConversationKey
from gateway.store.records import AuditRecord, Endpoint
from gateway.wire.usage import Usage

MINUTE = 60_000_000
KEY = ConversationKey("s1", "", "big")
REWRITE = (100, 300)  # picodollars a token, for 5 minutes and for an hour


@pytest.fixture
def file() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    schema.prepare(connection)
    yield connection
    connection.close()


def turn(at: int, model: str, *, written: int = 0, read: int = 0, **more: object) -> AuditRecord:
    """Return a request `at` minutes from the start."""
    record = AuditRecord(
        request_id=f"r{at}-{model}-{more.get('agent_id')}-{more.get('seq')}",
        boot_id="boot",
        seq=1,
        at_us=at * MINUTE,
        endpoint=Endpoint.MESSAGES,
        provider="anthropic",
        model=model,
        requested_model="big",
        chosen=model,
        status=200,
        success=True,
        partial=False,
        stream=True,
        overridden=model != "big",
        counted=True,
        latency_us=1,
        session_id="s1",
        usage=Usage(10, 20, written, 0, read),
        saved_pico=10_000_000 if model != "big" else None,
        rewrite_pico=REWRITE,
        shape=Shape(tools=3, messages=at + 1),
    )
    return replace(record, **more)


@pytest.mark.parametrize(
    ("turns", "again"),
    [
        ((turn(0, "big", written=900), turn(1, "small", written=1000)), 900),
        ((turn(0, "big", written=900), turn(1, "small", written=800)), 800),
        ((turn(0, "big", written=900), turn(1, "small", written=600, read=400)), 500),
        ((turn(0, "big", written=900), turn(1, "big", read=900, written=50)), 0),
        ((turn(0, "small", written=900),), 0),
        ((turn(0, "big", written=900), turn(6, "small", written=1000)), 0),
        ((turn(0, "big", written=900), turn(4, "big", read=900), turn(8, "small", written=1)), 1),
        (
            (
                turn(0, "big", usage=Usage(1, 1, 0, 900, 0)),
                turn(50, "small", usage=Usage(1, 1, 0, 1000, 0)),
            ),
            900,
        ),
    ],
    ids=[
        "switched",
        "prefix-shrank",
        "target-had-a-part",
        "not-switched",
        "new-on-the-target",
        "cache-ran-out",
        "each-use-keeps-it",
        "an-hour",
    ],
)
def test_written_again_counts_what_the_requested_model_still_had(
    file: apsw.Connection, turns: tuple[AuditRecord, ...], again: int
) -> None:
    assert [conversations.settle(file, each) for each in turns][-1] == again


def test_written_again_is_counted_on_the_first_turn_only(file: apsw.Connection) -> None:
    turns = (
        turn(0, "big", written=900),
        turn(1, "small", written=1000),
        turn(2, "small", read=1000, written=100),
        turn(3, "small", read=1100, written=100),
    )
    assert [conversations.settle(file, each) for each in turns] == [0, 900, 0, 0]


def test_compaction_writes_anew_under_any_model(file: apsw.Connection) -> None:
    conversations.settle(file, turn(3, "big", written=900))
    compacted = turn(4, "small", written=300, shape=Shape(tools=3, messages=1))
    assert conversations.settle(file, compacted) == 0


def test_side_request_takes_nothing_from_the_prefix(file: apsw.Connection) -> None:
    conversations.settle(file, turn(0, "big", written=900))
    title = turn(0, "big", written=20, seq=2, shape=Shape(tools=None, messages=1))
    assert conversations.settle(file, title) == 0
    assert conversations.settle(file, turn(1, "small", written=1000)) == 900


def test_sub_agent_is_a_conversation_of_its_own(file: apsw.Connection) -> None:
    conversations.settle(file, turn(0, "big", written=900))
    assert conversations.settle(file, turn(1, "small", written=1000, agent_id="a1")) == 0
    assert conversations.bound_model(file, ConversationKey("s1", "a1", "big"), 0) == "small"
    assert conversations.bound_model(file, KEY, 0) == "big"


def test_insert_takes_the_rewriting_off_the_saving(file: apsw.Connection) -> None:
    turns = (turn(0, "big", written=900), turn(1, "small", written=1000))
    writing.insert(file, turns, keep_entries=True)
    expected = 10_000_000 - 900 * REWRITE[0]
    assert file.execute("SELECT saved_pico FROM overrides").get == expected
    assert file.execute("SELECT saved_pico FROM audit WHERE overridden").get == expected


@pytest.mark.parametrize(("since", "model"), [(0, "small"), (5, "small"), (6, None)])
def test_bound_model_ends_with_idleness(
    file: apsw.Connection, since: int, model: str | None
) -> None:
    conversations.begin(file, KEY, "small", MINUTE)
    conversations.begin(file, KEY, "other", 5 * MINUTE)  # known already: only its time moves
    assert conversations.bound_model(file, KEY, since * MINUTE) == model


@pytest.mark.parametrize(
    "record",
    [
        turn(1, "small", session_id=None),
        turn(1, "small", requested_model=None),
        turn(1, "small", chosen=None),
        turn(1, "small", endpoint=Endpoint.COUNT_TOKENS),
    ],
    ids=["no-session", "no-model", "never-routed", "token-count"],
)
def test_settle_leaves_out_what_is_no_conversation(
    file: apsw.Connection, record: AuditRecord
) -> None:
    assert conversations.settle(file, record) == 0
    assert file.execute("SELECT count(*) FROM conversations").get == 0


def test_forget_deletes_the_longest_idle_first(file: apsw.Connection) -> None:
    for number in range(5):
        conversations.begin(file, replace(KEY, session_id=f"s{number}"), "m", number)
    assert conversations.forget(file, 4, 3) == 3
    left = file.execute("SELECT session_id FROM conversations ORDER BY last_us").fetchall()
    assert [row[0] for row in left] == ["s3", "s4"]
