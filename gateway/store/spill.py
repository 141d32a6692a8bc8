"""Keep records in a file beside the ledger while it cannot be written, and bring them in later."""

from __future__ import annotations

import fcntl
import glob
import logging
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from pathlib import Path

import apsw
import msgspec
from msgspec.structs import replace

from gateway.redact import redact_body
from gateway.store import writing
from gateway.store.records import AuditRecord
from gateway.store.rows import transaction
from gateway.wire.decoding import UNREADABLE

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AuditRecord).decode


class Spill:
    """One process's files of records; there is one only once there was need of it.

    A file is locked while its process may still add to it, so that no other one takes it.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._file: int | None = None
        self._path = ledger  # of the file, while there is one
        self._counts: dict[Path, int] = {}

    def add(self, record: AuditRecord) -> None:
        """Append a record as one line of JSON, whole or not at all; its bodies without secrets.

        Raises OSError, and TypeError or ValueError for a record that could not be read back.
        """
        line = _encode(_without_secrets(record)) + b"\n"
        _decode(line)
        file = self._create() if self._file is None else self._file
        size = os.fstat(file).st_size
        if os.write(file, line) != len(line):
            self._cut(file, size)
            raise OSError("the disk is full")
        self._counts[self._path] += 1

    def waiting(self) -> int:
        """Return how many of its records are still to be brought in; then their file is gone."""
        self._counts = {path: count for path, count in self._counts.items() if path.exists()}
        return sum(self._counts.values())

    def release(self) -> None:
        """Give the file up, so that it can be brought in; the next need makes a new one."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _create(self) -> int:
        """Make a file, under another name until it is locked: none may take it before."""
        new = self._ledger.with_name(f"{self._ledger.name}.spill-{uuid.uuid4().hex}.new")
        path = new.with_suffix(".jsonl")
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.rename(path)
        except OSError:
            os.close(file)
            new.unlink(missing_ok=True)
            raise
        self._file, self._path, self._counts[path] = file, path, 0
        return file

    def _cut(self, file: int, size: int) -> None:
        """Take a torn line away; where even that fails it is the last one of its file."""
        try:
            os.ftruncate(file, size)
        except OSError:
            self.release()


def reconcile(connection: apsw.Connection, ledger: Path, *, keep_entries: bool) -> Iterator[int]:
    """Bring in what ended processes have spilled; yield how many records, file by file.

    A file is brought in whole, in one transaction that also remembers its name, and then removed:
    whenever this is interrupted, no record is counted twice. One that cannot be read does not stop
    the others. Raises apsw.Error at once, and the first file's OSError at the end.
    """
    failed = []
    for path in sorted(ledger.parent.glob(f"{glob.escape(ledger.name)}.spill-*.jsonl")):
        try:
            with path.open("rb") as file:
                if not _locked(file.fileno()):
                    continue
                found = _bring_in(connection, path, file, keep_entries)
        except FileNotFoundError:  # another process was first
            continue
        except OSError as error:
            failed.append(error)
            continue
        yield found
    if failed:
        raise failed[0]


class _Line(Enum):
    """What became of a line."""

    TAKEN = auto()
    UNREADABLE = auto()
    REFUSED = auto()
    """Its record was committed after all, or is a bad one and never can be."""


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
    found: Counter[_Line] = Counter()
    with transaction(connection):
        known = "INSERT OR IGNORE INTO spilled VALUES (?)"
        connection.execute(known, (path.name,))
        if connection.changes():
            found.update(_take(connection, line, keep_entries) for line in lines)
    if found:
        log.warning(
            "spilled records are in the ledger: file=%s records=%d unreadable=%d refused=%d",
            path.name,
            *(found[became] for became in _Line),
        )
    path.unlink(missing_ok=True)
    return found[_Line.TAKEN]


def _take(connection: apsw.Connection, line: bytes, keep_entries: bool) -> _Line:
    """Write the record of a line, wholly or not at all. Raises apsw.Error."""
    try:
        record = _decode(line)
    except UNREADABLE:  # the last one may be torn
        return _Line.UNREADABLE
    try:
        with connection:  # a savepoint
            writing.insert(connection, (record,), keep_entries=keep_entries)
    except Exception as error:
        if writing.is_bad_record(error):
            return _Line.REFUSED
        raise
    return _Line.TAKEN


def _without_secrets(record: AuditRecord) -> AuditRecord:
    """Return a record as it may lie in a file: its bodies as the ledger keeps them."""
    bodies = (redact_body(record.request_body), redact_body(record.response_body))
    request, response = (None if body is None else body.encode() for body in bodies)
    return replace(record, request_body=request, response_body=response)
