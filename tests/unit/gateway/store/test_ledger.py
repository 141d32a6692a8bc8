"""The ledger on real files: sums, several writers, killed writers, failures."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from gateway.errors import ConfigError
from gateway.store import entries, queries
from gateway.store.entries import AuditFilter
from gateway.store.ledger import Ledger
from gateway.store.queries import MetricsFilter
from gateway.store.records import AuditRecord, CacheOutcome

AT_US = 1_763_700_000_123_456


@pytest.fixture
def record(record: AuditRecord) -> AuditRecord:
    return replace(record, at_us=AT_US)


def on_ledger(path: Path, work: Callable[[Ledger], object], *, keep: bool = True) -> None:
    """Run `work` (it may return an awaitable) on an open ledger."""

    async def main() -> None:
        ledger = Ledger(path, keep_entries=keep)
        result = work(ledger)
        if asyncio.iscoroutine(result):
            await result
        await ledger.close()

    asyncio.run(main())


def test_record_and_sums_are_written_together(tmp_path: Path, record: AuditRecord) -> None:
    async def work(ledger: Ledger) -> None:
        plain = replace(
            record, request_id="r2", model="a", overridden=False, cost_pico=None, agent_type=None
        )
        failed = replace(plain, request_id="r3", success=False, usage=None, stream=False)
        for each in (record, plain, failed):
            assert await ledger.record(each)
        found = await ledger.read(lambda db: queries.metrics(db, MetricsFilter(by_project=True)))
        assert found["summary"] == {
            "total_requests": 3,
            "successful_requests": 2,
            "failed_requests": 1,
            "streaming_requests": 2,
            "total_cost_usd": Decimal("0.003"),
            "total_input_tokens": 20,
            "total_output_tokens": 40,
            "total_cache_write_tokens": 6,
            "total_cache_read_tokens": 6,
            "avg_latency_ms": 2.5,
        }
        assert found["by_agent"] == {"unknown": 0, "reviewer": Decimal("0.003")}
        stats = await ledger.read(lambda db: queries.overrides(db, enabled=False))
        assert (stats["total_overrides"], stats["unmatched_requests"]) == (1, 2)
        assert stats["message"]
        machine = await ledger.read(queries.machine)
        assert (machine["totalCalls"], machine["totalTokens"]) == (3, 72)

    on_ledger(tmp_path / "new" / "ledger.db", work)
    assert (tmp_path / "new" / "ledger.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (AuditFilter(), ["r3", "r2", "r1"]),
        (AuditFilter(limit=1, offset=1), ["r2"]),
        (AuditFilter(success=False), ["r3"]),
        (AuditFilter(agent_type="x"), ["r2"]),
        (AuditFilter(provider="other"), []),
        (AuditFilter(project_id="p"), []),
        (AuditFilter(start_us=AT_US + 1), ["r3", "r2"]),
        (AuditFilter(end_us=AT_US), ["r1"]),
        (AuditFilter(request_ids=("r1", "r3", "r9")), ["r3", "r1"]),
    ],
)
def test_audit_filters(
    tmp_path: Path, wanted: AuditFilter, ids: list[str], record: AuditRecord
) -> None:
    async def work(ledger: Ledger) -> None:
        later = AT_US + 5
        await ledger.record(record)
        await ledger.record(replace(record, request_id="r2", at_us=later, agent_type="x"))
        await ledger.record(replace(record, request_id="r3", at_us=later, success=False))
        found = await ledger.read(lambda db: entries.audit(db, wanted))
        page = found["entries"]
        assert isinstance(page, list)
        assert [entry["request_id"] for entry in page] == ids
        whole = await ledger.read(
            lambda db: entries.audit(db, dataclasses.replace(wanted, limit=9, offset=0))
        )
        rows = whole["entries"]
        assert isinstance(rows, list)
        assert found["total"] == len(rows)

    on_ledger(tmp_path / "ledger.db", work)


@pytest.mark.parametrize(
    ("saved", "text", "exact"),
    [
        ([7 * 10**9], "$0.01", Decimal("0.007")),
        ([-1_250_000_000_000], "-$1.25", Decimal("-1.25")),
        ([18_500_000_000_000, None], "$18.50", Decimal("18.5")),
        ([None], None, None),
    ],
)
def test_saving_is_a_sum_or_unknown(
    tmp_path: Path,
    saved: list[int | None],
    text: str | None,
    exact: Decimal | None,
    record: AuditRecord,
) -> None:
    async def work(ledger: Ledger) -> None:
        for index, pico in enumerate(saved):
            await ledger.record(replace(record, request_id=f"r{index}", saved_pico=pico))
        stats = await ledger.read(lambda db: queries.overrides(db, enabled=True))
        assert stats["overrides_by_model"] == {
            "a": {
                "overridden_to": "b",
                "count": len(saved),
                "percentage": 100.0,
                "cost_saved": text,
                "cost_saved_usd": exact,
            }
        }

    on_ledger(tmp_path / "ledger.db", work)


def test_statistics_are_kept_without_entries(tmp_path: Path, record: AuditRecord) -> None:
    async def work(ledger: Ledger) -> None:
        await ledger.record(record)
        assert (await ledger.read(lambda db: entries.audit(db, AuditFilter())))["total"] == 0
        assert (await ledger.read(queries.summary))["total_requests"] == 1

    on_ledger(tmp_path / "ledger.db", work, keep=False)


@pytest.mark.parametrize(
    "change",
    [
        {"cost_pico": 2**70},
        {"user": "\ud800"},
        {"user": object()},
        {"status": "x"},
        {"at_us": 10**18},
        {"limits": ((object(), 1),)},
    ],
    ids=["too-large", "half-a-character", "no-value", "another-type", "no-year", "no-name"],
)
def test_one_bad_record_takes_no_other_with_it(
    tmp_path: Path, record: AuditRecord, change: dict[str, object]
) -> None:
    async def work(ledger: Ledger) -> None:
        bad = replace(record, request_id="bad", **change)
        good = [replace(record, request_id=f"g{n}") for n in range(20)]
        futures = [ledger.record(each) for each in (*good[:10], bad, record, *good[10:])]
        written = await asyncio.gather(*futures)
        assert written.count(False) == 1
        assert ledger.failures == 1
        twice = await ledger.record(record)
        assert not twice, "a request id stands once"
        assert not ledger.healthy
        summary = await ledger.read(queries.summary)
        assert summary["total_requests"] == 21

    on_ledger(tmp_path / "ledger.db", work)


def test_two_ledgers_share_a_file(tmp_path: Path, record: AuditRecord) -> None:
    path = tmp_path / "ledger.db"

    async def main() -> None:
        ledgers = [Ledger(path, keep_entries=True) for _ in range(2)]
        futures = [
            ledger.record(replace(record, request_id=f"{index}-{n}"))
            for n in range(100)
            for index, ledger in enumerate(ledgers)
        ]
        assert all(await asyncio.gather(*futures))
        for ledger in ledgers:
            assert (await ledger.read(queries.summary))["total_requests"] == 200
        for ledger in ledgers:
            await ledger.close()

    asyncio.run(main())


def test_queued_records_are_written_on_close(tmp_path: Path, record: AuditRecord) -> None:
    path = tmp_path / "ledger.db"

    async def main() -> None:
        ledger = Ledger(path, keep_entries=True)
        for n in range(600):
            ledger.record(replace(record, request_id=f"r{n}"))
        await ledger.close()

    asyncio.run(main())
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT count(*) FROM audit").fetchone() == (600,)
    connection.close()


def test_records_of_one_turn_are_one_transaction_with_a_task_in_its_place(
    tmp_path: Path, record: AuditRecord
) -> None:
    groups: list[int] = []
    seen: list[int] = []

    def count(file: apsw.Connection) -> None:
        seen.append(file.execute("SELECT sum(calls) FROM totals").get)

    async def work(ledger: Ledger) -> None:
        ledger.on_commit = groups.append
        small = replace(record, overridden=False, usage=None, cost_pico=None, latency_us=1)
        records = [replace(record, request_id=f"r{n}") for n in range(3)]
        before = [ledger.record(each) for each in records]
        task = ledger.enqueue(count)
        after = ledger.record(replace(small, request_id="other"))
        assert await asyncio.gather(*before, task, after) == [True] * 5

        def sums(file: apsw.Connection) -> tuple[object, ...]:
            totals = "SELECT calls, input_tokens, cost_pico, unpriced, latency_us FROM totals"
            overrides = "SELECT count, priced, saved_pico FROM overrides"
            rows = (file.execute(one).fetchall() for one in (totals, overrides))
            return tuple(tuple(row) for found in rows for row in found)

        expected = ((4, 30, 9 * 10**9, 0, 7501), (3, 3, 21 * 10**9))
        assert await ledger.read(sums) == expected

    on_ledger(tmp_path / "ledger.db", work)
    assert groups == [4]
    assert seen == [3]


WRITER = """
import asyncio, sys
import dataclasses
from pathlib import Path
from gateway.store.entries import AuditFilter
from gateway.store.ledger import Ledger
from gateway.store.records import AuditRecord, Endpoint

