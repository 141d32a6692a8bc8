"""A private folder for the length of a block, that outlives a killed command only until the next.

It lies in the system's folder for temporary files, mode 0700, and may hold copies of a
configuration or of a repository. Its process holds a lock on it while it works there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "cco-migrate-scratch-"

_LOCKED_WITHIN_S = 60.0
"""A folder without its lock that is younger may be one that is being made."""


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """Make a folder and remove it at the end of the block; raises OSError.

    Args:
        purpose: A word for its name.
    """
    _remove_abandoned()
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{purpose}-") as name:
        folder = _opened(Path(name))
        try:
            with suppress(OSError):  # NFS locks no folder; there none is removed, either
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(folder)


def _remove_abandoned() -> None:
    """Remove the folders of processes that are gone."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # in use, somebody else's, or just removed
            folder = _opened(path)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = os.fstat(folder)
                old = time.time() - found.st_mtime > _LOCKED_WITHIN_S
                ours = found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == 0o700
                if old and ours:
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(folder)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
