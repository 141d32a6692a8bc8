"""The daemon's log file: where it is, what was written last, and what is being written."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_POLL_S = 0.2
_BLOCK_BYTES = 65536


def path_in(home: Path) -> Path:
    """Return the log of a state root; the original gateway's place if only that is there."""
    path, original = home / "daemon.log", home / "logs" / "daemon.log"
    return original if original.exists() and not path.exists() else path


def open_for_daemon(home: Path) -> BinaryIO:
    """Open the log to append to, for this user only, creating it and the state root."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(home / "daemon.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.fchmod(descriptor, 0o600)  # an older one may have been open to others
    return os.fdopen(descriptor, "wb")


def tail(path: Path, lines: int) -> tuple[bytes, int]:
    """Return the last lines and the offset after them. Raises OSError when there is no such file.

    A last line that is still being written is left out.
    """
    with path.open("rb") as file:
        begin = end = file.seek(0, os.SEEK_END)
        data = b""
        while begin > 0 and data.count(b"\n") <= lines:
            size = min(_BLOCK_BYTES, begin)
            begin -= size
            file.seek(begin)
            data = file.read(size) + data
    whole = data.rfind(b"\n") + 1
    end -= len(data) - whole
    kept = data[:whole].splitlines(keepends=True)
    return b"".join(kept[len(kept) - min(lines, len(kept)) :]), end


def follow(path: Path, offset: int) -> Iterator[bytes]:
    """Yield what is appended after the offset, for ever.

    A file that was replaced or shortened is read from its beginning.
    """
    file = path.open("rb")
    try:
        while True:
            if _replaced(path, file, offset):
                file.close()
                file, offset = path.open("rb"), 0
            file.seek(offset)
            data = file.read(_BLOCK_BYTES)
            offset += len(data)
            if data:
                yield data
            else:
                threading.Event().wait(_POLL_S)  # another process offers nothing to wait on
    finally:
        file.close()


def since(path: Path, offset: int, lines: int) -> str:
    """Return the last lines that were written after the offset; empty when there are none."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            found = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(found[-lines:])


def _replaced(path: Path, file: BinaryIO, offset: int) -> bool:
    try:
        now = path.stat()
    except FileNotFoundError:
        return False  # between the two halves of a rotation
    return now.st_ino != os.fstat(file.fileno()).st_ino or now.st_size < offset
