"""Whole numbers that all workers of one gateway share, in a file mapped into memory.

A number is read and written as one word, without a lock; what is done with it must bear that two
workers do so at the same time. Workers share a file when one supervisor started them together and
they read the same configuration, so they agree on what each place means; a new set begins anew.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
from pathlib import Path

from gateway.wire.workers import WorkerIdentity

log = logging.getLogger(__name__)

_WORD = 8


def open_cells(folder: Path, identity: WorkerIdentity, fingerprint: str, count: int) -> memoryview:
    """Return `count` numbers, 0 when this worker is the first of its set to ask.

    Without a disk to put them on they are this worker's alone, which is logged.

    Args:
        folder: Where the workers of one gateway keep them; files of sets before are removed.
        fingerprint: That of the configuration.
    """
    name = f"{identity.supervisor}-{identity.generation}-{fingerprint}.cells"
    size = count * _WORD
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_older(folder, identity)
        mapped = _map(folder / name, size)
    except (OSError, ValueError) as error:
        log.warning("limits are not shared between workers: %s", error)
        mapped = mmap.mmap(-1, size)
    return memoryview(mapped).cast("q")


def _map(path: Path, size: int) -> mmap.mmap:
    """Map the first `size` bytes of a file. Raises ValueError when it is shorter."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # Written, not only declared: a mapped hole on a full disk ends the process. Two that find
        # it short both append, so that neither overwrites what the other has begun to count.
        if os.fstat(file).st_size < size:
            os.write(file, bytes(size))
        return mmap.mmap(file, size)
    finally:
        os.close(file)


def _remove_older(folder: Path, identity: WorkerIdentity) -> None:
    """Remove what sets before have left; who still uses a file keeps it until its end."""
    for path in folder.glob("*.cells"):
        supervisor, _, rest = path.name.partition("-")
        generation = rest.partition("-")[0]
        own = supervisor == identity.supervisor and generation.isdecimal()
        if not own or int(generation) < identity.generation:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
