"""An answer waits for its record, for a while; a client that leaves takes no record with it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
import uvloop
from msgspec.structs import replace

from gateway.store import deadlines, opening
from gateway.store.ledger import Ledger
from gateway.store.records import AuditRecord


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the ledger wait for a lock as long as a test may take."""
    monkeypatch.setattr(opening, "BUSY_S", 600.0)


def ids(path: Path) -> list[str]:
    with closing(opening.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT request_id FROM audit ORDER BY id")]


def test_wait_ends_with_the_commit(tmp_path: Path, record: AuditRecord) -> None:
    path = tmp_path / "ledger.db"

    async def main() -> None:
        ledger = Ledger(path, keep_entries=True)
        if await ledger.in_time(ledger.record(record)):
            assert ids(path) == ["r1"]
        else:
            assert ledger.late == 1
        await ledger.close()

    uvloop.run(main())


def test_record_that_is_late_is_counted_and_written(tmp_path: Path, record: AuditRecord) -> None:
    path = tmp_path / "ledger.db"

    async def main() -> None:
        ledger = Ledger(path, keep_entries=True)
        with closing(opening.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            records = [replace(record, request_id=f"r{n}") for n in range(3)]
            futures = [ledger.record(one) for one in records]
            waits = [ledger.in_time(future) for future in futures[:2]]
            assert [await wait for wait in waits] == [False, False]
            assert ledger.late == 2
            assert not futures[2].done(), "nobody waits for it"
        await ledger.close()
        assert ids(path) == ["r0", "r1", "r2"]
        assert ledger.failures == 0

    uvloop.run(main())


def test_client_that_leaves_takes_no_record_with_it(
    tmp_path: Path, record: AuditRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    monkeypatch.setattr(deadlines, "COMMIT_WAIT_S", 600.0)  # it is the client who does not wait

    async def main() -> None:
        ledger = Ledger(path, keep_entries=True)
        with closing(opening.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.Event()

            async def answer() -> None:
                future = ledger.record(record)
                waiting.set()
                await ledger.in_time(future)

            task = asyncio.create_task(answer())
            await waiting.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert ledger.late == 0
        assert await ledger.record(replace(record, request_id="r2"))
        await ledger.close()
        assert ids(path) == ["r1", "r2"]

    uvloop.run(main())
