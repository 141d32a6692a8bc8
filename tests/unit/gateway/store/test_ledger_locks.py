"""The ledger's file is shared by workers of several processes; one may leave at any time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from gateway.store.ledger import Ledger

LEAVE = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.execute("PRAGMA journal_mode = WAL").get
connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
connection.close()  # the last one to leave checkpoints and deletes the WAL
"""


def test_leaving_process_keeps_the_wal_of_a_living_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"

    async def live() -> None:
        ledger = Ledger(path, keep_entries=True)
        try:
            assert path.with_name("ledger.db-wal").exists()
            leave = [sys.executable, "-c", LEAVE, str(path)]
            await asyncio.to_thread(subprocess.run, leave, check=True)
            assert path.with_name("ledger.db-wal").exists()
        finally:
            await ledger.close()

    asyncio.run(live())
