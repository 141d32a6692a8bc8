"""A record is read back as it was written: what is unknown as NULL, what is empty as empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import apsw
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.overrides.shape import Shape
from gateway.store import writing
from gateway.store.opening import connect
from gateway.store.records import AuditRecord, CacheOutcome, Endpoint
from gateway.store.rows import only
from gateway.wire.usage import STANDARD, Terms, Usage

COUNTS = st.integers(0, 10**10)
TEXTS = st.none() | st.sampled_from(["", "x", "é"])
USAGES = st.builds(
    Usage,
    *(COUNTS,) * 5,
    terms=st.sampled_from([STANDARD, Terms(), Terms(speed="fast", geo="us")]),
)
OPTIONAL = (
    *("agent_type", "agent_source", "session_id", "agent_id", "client"),
    *("billing", "error_message", "upstream_request_id", "user", "project_id", "route_reason"),
    *("skipped_reason", "chosen"),
)
CHANGES = st.fixed_dictionaries(
    {
        "endpoint": st.sampled_from(list(Endpoint)),
        "cache": st.none() | st.sampled_from(list(CacheOutcome)),
        "usage": st.none() | USAGES,
        "shape": st.builds(Shape, effort=TEXTS, tools=st.none() | COUNTS),
        "adapted": st.sampled_from([(), ("one",), ("one", "two")]),
        "model": st.sampled_from(["", "b"]),
        "requested_model": st.sampled_from(["", "a"]),
        **dict.fromkeys(OPTIONAL, TEXTS),
        **dict.fromkeys(("success", "partial", "stream", "overridden", "counted"), st.booleans()),
        **dict.fromkeys(("ttft_us", "cost_pico", "saved_pico"), st.none() | COUNTS),
        **dict.fromkeys(("request_body", "response_body"), st.sampled_from([None, b"", b"said"])),
    }
)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    """A new ledger; what a test writes it takes back."""
    with closing(connect(tmp_path_factory.mktemp("ledger") / "l.db")) as opened:
        yield opened


@contextmanager
def written(connection: apsw.Connection, groups: Iterable[Sequence[AuditRecord]]) -> Iterator[None]:
    """Write groups of records, until the end of the block."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for group in groups:
            writing.insert(connection, group, keep_entries=True)
        yield
    finally:
        connection.execute("ROLLBACK")


def contents(connection: apsw.Connection) -> list[list[tuple[Any, ...]]]:  # Any: of columns
    """Return all that records leave, table by table."""
    queries = (
        "SELECT * FROM totals",
        "SELECT * FROM overrides",
        "SELECT * FROM projects",
        "SELECT * FROM audit",
        "SELECT * FROM bodies",
        "SELECT * FROM conversations",
    )
    return [[tuple(row) for row in connection.execute(query)] for query in queries]


@given(CHANGES)
def test_record_is_read_back_as_it_was_written(
    connection: apsw.Connection, record: AuditRecord, change: dict[str, object]
) -> None:
    record = replace(record, **change)
    with written(connection, [[record]]):
        found = only(connection, "SELECT * FROM audit")
        kept = [tuple(row) for row in connection.execute("SELECT * FROM bodies")]
    for name in (
        *OPTIONAL,
        "model",
        "requested_model",
        "request_id",
        "endpoint",
        "cache",
        "status",
        "latency_us",
        "ttft_us",
    ):
        assert found[name] == getattr(record, name), name
    for name in ("success", "partial", "stream", "overridden"):
        assert (type(found[name]), found[name]) == (int, getattr(record, name)), name
    names = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
    for name in (f"{name}_tokens" for name in names):
        assert found[name] == (None if record.usage is None else getattr(record.usage, name))
    assert msgspec.json.decode(found["shape"], type=Shape) == record.shape
    assert tuple(msgspec.json.decode(found["adapted"])) == record.adapted
    unusual = () if record.usage is None else record.usage.unusual()
    assert tuple(msgspec.json.decode(found["terms"])) == unusual
    bodies = (record.request_body, record.response_body)
    texts = [None if body is None else body.decode() for body in bodies]
    assert kept == ([] if texts == [None, None] else [(found["id"], *texts)])


@given(st.lists(CHANGES, max_size=8))
def test_records_add_up_alike_alone_and_together(
    connection: apsw.Connection, record: AuditRecord, changes: list[dict[str, object]]
) -> None:
    records = [
        replace(record, **change, request_id=f"r{number}", at_us=number % 3 * 86_400_000_000)
        for number, change in enumerate(changes)
    ]
    found = []
    for groups in ([records], [[record] for record in records]):
        with written(connection, groups):
            found.append(contents(connection))
    assert found[0] == found[1]
    assert sum(row[5] for row in found[0][0]) == len(records)


def test_override_of_a_request_without_a_model_is_kept_and_not_counted(
    connection: apsw.Connection, record: AuditRecord
) -> None:
    with written(connection, [[replace(record, overridden=True, requested_model=None)]]):
        totals, overrides, _, audit, *_ = contents(connection)
    assert (len(totals), len(overrides), len(audit)) == (1, 0, 1)


def test_spilled_record_is_read_in_any_order_of_its_fields(record: AuditRecord) -> None:
    fields = msgspec.json.decode(msgspec.json.encode(record))
    turned = msgspec.json.encode(dict(reversed(fields.items())))
    assert msgspec.json.decode(turned, type=AuditRecord) == record