async def main():
    ledger = Ledger(Path(sys.argv[1]), keep_entries=True)
    for n in range(10**9):
        record = AuditRecord(
            request_id=f"r{n}", boot_id="b", seq=n, at_us=0, endpoint=Endpoint.MESSAGES,
            provider="p", model="m", requested_model="m", status=200, success=True, partial=False,
            stream=False, overridden=False, counted=True, latency_us=1,
        )
        if await ledger.record(record):
            print(n, flush=True)

asyncio.run(main())
"""


def test_committed_records_survive_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(50)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().split("\n")[:-1]]

    async def work(ledger: Ledger) -> None:
        page = await ledger.read(lambda db: entries.audit(db, AuditFilter(limit=1)))
        summary = await ledger.read(queries.summary)
        assert page["total"] == summary["total_requests"], "record and sums are one transaction"
        assert summary["total_requests"] in (len(told), len(told) + 1)

    on_ledger(path, work)


@pytest.mark.parametrize("content", [b"not a database, but long enough to be looked at" * 30, None])
def test_unusable_file_is_a_config_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ledger.db"
    if content is None:
        connection = apsw.Connection(str(path))
        connection.execute("PRAGMA user_version = 99")
        connection.close()
    else:
        path.write_bytes(content)

    async def main() -> None:
        with pytest.raises(ConfigError, match=r"ledger\.db"):
            Ledger(path, keep_entries=True)

    asyncio.run(main())


def test_events_after_a_record_come_once_and_in_order(tmp_path: Path, record: AuditRecord) -> None:
    async def work(ledger: Ledger) -> None:
        await ledger.record(record)
        last, _ = await ledger.read(lambda db: entries.events_after(db, 2**62))
        for n in (2, 3):
            await ledger.record(replace(record, request_id=f"r{n}", model=f"m{n}"))
        await ledger.record(replace(record, request_id="r4", overridden=False))
        plain = replace(record, overridden=False, cache=CacheOutcome.HIT)
        await ledger.record(replace(plain, request_id="r5"))
        await ledger.record(replace(plain, request_id="r6", success=False, cache=None))
        newest, found = await ledger.read(lambda db: entries.events_after(db, last))
        names = ["model_override", "model_override", "cache_hit", "error"]
        assert [name for name, _ in found] == names
        assert [event["override_to"] for _, event in found[:2]] == ["m2", "m3"]
        assert found[3][1]["request_id"] == "r6"
        assert (await ledger.read(lambda db: entries.events_after(db, newest)))[1] == []

    on_ledger(tmp_path / "ledger.db", work)
