"""One gate at a time on a file of evidence: a kernel lock on it, which ends with its process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cco_migrate.errors import InvalidInput, LockHeld, ToolkitError


@contextmanager
def evidence_locked(path: Path | None) -> Iterator[None]:
    """Hold a file of evidence, which is made when it is new; None holds nothing.

    Two gates that append to one file would each judge without the other's samples.

    Raises:
        LockHeld: Another gate holds it; nothing was asked, sent or added.
        InvalidInput: It cannot be opened, or its file system knows no locks.
    """
    if path is None:
        yield
        return
    descriptor = _locked(path)
    try:
        yield
    finally:
        os.close(descriptor)


def require_free(path: Path | None) -> None:
    """Raise LockHeld when a gate holds the file by now; a new one is not made."""
    if path is not None and path.exists():
        with evidence_locked(path):
            return


def _locked(path: Path) -> int:
    descriptor = -1
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if descriptor >= 0:
            os.close(descriptor)
        raise _refusal(path, error) from error
    return descriptor


def _refusal(path: Path, error: OSError) -> ToolkitError:
    nothing = "Nothing was asked, sent or added."
    if isinstance(error, BlockingIOError):
        return LockHeld(
            f"{path}: another gate measures on this evidence",
            state=nothing,
            next_command="the same command when that gate has ended, or with another --evidence",
        )
    return InvalidInput(f"{path}: {error.strerror}; no evidence can be kept in it", state=nothing)
