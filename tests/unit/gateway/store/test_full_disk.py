"""The ledger on a disk that is full for a while: nothing fails, everything lost is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# A limit on the size of files stands in for the disk; it holds for a whole process.
SCRIPT = """
import asyncio, json, resource, signal, sys
from msgspec.structs import replace
from pathlib import Path
from gateway.store.entries import AuditFilter, audit
from gateway.store.ledger import Ledger
from gateway.store.records import AuditRecord, Endpoint

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does not: the write fails instead
RECORD = AuditRecord("r", "boot", 1, 1, Endpoint.MESSAGES, "p", "m", "m", 200, True, False, False,
    False, 1, error_message="x" * 2000)

async def main(path, spill_too):
    ledger = Ledger(path, keep_entries=True, sweep_s=0.05)
    assert await ledger.record(replace(RECORD, request_id="first"))
    size = max(file.stat().st_size for file in path.parent.iterdir())
    limit = 1 if spill_too else size
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    written = [await ledger.record(replace(RECORD, request_id=f"r{n}")) for n in range(20)]
    full = {"written": sum(written), "healthy": ledger.healthy, "failures": ledger.failures,
            "spilled": ledger.spilled}
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert await ledger.record(replace(RECORD, request_id="last"))
    async def total():
        return (await ledger.read(lambda file: audit(file, AuditFilter(limit=0))))["total"]
    for _ in range(3000):
        if await total() == 22 - (full["failures"] - full["spilled"]):
            break
        await asyncio.sleep(0.02)  # until the sweep has brought in what was spilled
    print(json.dumps({**full, "after": ledger.healthy, "total": await total()}))
    await ledger.close()

asyncio.run(main(Path(sys.argv[1]), sys.argv[2] == "spill-too"))
"""


def run(path: Path, disk: str) -> dict[str, int]:
    command = [sys.executable, "-c", SCRIPT, str(path), disk]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_records_are_spilled_and_brought_in_once_there_is_room(tmp_path: Path) -> None:
    found = run(tmp_path / "ledger.db", "ledger-only")
    assert found["written"] + found["failures"] == 20
    assert found["failures"] == found["spilled"] > 0
    assert not found["healthy"]
    assert found["after"]
    assert found["total"] == 22


def test_what_not_even_the_spill_file_takes_is_counted(tmp_path: Path) -> None:
    found = run(tmp_path / "ledger.db", "spill-too")
    assert found["written"] + found["failures"] == 20
    lost = found["failures"] - found["spilled"]
    assert lost > 0
    assert found["after"]
    assert found["total"] == 22 - lost
