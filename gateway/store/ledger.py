"""Write and read the ledger: one writer thread, two that read, an SQLite file in WAL mode.

The writer commits whatever is queued at once: alone when idle, in groups under load. Everything
that is committed survives the death of the process. While the file cannot be written, records go
to a file beside it. When there is nothing to write, records that are too old are deleted. Whatever
fails is told, and tried again: nothing but its end stops the writer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from queue import Empty, Full, SimpleQueue
from typing import TypeVar, cast

import apsw

from gateway.store import writing
from gateway.store.deadlines import Deadlines
from gateway.store.opening import connect, has_moved
from gateway.store.reader import Reader
from gateway.store.records import AuditRecord
from gateway.store.retention import Kind, delete_old, kinds
from gateway.store.spill import Spill, reconcile

log = logging.getLogger(__name__)

MAX_GROUP = 256
MAX_QUEUED = 20_000
"""More are dropped and counted: a disk that does not answer must not fill the memory."""

SWEEP_S = 60.0
_OVERDUE_S = 60.0  # a writer that is never idle sweeps all the same
_COMPLAIN_EVERY_S = 60.0

T = TypeVar("T")
Task = Callable[[apsw.Connection], None]

_Job = tuple[AuditRecord | Task, asyncio.Future[bool]]
"""A record to write, or anything else to do in one transaction, and who waits for it."""


class Ledger:
    """The ledger as one worker sees it.

    Attributes:
        failures: Records that were not written when they should have been, since the start.
        spilled: Those of them that wait in a file to be brought in.
        late: Answers that ended before their record was committed.
        in_time: Returns the future of a record, which says False, too, once an answer has waited
            for it long enough.
        on_record: Called with each record that is queued, or should have been.
        on_commit: Called in the event loop with the number of records just committed.
    """

    def __init__(
        self,
        path: Path,
        *,
        keep_entries: bool,
        keep_days: int | None = None,
        sweep_s: float = SWEEP_S,
    ) -> None:
        """Open the file, creating it when absent; blocks. Raises ConfigError.

        Args:
            keep_entries: Whether each request leaves an entry; the sums are kept in any case.
            keep_days: Age at which an entry is deleted; None keeps all.
            sweep_s: Time between two sweeps; the first comes at once.
        """
        self.failures = self.spilled = self.late = 0
        self._writes = self._sweeps = True  # as far as the last attempts tell
        self.on_record: Callable[[AuditRecord], None] = lambda _: None
        self.on_commit: Callable[[int], None] = lambda _: None
        self._path, self._keep_entries, self._kinds = path, keep_entries, kinds(keep_days)
        self._complained: dict[tuple[str, type[Exception]], float] = {}
        self._writer = connect(path)
        # What a request waits for is not read behind a report on all of them.
        self._reports, self._lookups = Reader(path, "ledger-reader"), Reader(path, "ledger-lookup")
        self._spill = Spill(path)
        self._sweep_s, self._sweep_at = sweep_s, time.monotonic()
        self._queue: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._turn: list[_Job] = []  # of the event loop's present turn
        self._unfinished = 0
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self._count_late)
        self.in_time = self._deadlines.watch
        self._open = True
        self._thread = threading.Thread(target=self._write, name="ledger-writer", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether the last attempt to write and the last sweep succeeded."""
        return self._writes and self._sweeps

    def record(self, entry: AuditRecord) -> asyncio.Future[bool]:
        """Queue a record; the future says whether it was committed. It never raises."""
        self.on_record(entry)
        return self._enqueue(entry)

    def enqueue(self, task: Task) -> asyncio.Future[bool]:
        """Have a task run in the next transaction; the future says whether it was committed.

        It may run twice: a transaction that fails for the fault of another task is undone.
        """
        return self._enqueue(task)

    async def write(self, task: Task) -> bool:
        """Run a task in the next transaction, on the writer thread; False when it failed."""
        return await self.enqueue(task)

    async def read(self, query: Callable[[apsw.Connection], T]) -> T:
        """Run a query on one snapshot, after those asked before. Raises apsw.Error."""
        return await self._reports.read(query)

    async def look_up(self, query: Callable[[apsw.Connection], T]) -> T:
        """Run a short query that a request waits for, also on a snapshot. Raises apsw.Error."""
        return await self._lookups.read(query)

    async def close(self) -> None:
        """Commit what is queued and close the file."""
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._lookups.close()
        self._reports.close()
        self._writer.close()
        self._spill.release()
        self._deadlines.close()

    def _enqueue(self, work: AuditRecord | Task) -> asyncio.Future[bool]:
        future: asyncio.Future[bool] = self._loop.create_future()
        if self._unfinished >= MAX_QUEUED:
            self._failed(isinstance(work, AuditRecord), Full("too much waits to be written"))
            future.set_result(False)
            return future
        self._unfinished += 1
        if not self._turn:
            self._loop.call_soon(self._hand_over)
        self._turn.append((work, future))
        return future

    def _hand_over(self) -> None:
        """Give the writer what has come in one turn of the loop: one transaction writes it."""
        jobs, self._turn = self._turn, []
        for start in range(0, len(jobs), MAX_GROUP):
            self._queue.put(jobs[start : start + MAX_GROUP])

    # -- the writer thread

    def _write(self) -> None:
        while True:
            group = self._next_group()
            if group:
                self._commit(group)
            if not self._open:
                return
            due_s = time.monotonic() - self._sweep_at
            if due_s >= (0 if not group and self._queue.empty() else _OVERDUE_S):
                self._sweep()

    def _next_group(self) -> list[_Job]:
        """Wait for work, but not beyond the next sweep; return what there is."""
        group: list[_Job] = []
        try:  # noqa: SIM105  # contextlib.suppress is three calls more, for each group
            self._take(group, timeout_s=max(0.0, self._sweep_at - time.monotonic()))
        except Empty:
            pass
        return group

    def _take(self, group: list[_Job], timeout_s: float = 0.0) -> None:
        """Add what is queued, up to a bound. Raises Empty when nothing comes in time."""
        while True:
            jobs = self._queue.get(timeout=timeout_s)
            if jobs is None:
                self._open = False
                return
            group += jobs
            if len(group) >= MAX_GROUP or self._queue.empty():
                return

    def _commit(self, group: list[_Job], *, alone: bool = False) -> None:
        """Write a group in one transaction, and unless it is to be alone what came meanwhile."""
        cursor = self._writer.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE")
            # Other workers may have had the file for a while.
            if not alone and len(group) < MAX_GROUP and not self._queue.empty():
                self._take(group)
            records = self._finish(cursor, map(itemgetter(0), group))
        except Exception as error:  # noqa: BLE001  # whatever it is, the thread goes on
            self._undone(group, error)
        else:
            self._writes = True
            self._loop.call_soon_threadsafe(self._committed, group, records)

    def _undone(self, group: list[_Job], error: Exception) -> None:
        """Save what can be saved of a group whose transaction failed."""
        lost = _records(group)
        if not writing.is_bad_record(error):
            self._failed(len(lost), error, self._set_aside(lost))
        elif len(group) > 1:  # one bad record must not take the others with it
            for job in group:
                self._commit([job], alone=True)
            return
        else:
            self._failed(len(lost), error)
        self._loop.call_soon_threadsafe(self._resolve, group, False)

    def _finish(self, cursor: apsw.Cursor, works: Iterable[AuditRecord | Task]) -> int:
        """Do everything and end the transaction; return how many records it wrote."""
        connection, written = self._writer, 0
        try:
            for kind, run in groupby(works, type):  # a task sees what was queued before it
                if kind is AuditRecord:
                    records = cast("list[AuditRecord]", list(run))
                    writing.insert(cursor, records, keep_entries=self._keep_entries)
                    written += len(records)
                else:
                    for task in cast("Iterator[Task]", run):
                        task(connection)
            cursor.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(apsw.Error):
                connection.execute("ROLLBACK")
            raise
        return written

    def _set_aside(self, records: list[AuditRecord]) -> str:
        """Spill records, each for itself; return what became of them."""
        spilled, problem = 0, ""
        for record in records:
            try:
                self._spill.add(record)
            except Exception as error:  # noqa: BLE001  # whatever it is, the others are saved
                problem = f"; not spilled: {_told(error)}"
            else:
                spilled += 1
        self.spilled += spilled
        return f"; spilled to a file: {spilled} of {len(records)}{problem}" if records else ""

    def _sweep(self) -> None:
        """Bring in what was spilled, and delete what is old; nothing that fails stops the rest."""
        self._sweep_at = time.monotonic() + self._sweep_s
        parts: list[Callable[[], None]] = [self._bring_in]
        parts += [partial(self._delete_old, kind) for kind in self._kinds]
        failed = False
        for part in parts:
            try:
                part()
            except Exception as error:  # noqa: BLE001  # whatever it is, the thread goes on
                failed = True
                self._complain("cannot be swept", error)
                if isinstance(error, apsw.BusyError):  # the rest would wait as long, too
                    break
        self._sweeps = not failed

    def _bring_in(self) -> None:
        if has_moved(self._writer):
            raise OSError("the file was moved or deleted, what is written is lost")
        self._spill.release()
        written = 0
        try:
            for found in reconcile(self._writer, self._path, keep_entries=self._keep_entries):
                written += found
                self._loop.call_soon_threadsafe(self._committed, [], found)
        finally:
            self.spilled = self._spill.waiting()
            self._writes = self._writes or written > 0  # last: who is told of health sees the rest

    def _delete_old(self, kind: Kind) -> None:
        if delete_old(self._writer, kind):  # there is more
            self._sweep_at = time.monotonic()

    def _failed(self, count: int, error: Exception, aside: str = "") -> None:
        self.failures += count
        self._writes = False
        self._complain("write failed", error, aside)

    def _complain(self, what: str, error: Exception, aside: str = "") -> None:
        """Log an error, but one of the same kind not again and again."""
        kind, now = (what, type(error)), time.monotonic()
        if now - self._complained.get(kind, float("-inf")) >= _COMPLAIN_EVERY_S:
            self._complained[kind] = now
            reason = f"{_told(error)}{aside}"
            log.error("ledger %s: failures=%d reason=%s", what, self.failures, reason)

    # -- back in the event loop

    def _committed(self, group: list[_Job], records: int) -> None:
        if records:
            self.on_commit(records)
        self._resolve(group, True)

    def _resolve(self, group: list[_Job], written: bool) -> None:
        self._unfinished -= len(group)
        for _, future in group:
            if not future.done():
                future.set_result(written)

    def _count_late(self) -> None:
        self.late += 1


def _records(group: Iterable[_Job]) -> list[AuditRecord]:
    return [work for work, _ in group if isinstance(work, AuditRecord)]


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
