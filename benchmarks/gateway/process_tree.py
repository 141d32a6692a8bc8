"""What a process and its descendants are and hold; reads /proc through psutil."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType

import psutil

_EVERY_S = 0.1


def pids_of(root: int) -> tuple[int, ...]:
    """Return a process and its living descendants."""
    process = psutil.Process(root)
    return (root, *(child.pid for child in process.children(recursive=True)))


def memory_mb(root: int) -> float:
    """Return the memory of a process tree in MB; what its processes share counts once (PSS)."""
    return sum(_pss_bytes(pid) for pid in pids_of(root)) / 2**20


class MemoryWatch:
    """Follows the memory of a process tree within a block.

    Leaving the block raises psutil.NoSuchProcess when the root has ended.

    Attributes:
        peak_mb: The most that was seen.
    """

    def __init__(self, root: int) -> None:
        self.peak_mb = 0.0
        self._root = root
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        if error is None:
            self._look()  # a process that has ended is an error here, not a small process

    def _watch(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._look()
            while not self._over.wait(_EVERY_S):
                self._look()

    def _look(self) -> None:
        self.peak_mb = max(self.peak_mb, memory_mb(self._root))


def _pss_bytes(pid: int) -> int:
    try:
        held: int = psutil.Process(pid).memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0
    return held
