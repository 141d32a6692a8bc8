"""Open the ledger's SQLite file, shared by several processes; blocks."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from pathlib import Path

import apsw

from gateway.errors import ConfigError
from gateway.store import schema

BUSY_S = 5.0
"""How long a statement waits for another worker's transaction."""

# A commit writes whole pages, and checks every byte of them, for the few rows that it adds.
_PAGE_BYTES = 2048


def connect(path: Path) -> apsw.Connection:
    """Open the file, creating or updating it; blocks. Raises ConfigError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create(path)
        connection = apsw.Connection(str(path))
    except (OSError, UnicodeError, apsw.Error) as error:
        raise ConfigError(path, f"the ledger cannot be opened: {error}") from error
    connection.set_busy_timeout(round(BUSY_S * 1000))
    try:
        _prepare(connection)
    except apsw.Error as error:
        connection.close()
        raise ConfigError(path, f"the ledger cannot be opened: {error}") from error
    version = connection.execute("PRAGMA user_version").get
    if version != schema.VERSION:
        connection.close()
        raise ConfigError(path, f"the ledger has version {version}, not {schema.VERSION}")
    return connection


def has_moved(connection: apsw.Connection) -> bool:
    """Return whether the file was deleted, or another put in its place, since it was opened.

    With a WAL, SQLite does not look: it goes on with what has no name any more.
    """
    moved = ctypes.c_int()
    connection.file_control("main", apsw.SQLITE_FCNTL_HAS_MOVED, ctypes.addressof(moved))
    return moved.value != 0


def _create(path: Path) -> None:
    """Create the file for its mode: prompts' sizes and costs are nobody else's business.

    An existing file is not even opened: closing any descriptor of it would drop the locks that this
    process's other connections hold (POSIX), and a leaving worker would then delete the live WAL.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _prepare(connection: apsw.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # a file that exists keeps its own
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = 1")  # prompts that were deleted are nowhere left
    connection.execute("BEGIN IMMEDIATE")
    schema.prepare(connection)
    connection.execute("COMMIT")


def _use_wal(connection: apsw.Connection) -> None:
    """Switch to WAL. SQLite's busy timeout does not cover this switch, so workers retry it."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").get
        except (apsw.BusyError, apsw.CantOpenError, apsw.IOError, apsw.ProtocolError):
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.01)
            continue
        if mode != "wal":
            raise apsw.Error(f"journal mode is {mode}, WAL is needed")
        return
