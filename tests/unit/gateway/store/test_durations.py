"""The longest stream lately, as the audit tells it."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.store.durations import longest_stream_s
from gateway.store.ledger import Ledger
from gateway.store.records import AuditRecord


@pytest.fixture
def record(record: AuditRecord) -> AuditRecord:
    return replace(record, at_us=5_000, latency_us=2_500_000)


@pytest.mark.parametrize(("streams", "expected_s"), [(100, 2.5), (99, None), (0, None)])
def test_longest_stream_is_told_when_there_were_enough(
    tmp_path: Path, streams: int, expected_s: float | None, record: AuditRecord
) -> None:
    async def main() -> None:
        ledger = Ledger(tmp_path / "ledger.db", keep_entries=True)
        try:
            for number in range(streams):
                ledger.record(replace(record, request_id=f"r{number}"))
            ledger.record(replace(record, request_id="old", at_us=4_999, latency_us=9_000_000))
            plain = replace(record, request_id="plain", stream=False, latency_us=9_000_000)
            await ledger.record(plain)
            assert await ledger.read(partial(longest_stream_s, since_us=5_000)) == expected_s
        finally:
            await ledger.close()

    asyncio.run(main())
