"""The ledger's writer outlives whatever fails: it is told, counted, and over once its cause is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest
from msgspec.structs import replace

from gateway.store import opening, queries, schema
from gateway.store.entries import AuditFilter, audit
from gateway.store.ledger import Ledger
from gateway.store.records import AuditRecord

DAY_US = 86_400_000_000
SPAWNS = next(one for one in schema.MIGRATIONS[2] if "TABLE spawns" in one)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def record(record: AuditRecord) -> AuditRecord:
    return replace(record, at_us=time.time_ns() // 1000)


def on_ledger(path: Path, work: Callable[[Ledger], Awaitable[None]]) -> None:
    """Run `work` on an open ledger that sweeps all the time."""

    async def main() -> None:
        ledger = Ledger(path, keep_entries=True, keep_days=30, sweep_s=0.02)
        try:
            async with asyncio.timeout(20):  # a writer that has ended answers nobody
                await work(ledger)
        finally:
            await ledger.close()

    asyncio.run(main())


def change(path: Path, statement: str) -> None:
    """Do to the file what makes some of its statements fail, or mends them."""
    with closing(opening.connect(path)) as connection:
        connection.execute(statement)


def move(old: Path, new: Path) -> None:
    old.rename(new)


async def ids(ledger: Ledger) -> list[object]:
    found = await ledger.read(lambda db: audit(db, AuditFilter(limit=5000)))
    entries = found["entries"]
    assert isinstance(entries, list)
    return sorted(entry["request_id"] for entry in entries)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # the state is another thread's: no event
            await asyncio.sleep(0.01)


def raises(error: Exception) -> Callable[[apsw.Connection], None]:
    def task(_: apsw.Connection) -> None:
        raise error

    return task


@pytest.mark.parametrize(
    "error", [KeyError("x"), RuntimeError("x"), OSError("x"), ValueError("x"), AssertionError()]
)
def test_task_that_raises_anything_takes_nothing_with_it(
    path: Path, record: AuditRecord, error: Exception
) -> None:
    async def work(ledger: Ledger) -> None:
        waiting = [
            ledger.record(record),
            ledger.enqueue(raises(error)),
            ledger.record(replace(record, request_id="r2")),
        ]
        assert await asyncio.gather(*waiting) == [True, False, True]
        assert not await ledger.write(raises(error))
        assert (ledger.healthy, ledger.failures, ledger.spilled) == (False, 0, 0)
        assert await ledger.record(replace(record, request_id="r3"))
        assert await ids(ledger) == ["r1", "r2", "r3"]
        await until(lambda: ledger.healthy)

    on_ledger(path, work)


def test_records_for_which_there_was_no_memory_are_spilled(path: Path, record: AuditRecord) -> None:
    async def work(ledger: Ledger) -> None:
        waiting = [ledger.record(record), ledger.enqueue(raises(MemoryError()))]
        assert await asyncio.gather(*waiting) == [False, False]
        assert ledger.failures == 1
        await until(lambda: ledger.healthy and ledger.spilled == 0)
        assert await ids(ledger) == ["r1"]

    on_ledger(path, work)


def test_health_comes_back_with_the_spilled_records_and_without_a_request(
    path: Path, record: AuditRecord
) -> None:
    counted: list[int] = []

    async def work(ledger: Ledger) -> None:
        ledger.on_commit = counted.append
        change(path, "DROP TABLE totals")
        assert not await ledger.record(record)
        assert (ledger.healthy, ledger.failures, ledger.spilled) == (False, 1, 1)
        change(path, schema.TABLES[2])
        await until(lambda: ledger.healthy)
        assert (ledger.failures, ledger.spilled) == (1, 0)
        assert (await ledger.read(queries.summary))["total_requests"] == 1

    on_ledger(path, work)
    assert counted == [1]


def test_sweep_that_fails_in_part_is_told_once_and_stops_nothing_else(
    path: Path, record: AuditRecord, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(ledger: Ledger) -> None:
        change(path, "DROP TABLE spawns")
        await until(lambda: not ledger.healthy)
        old = replace(record, request_id="old", at_us=record.at_us - 31 * DAY_US)
        for n in range(20):
            assert await ledger.record(replace(record, request_id=f"r{n}"))
            await asyncio.sleep(0.01)
        assert await ledger.record(old)
        async with asyncio.timeout(10):
            while "old" in await ids(ledger):
                await asyncio.sleep(0.01)
        assert (ledger.healthy, ledger.failures, ledger.spilled) == (False, 0, 0)
        change(path, SPAWNS)
        await until(lambda: ledger.healthy)

    with caplog.at_level(logging.ERROR):
        on_ledger(path, work)
    (told,) = caplog.messages
    assert told.startswith("ledger cannot be swept: failures=0 reason=SQLError: no such table")


def test_one_kind_of_failure_hides_no_other(
    path: Path, record: AuditRecord, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(ledger: Ledger) -> None:
        for _ in range(3):
            assert not await ledger.write(raises(KeyError("x")))
            assert not await ledger.write(raises(ValueError("x")))
            assert not await ledger.record(replace(record, cost_pico=2**70))

    on_ledger(path, work)
    reasons = [told.partition("reason=")[2].partition(":")[0] for told in caplog.messages]
    assert reasons == ["KeyError", "ValueError", "OverflowError"]


@pytest.mark.parametrize(
    "junk",
    [b"\xff\n", b'{"request_id":"\xff', b"[" * 100_000, b'{"x":' + b"[" * 100_000, b"\0" * 9],
)
def test_spill_of_any_bytes_is_brought_in_at_a_start(
    path: Path, record: AuditRecord, junk: bytes
) -> None:
    absurd = msgspec.json.encode(replace(record, request_id="bad", at_us=10**18))
    whole = msgspec.json.encode(record)
    spill = path.with_name("ledger.db.spill-0.jsonl")
    spill.write_bytes(b"\n".join([absurd, whole, junk]))

    async def work(ledger: Ledger) -> None:
        await until(lambda: not spill.exists())
        assert await ids(ledger) == ["r1"]
        assert await ledger.record(replace(record, request_id="r2"))
        assert (ledger.healthy, ledger.failures) == (True, 0)

    on_ledger(path, work)


def test_spill_that_cannot_be_opened_stops_neither_retention_nor_the_others(
    path: Path, record: AuditRecord, caplog: pytest.LogCaptureFixture
) -> None:
    strange = path.with_name("ledger.db.spill-0.jsonl")
    strange.mkdir()
    other = path.with_name("ledger.db.spill-1.jsonl")
    other.write_bytes(msgspec.json.encode(replace(record, request_id="spilled")))

    async def work(ledger: Ledger) -> None:
        old = replace(record, request_id="old", at_us=record.at_us - 31 * DAY_US)
        assert all(await asyncio.gather(ledger.record(record), ledger.record(old)))
        async with asyncio.timeout(10):
            while await ids(ledger) != ["r1", "spilled"]:
                await asyncio.sleep(0.01)
        await until(lambda: not ledger.healthy)
        strange.rmdir()
        await until(lambda: ledger.healthy)

    with caplog.at_level(logging.ERROR):
        on_ledger(path, work)
    (told,) = caplog.messages
    assert "IsADirectoryError" in told


def test_ledger_that_was_deleted_under_its_writer_is_no_healthy_one(
    path: Path, record: AuditRecord
) -> None:
    spill, kept = path.with_name("ledger.db.spill-0.jsonl"), path.with_name("kept")

    async def work(ledger: Ledger) -> None:
        assert await ledger.record(record)
        move(path, kept)
        await until(lambda: not ledger.healthy)
        spill.write_bytes(msgspec.json.encode(replace(record, request_id="spilled")))
        assert await ledger.record(replace(record, request_id="r2"))
        assert not ledger.healthy, "what is written now is in no file that has this name"
        assert spill.exists()
        move(kept, path)
        await until(lambda: ledger.healthy)
        assert await ids(ledger) == ["r1", "r2", "spilled"]

    on_ledger(path, work)
