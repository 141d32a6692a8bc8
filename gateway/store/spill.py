"""Keep records in a file beside the ledger while it cannot be written, and bring them in later."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import apsw
import msgspec

from gateway.store import writing
from gateway.store.records import AuditRecord

log = logging.getLogger(__name__)

_decode = msgspec.json.Decoder(AuditRecord).decode


class Spill:
    """One process's file of records; it exists only once there was need of it.

    The file is locked while its process may still add to it, so that no other one takes it.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._file: int | None = None

    def add(self, records: Iterable[AuditRecord]) -> None:
        """Append records, one JSON object a line. Raises OSError."""
        if self._file is None:
            self._file = self._create()
        data = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
        if os.write(self._file, data) != len(data):
            raise OSError("the disk is full")

    def release(self) -> None:
        """Give the file up, so that it can be brought in; the next need makes a new one."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _create(self) -> int:
        path = self._ledger.with_name(f"{self._ledger.name}.spill-{uuid.uuid4().hex}.jsonl")
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file


def reconcile(connection: apsw.Connection, ledger: Path, *, keep_entries: bool) -> int:
    """Bring in what ended processes have spilled; return how many records.

    A file is brought in whole, in one transaction that also remembers its name, and then removed:
    whenever this is interrupted, no record is counted twice. Raises apsw.Error and OSError.
    """
    found = 0
    for path in sorted(ledger.parent.glob(f"{ledger.name}.spill-*.jsonl")):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            if _locked(file.fileno()):
                found += _bring_in(connection, path, file, keep_entries)
    if found:
        log.warning("records that had been spilled are in the ledger: records=%d", found)
    return found


def _locked(file: int) -> bool:
    """Return whether the lock was free, and the file not already brought in by somebody else."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(file).st_nlink > 0


def _bring_in(
    connection: apsw.Connection, path: Path, lines: Iterable[bytes], keep_entries: bool
) -> int:
    found = 0
    connection.execute("BEGIN IMMEDIATE")
    try:
        known = "INSERT OR IGNORE INTO spilled VALUES (?)"
        connection.execute(known, (path.name,))
        if connection.changes():
            for record in _records(path, lines):
                # A record that is there already was committed after all; a bad one never can be.
                with contextlib.suppress(*writing.BAD_RECORD):
                    writing.insert(connection, (record,), keep_entries=keep_entries)
                    found += 1
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(apsw.Error):
            connection.execute("ROLLBACK")
        raise
    path.unlink(missing_ok=True)
    return found


def _records(path: Path, lines: Iterable[bytes]) -> Iterator[AuditRecord]:
    for line in lines:
        try:
            yield _decode(line)
        except msgspec.DecodeError as error:  # the last one may be torn
            log.warning("a spilled record cannot be read: file=%s reason=%s", path.name, error)
