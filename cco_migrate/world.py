"""The outside as ports: files, processes, HTTP and the clock; every effect goes through here."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cco_migrate.http import Answer, Http
from cco_migrate.processes import Finished, Processes

# A world is used in terms of its ports.
__all__ = ["Answer", "Clock", "Files", "Finished", "Http", "Processes", "World", "free_bytes"]


class Files:
    """Files, read whole and replaced whole."""

    def read(self, path: Path) -> bytes:
        """Return the file's bytes; raises OSError."""
        return path.read_bytes()

    def read_if_there(self, path: Path) -> bytes | None:
        """Return the file's bytes, None when there is no such file; raises OSError otherwise."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def replace(self, path: Path, data: bytes, *, mode: int | None = None) -> None:
        """Write new, sync, rename; follow a symbolic link, keep mode and owner of the old file.

        Args:
            mode: Permission bits of a file that does not exist yet; default 0600.

        Raises:
            OSError: The old file is untouched and no other file is left behind.
        """
        path = path.resolve()
        try:
            old: os.stat_result | None = path.stat()
        except FileNotFoundError:
            old = None
        fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
        fresh.unlink(missing_ok=True)  # left by a killed process whose pid is ours now
        try:
            with fresh.open("xb") as file:
                os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode) if old else (mode or 0o600))
                if old is not None and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                    with contextlib.suppress(PermissionError):
                        os.fchown(file.fileno(), old.st_uid, old.st_gid)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        self.sync_directory(path.parent)

    def sweep(self, directory: Path) -> None:
        """Remove what `replace` left in a directory when its process was killed; read-only is fine.

        Nobody reads those files, so that one that cannot be removed does no harm.
        """
        for path in directory.glob(".*.new"):
            pid = path.name.split(".")[-2]
            if pid.isdecimal() and not _is_there(int(pid)):
                with contextlib.suppress(OSError):
                    path.unlink()

    def append(self, path: Path, data: bytes) -> None:
        """Append and sync; the file is made with mode 0600 when it is new."""
        new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            while data:  # a nearly full disk takes a part first and fails on the rest
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            self.sync_directory(path.parent)

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to its first `size` bytes and sync it."""
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: Path) -> None:
        """Remove a file; nothing happens when there is none."""
        try:
            path.unlink()
        except FileNotFoundError:
            return
        self.sync_directory(path.parent)

    def make_directory(self, path: Path) -> None:
        """Make a directory and its parents, mode 0700."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def writable(self, path: Path) -> bool:
        """Return whether a file in this directory could be replaced, without trying it."""
        return os.access(path, os.W_OK | os.X_OK)

    @staticmethod
    def sync_directory(path: Path) -> None:
        """Make a rename or a removal in this directory durable."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Clock:
    """Time: UTC for records, monotonic for durations."""

    def now(self) -> datetime:
        """Return the time of day, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds on a clock that never steps."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Wait between two looks at something."""
        time.sleep(seconds)

    def wait_until(self, done: Callable[[], bool], timeout_s: float, every_s: float = 0.05) -> bool:
        """Look until `done()` is true; return False when the time is over. Looks at least once."""
        until = self.monotonic() + timeout_s
        while not done():
            if self.monotonic() >= until:
                return False
            self.pause(every_s)
        return True


@dataclass(frozen=True, slots=True)
class World:
    """All ports together. One World is used by one run."""

    files: Files
    processes: Processes
    http: Http
    clock: Clock

    @classmethod
    def real(cls) -> World:
        """Return the world as it is."""
        return cls(Files(), Processes(), Http(), Clock())


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's, or no pid at all: not ours to judge
        return True
    return True


def free_bytes(path: Path) -> int:
    """Return the free space of the file system a path is on, or would be made on."""
    return shutil.disk_usage(next(p for p in (path, *path.parents) if p.exists())).free
