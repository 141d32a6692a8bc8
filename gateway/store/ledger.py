"""Write and read the ledger: one writer thread, one reader thread, an SQLite file in WAL mode.

The writer commits whatever is queued at once: alone when idle, in groups under load. Everything
that is committed survives the death of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from gateway.errors import ConfigError
from gateway.store import schema
from gateway.store.records import AuditRecord

log = logging.getLogger(__name__)

BUSY_S = 5.0
"""How long a statement waits for another worker's transaction."""

MAX_GROUP = 256
MAX_QUEUED = 20_000
"""More are dropped and counted: a disk that does not answer must not fill the memory."""

_COMPLAIN_EVERY_S = 60.0

T = TypeVar("T")
_Job = tuple[AuditRecord, "asyncio.Future[bool]"]


class Ledger:
    """The ledger as one worker sees it.

    Attributes:
        failures: Records that could not be written since the start.
        late: Answers that ended before their record was committed.
        healthy: Whether the last attempt to write succeeded.
    """

    def __init__(self, path: Path, *, keep_entries: bool) -> None:
        """Open the file, creating it when absent; blocks. Raises ConfigError."""
        self.failures = 0
        self.late = 0
        self.healthy = True
        self._keep_entries = keep_entries
        self._complained = float("-inf")
        self._writer = _connect(path)
        self._reader = _connect(path)
        self._reader.execute("PRAGMA query_only = 1")
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="ledger-reader")
        self._thread = threading.Thread(target=self._write, name="ledger-writer", daemon=True)
        self._thread.start()

    def record(self, entry: AuditRecord) -> asyncio.Future[bool]:
        """Queue a record; the future says whether it was committed. It never raises."""
        future: asyncio.Future[bool] = self._loop.create_future()
        if self._queue.qsize() >= MAX_QUEUED:
            self._failed(1, "the queue is full")
            future.set_result(False)
        else:
            self._queue.put((entry, future))
        return future

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query on one snapshot, on the reader thread. Raises sqlite3.Error."""
        return await self._loop.run_in_executor(self._readers, self._snapshot, query)

    async def close(self) -> None:
        """Commit what is queued and close the file."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._readers.shutdown()
        self._reader.close()
        self._writer.close()

    def _snapshot(self, query: Callable[[sqlite3.Connection], T]) -> T:
        self._reader.execute("BEGIN")
        try:
            return query(self._reader)
        finally:
            self._reader.execute("ROLLBACK")

    def _write(self) -> None:
        open_ = True
        while open_:
            group: list[_Job] = []
            job = self._queue.get()
            with contextlib.suppress(Empty):
                while job is not None:
                    group.append(job)
                    if len(group) >= MAX_GROUP:
                        break
                    job = self._queue.get_nowait()
            open_ = job is not None
            if group:
                self._commit(group)

    def _commit(self, group: list[_Job]) -> None:
        try:
            self._transact(group)
            self.healthy = True
            written = True
        except (sqlite3.Error, OverflowError) as error:
            if len(group) > 1:  # one bad record must not take the others with it
                for job in group:
                    self._commit([job])
                return
            written = False
            self._failed(1, str(error))
        self._loop.call_soon_threadsafe(_resolve, group, written)

    def _transact(self, group: list[_Job]) -> None:
        connection = self._writer
        connection.execute("BEGIN IMMEDIATE")
        try:
            for record, _ in group:
                schema.insert(connection, record, keep_entry=self._keep_entries)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _failed(self, count: int, reason: str) -> None:
        self.failures += count
        self.healthy = False
        now = time.monotonic()
        if now - self._complained >= _COMPLAIN_EVERY_S:
            self._complained = now
            log.error("ledger write failed: failures=%d reason=%s", self.failures, reason)


def _resolve(group: list[_Job], written: bool) -> None:
    for _, future in group:
        if not future.done():
            future.set_result(written)


def _connect(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create(path)
        connection = sqlite3.connect(
            path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        _prepare(connection)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(path, f"the ledger cannot be opened: {error}") from error
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != schema.VERSION:
        connection.close()
        raise ConfigError(path, f"the ledger has version {version}, not {schema.VERSION}")
    return connection


def _create(path: Path) -> None:
    """Create the file for its mode: prompts' sizes and costs are nobody else's business.

    An existing file is not even opened: closing any descriptor of it would drop the locks that this
    process's other connections hold (POSIX), and a leaving worker would then delete the live WAL.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _prepare(connection: sqlite3.Connection) -> None:
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
        for statement in schema.TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {schema.VERSION}")
    connection.execute("COMMIT")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite's busy timeout does not cover this switch, so workers retry it."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.01)
            continue
        if mode != "wal":
            raise sqlite3.OperationalError(f"journal mode is {mode}, WAL is needed")
        return
