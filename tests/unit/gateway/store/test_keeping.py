"""What the ledger keeps: bodies without secrets, nothing too old, records it could not write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest
from msgspec.structs import replace

from gateway.redact import MAX_BODY_BYTES
from gateway.store import opening, queries, schema, sums, writing
from gateway.store.entries import AuditFilter, audit
from gateway.store.ledger import Ledger
from gateway.store.records import AuditRecord, CacheOutcome
from gateway.store.retention import SWEEP_ROWS

DAY_US = 86_400_000_000


@pytest.fixture
def record(record: AuditRecord) -> AuditRecord:
    """Return a request of just now that cost five dollars."""
    now_us = time.time_ns() // 1000
    return replace(record, at_us=now_us, overridden=False, cost_pico=5 * 10**12)


def on_ledger(
    path: Path,
    work: Callable[[Ledger], Awaitable[None]],
    *,
    entries: bool = True,
    days: int | None = None,
) -> None:
    async def main() -> None:
        ledger = Ledger(path, keep_entries=entries, keep_days=days)
        try:
            await work(ledger)
        finally:
            await ledger.close()

    asyncio.run(main())


async def ids(ledger: Ledger) -> list[object]:
    found = await ledger.read(lambda db: audit(db, AuditFilter(limit=5000)))
    entries = found["entries"]
    assert isinstance(entries, list)
    return [entry["request_id"] for entry in entries]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # the state is another thread's: no event
            await asyncio.sleep(0.01)


def test_old_records_are_deleted_in_batches_and_the_sums_stay(
    tmp_path: Path, record: AuditRecord
) -> None:
    now = time.time_ns() // 1000
    old = 2 * SWEEP_ROWS + 3
    path = tmp_path / "ledger.db"

    async def fill(ledger: Ledger) -> None:
        kept = replace(record, request_body=b"{}")
        records = [
            replace(kept, request_id=f"o{n}", at_us=now - 31 * DAY_US - n) for n in range(old)
        ]
        young = replace(kept, request_id="young", at_us=now - 29 * DAY_US)
        assert all(await asyncio.gather(*map(ledger.record, [*records, young])))

    async def swept(ledger: Ledger) -> None:
        async def only_young() -> bool:
            return await ids(ledger) == ["young"]

        await until(only_young)
        assert (await ledger.read(queries.summary))["total_requests"] == old + 1
        count = "SELECT count(*) FROM bodies"
        assert (await ledger.read(lambda db: db.execute(count).get)) == 1

    on_ledger(path, fill)
    on_ledger(path, swept, days=30)


SECRET = b"sk-ant-api03-abcdefghij"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (None, None),
        (b'{"a": "b"}\n', '{"a": "b"}\n'),
        (b'{"text": "my key is %b, ok"}' % SECRET, '{"text": "my key is ***'),
        (b'{"api_key": "0123456789abc"}', '{"api_key": "***'),
        (b'{"text": "{\\"password\\": \\"0123456789abc\\"}"}', '{"text": "{\\"password\\": \\"***'),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_bodies_are_kept_without_secrets(
    tmp_path: Path, body: bytes | None, kept: str | None, record: AuditRecord
) -> None:
    async def work(ledger: Ledger) -> None:
        assert await ledger.record(replace(record, request_body=body, response_body=b"answer"))
        found = await ledger.read(lambda db: audit(db, AuditFilter(bodies=True)))
        entries = found["entries"]
        assert isinstance(entries, list)
        text = entries[0]["request_body"]
        assert text == kept if kept is None else text.startswith(kept)
        assert SECRET.decode() not in str(entries)
        assert "0123456789abc" not in str(entries)
        assert entries[0]["response_body"] == "answer"
        plain = await ledger.read(lambda db: audit(db, AuditFilter()))
        assert "request_body" not in str(plain)

    on_ledger(tmp_path / "ledger.db", work)


def test_long_body_is_cut_and_says_so(tmp_path: Path, record: AuditRecord) -> None:
    async def work(ledger: Ledger) -> None:
        await ledger.record(replace(record, request_body=b"x" * (MAX_BODY_BYTES + 1)))
        found = await ledger.read(lambda db: audit(db, AuditFilter(bodies=True)))
        entries = found["entries"]
        assert isinstance(entries, list)
        assert entries[0]["request_body"].endswith("x… (cut)")
        assert entries[0]["response_body"] is None

    on_ledger(tmp_path / "ledger.db", work)


def spills(path: Path) -> list[Path]:
    return sorted(path.parent.glob("ledger.db.spill-*.jsonl"))


def break_inserts(path: Path) -> None:
    """Make every insert fail as a full disk would: not for what the record holds."""
    connection = opening.connect(path)
    connection.execute("DROP TABLE totals")
    connection.close()


def repair(path: Path) -> None:
    connection = opening.connect(path)
    connection.execute(schema.TABLES[2])
    connection.close()


@pytest.mark.parametrize("entries", [True, False])
def test_records_that_cannot_be_written_are_brought_in_at_the_next_start(
    tmp_path: Path, entries: bool, record: AuditRecord
) -> None:
    path = tmp_path / "ledger.db"
    first = replace(record, cache=CacheOutcome.MISS, adapted=("effort",), request_body=b"\xff")

    async def fail(ledger: Ledger) -> None:
        break_inserts(path)
        assert not await ledger.record(first)
        assert not await ledger.record(replace(record, request_id="r2"))
        assert (ledger.healthy, ledger.failures, ledger.spilled) == (False, 2, 2)
        assert spills(path)[0].stat().st_mode & 0o777 == 0o600
        with spills(path)[0].open("ab") as file:
            file.write(b'{"torn')

    async def bring_in(ledger: Ledger) -> None:
        async def two() -> bool:
            return (await ledger.read(queries.summary))["total_requests"] == 2

        await until(two)
        assert await ids(ledger) == (["r2", "r1"] if entries else [])

    on_ledger(path, fail, entries=entries)
    repair(path)
    on_ledger(path, bring_in, entries=entries)
    assert spills(path) == []


def test_deleted_bodies_are_nowhere_in_the_file(tmp_path: Path, record: AuditRecord) -> None:
    path, secret = tmp_path / "ledger.db", "a prompt that nobody may read any more"
    with closing(opening.connect(path)) as file:
        for n in range(50):
            said = replace(record, request_id=f"r{n}", request_body=f"{n} {secret}".encode())
            writing.insert(file, (said,), keep_entries=True)
        assert writing.delete_before(file, record.at_us + 1, 100) == 50
        assert file.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
    assert secret.encode() not in path.read_bytes()


def test_query_that_fails_half_way_keeps_no_snapshot(tmp_path: Path, record: AuditRecord) -> None:
    path = tmp_path / "ledger.db"

    async def work(ledger: Ledger) -> None:
        for n in range(5):
            await ledger.record(replace(record, request_id=f"r{n}"))
        with closing(opening.connect(path)) as file:
            file.execute("UPDATE audit SET shape = '{' WHERE request_id = 'r2'")
        errors = []
        for n in range(5, 9):
            with pytest.raises(msgspec.DecodeError) as caught:
                await ledger.read(lambda db: audit(db, AuditFilter()))
            errors.append(caught.value)  # and with it what the query had open
            await ledger.record(replace(record, request_id=f"r{n}"))
            assert (await ledger.read(queries.machine))["totalCalls"] == n + 1

    on_ledger(path, work)


def test_bad_record_that_was_spilled_ends_nothing(tmp_path: Path, record: AuditRecord) -> None:
    path = tmp_path / "ledger.db"
    bad = replace(record, request_id="bad", cost_pico=2**63)

    async def fail(ledger: Ledger) -> None:
        break_inserts(path)
        await ledger.record(record)

    on_ledger(path, fail)
    repair(path)
    (spilled,) = spills(path)
    spilled.write_bytes(msgspec.json.encode(bad) + b"\n" + spilled.read_bytes())

    async def bring_in(ledger: Ledger) -> None:
        async def one() -> bool:
            return await ids(ledger) == ["r1"]

        await until(one)
        assert await ledger.record(replace(record, request_id="r2"))

    on_ledger(path, bring_in)
    assert spills(path) == []


def test_spilled_file_is_brought_in_once(tmp_path: Path, record: AuditRecord) -> None:
    path = tmp_path / "ledger.db"

    async def fail(ledger: Ledger) -> None:
        break_inserts(path)
        await ledger.record(record)

    on_ledger(path, fail, entries=False)
    repair(path)
    copy = spills(path)[0].read_bytes()
    name = spills(path)[0]

    async def one(ledger: Ledger) -> None:
        async def gone() -> bool:
            return not spills(path)

        await until(gone)
        assert (await ledger.read(queries.summary))["total_requests"] == 1

    on_ledger(path, one, entries=False)
    name.write_bytes(copy)  # as if the process had been killed before it removed the file
    on_ledger(path, one, entries=False)


def test_file_of_a_living_process_is_left_alone(tmp_path: Path, record: AuditRecord) -> None:
    path = tmp_path / "ledger.db"

    async def main() -> None:
        first = Ledger(path, keep_entries=True)
        break_inserts(path)
        await first.record(record)
        repair(path)
        second = Ledger(path, keep_entries=True)
        assert await second.record(replace(record, request_id="r2"))
        await second.close()
        assert len(spills(path)) == 1
        assert not await first.record(replace(record, request_id="r2")), "r2 is there already"
        await first.close()

    asyncio.run(main())


def test_metrics_count_from_the_baseline_and_totals_do_not(
    tmp_path: Path, record: AuditRecord
) -> None:
    async def work(ledger: Ledger) -> None:
        await ledger.record(record)
        assert await ledger.write(lambda db: sums.set_baseline(db, 1))
        empty = await ledger.read(lambda db: queries.metrics(db, queries.MetricsFilter()))
        summary = empty["summary"]
        assert isinstance(summary, dict)
        assert set(summary.values()) == {0}
        assert (empty["by_model"], empty["by_provider"]) == ({}, {})
        await ledger.record(replace(record, request_id="r2"))
        assert (await ledger.read(queries.summary))["total_requests"] == 1
        assert (await ledger.read(queries.machine))["totalCalls"] == 2
        assert await ledger.write(lambda db: sums.set_baseline(db, 2))
        assert (await ledger.read(queries.summary))["total_requests"] == 0

    on_ledger(tmp_path / "ledger.db", work)


@pytest.mark.parametrize("statement", ["no SQL", "INSERT INTO spilled VALUES (NULL)"])
def test_task_that_fails_is_told_and_undone(
    tmp_path: Path, statement: str, record: AuditRecord
) -> None:
    def fail(connection: apsw.Connection) -> None:
        connection.execute("DELETE FROM totals")
        connection.execute(statement)

    async def work(ledger: Ledger) -> None:
        await ledger.record(record)
        assert not await ledger.write(fail)
        assert (await ledger.read(queries.summary))["total_requests"] == 1
        assert (ledger.failures, ledger.spilled, spills(tmp_path / "ledger.db")) == (0, 0, [])

    on_ledger(tmp_path / "ledger.db", work)


def test_trends_compare_a_day_with_the_day_before(tmp_path: Path, record: AuditRecord) -> None:
    now = 10 * DAY_US

    async def work(ledger: Ledger) -> None:
        empty = await ledger.read(lambda db: queries.project(db, now))
        assert (empty["calls"], empty["callsTrend"]) == (0, {"value": None, "period": "24h"})
        for n, at_us in enumerate((now - DAY_US - 1, now - 1, now - 2, now - 3 * DAY_US)):
            await ledger.record(replace(record, request_id=f"r{n}", at_us=at_us))
        found = await ledger.read(lambda db: queries.project(db, now))
        assert (found["calls"], found["tokens"], found["cost"]) == (4, 144, 20)
        assert found["callsTrend"] == {"value": 100.0, "period": "24h"}
        assert found["timeTrend"] == {"value": 0.0, "period": "24h"}

    on_ledger(tmp_path / "ledger.db", work)


@pytest.mark.parametrize(
    "wanted",
    [AuditFilter(start_us=1), AuditFilter(end_us=1), AuditFilter(start_us=1, provider="p")],
)
def test_time_filters_use_the_index(tmp_path: Path, wanted: AuditFilter) -> None:
    async def work(ledger: Ledger) -> None:
        plans: list[str] = []

        def explain(connection: apsw.Connection) -> None:
            asked: list[str] = []
            connection.trace_v2(
                apsw.SQLITE_TRACE_PROFILE, lambda traced: asked.append(traced["sql"])
            )
            audit(connection, wanted)
            connection.trace_v2(0)
            for query in asked:
                unset = (None,) * query.count("?")
                rows = connection.execute(f"EXPLAIN QUERY PLAN {query}", unset)
                plans.extend(row[-1] for row in rows)

        await ledger.read(explain)
        assert plans
        assert all("audit_time" in plan for plan in plans)

    on_ledger(tmp_path / "ledger.db", work)


def test_ledger_of_the_first_version_is_brought_up(tmp_path: Path, record: AuditRecord) -> None:
    path = tmp_path / "ledger.db"
    connection = apsw.Connection(str(path))
    for statement in schema.TABLES:
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 1")
    connection.execute(
        "INSERT INTO audit (request_id, boot_id, seq, at_us, endpoint, provider, status, success,"
        " partial, stream, overridden, latency_us, shape)"
        " VALUES ('old', 'b', 1, 1, 'messages', 'p', 200, 1, 0, 0, 0, 1, '{}')"
    )
    connection.close()

    async def work(ledger: Ledger) -> None:
        assert await ledger.record(replace(record, request_id="new"))
        assert await ids(ledger) == ["new", "old"]

    on_ledger(path, work)
    again = opening.connect(path)
    assert again.execute("PRAGMA user_version").get == schema.VERSION
    again.close()
