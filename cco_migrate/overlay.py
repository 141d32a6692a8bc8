"""A world on top of another one: reads fall through, writes stay in memory, nothing is started."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

from cco_migrate.errors import ToolkitError
from cco_migrate.one_look import AskedOnce
from cco_migrate.world import Clock, Files, Finished, Processes, World

if TYPE_CHECKING:
    import subprocess

    import httpx

_READING = frozenset({"GET", "HEAD"})


class OverlayFiles(Files):
    """Files whose changes are kept in memory; they fail where the real ones would fail.

    What is below is read once: whoever else changes it meanwhile is not seen.
    """

    def __init__(self, below: Files) -> None:
        self._below = below
        self._changes: dict[Path, bytes | None] = {}
        self._directories: set[Path] = set()
        self._unlinked: set[Path] = set()
        self._places: dict[str, Path] = {}  # to follow links takes long, and they stay
        self._seen: dict[Path, bytes | None] = {}  # what was read but is not in `_changes`
        self._around: dict[Path, tuple[Path, ...]] = {}  # each directory of those, and all above

    @property
    def changes(self) -> Mapping[Path, bytes | None]:
        """What would have been written, by resolved path; None for what would be removed."""
        return MappingProxyType(self._changes)

    def read(self, path: Path) -> bytes:
        """Return the file's bytes; raises OSError."""
        data = self.read_if_there(path)
        if data is None:
            raise _error(errno.ENOENT, path)
        return data

    def read_if_there(self, path: Path) -> bytes | None:
        """Return the file's bytes, None when there is no such file; raises OSError otherwise."""
        place = self._place(path)
        if place in self._directories:
            raise _error(errno.EISDIR, path)
        if place in self._changes:
            return self._changes[place]
        if place not in self._seen:
            self._seen[place] = self._look(place, path)
        return self._seen[place]

    def replace(self, path: Path, data: bytes, *, mode: int | None = None) -> None:
        """Keep the new content in memory; raises OSError where the real file could not be made."""
        place = self._place(path)
        if self._changes.get(place) is None:  # else it was made here, and could be
            self._needs_directory(place)
            if self._is_directory(place):
                raise _error(errno.EISDIR, path)
        self._change(place, data)

    def sweep(self, directory: Path) -> None:
        """Do nothing: what a killed process left behind is no matter of a dry run."""

    def append(self, path: Path, data: bytes) -> None:
        """Keep the longer content in memory; raises OSError as `replace`."""
        place = self._place(path)
        before = self._changes.get(place)
        if before is not None:  # the journal grows line by line
            self._changes[place] = before + data
        else:
            self.replace(path, (self.read_if_there(path) or b"") + data)

    def truncate(self, path: Path, size: int) -> None:
        """Keep the first `size` bytes in memory; raises OSError when there is no such file."""
        self.replace(path, self.read(path)[:size].ljust(size, b"\0"))

    def remove(self, path: Path) -> None:
        """Forget a file; nothing happens when there is none."""
        link = self._place(path.parent) / path.name
        if link.is_symlink() and link not in self._unlinked:
            self._needs_directory(link)
            self._unlinked.add(link)  # the link goes, what it names stays
            self._places.clear()
            self._change(link, None)
        elif self.read_if_there(path) is not None:
            self._needs_directory(link)
            self._change(self._place(path), None)

    def make_directory(self, path: Path) -> None:
        """Remember a directory and its parents; raises OSError where they could not be made."""
        place = self._place(path)
        if path.is_symlink() and not self._exists(place) and place != path:
            raise _error(errno.EEXIST, path)  # a link to nothing is there, and is no directory
        missing = []
        while not self._exists(place):
            missing.append(place)
            place = place.parent
        if not self._is_directory(place):
            raise _error(errno.ENOTDIR, place)
        if missing and not self.writable(place):
            raise _error(errno.EACCES, place)
        self._directories.update(missing)

    def writable(self, path: Path) -> bool:
        """Return whether a file in this directory could be replaced, without trying it."""
        place = self._place(path)
        return place in self._directories or self._below.writable(place)

    @staticmethod
    def sync_directory(path: Path) -> None:
        """Do nothing: what stays in memory needs no disk."""

    def _place(self, path: Path) -> Path:
        """Return the file a path names, links followed but those that were removed."""
        name = str(path)  # hashed in half the time of a path
        place = self._places.get(name)
        if place is None:
            place = path.resolve() if path.name in {"", ".."} else self._in_directory(path)
            self._places[name] = place
        return place

    def _in_directory(self, path: Path) -> Path:
        directory = self._place(path.parent)
        place = directory / path.name
        if directory in self._directories or place in self._unlinked:
            return place  # no link of the world below stands there
        return place.resolve() if place.is_symlink() else place

    def _look(self, place: Path, path: Path) -> bytes | None:
        for parent in self._up_from(place.parent):
            if parent in self._directories:
                return None  # nothing stands in a new directory but what is in `_changes`
            if parent in self._changes:
                if self._changes[parent] is not None:
                    raise _error(errno.ENOTDIR, path)
                return None
        return self._below.read_if_there(path)

    def _up_from(self, directory: Path) -> tuple[Path, ...]:
        """Return the directory and all above it, from the inside out."""
        known = self._around.get(directory)
        if known is None:
            above = directory.parent
            known = (directory, *(self._up_from(above) if above != directory else ()))
            self._around[directory] = known
        return known

    def _change(self, place: Path, data: bytes | None) -> None:
        if place in self._around:
            self._seen.clear()  # it is no directory any more, or never was one
        self._changes[place] = data

    def _needs_directory(self, place: Path) -> None:
        if not self._is_directory(place.parent):
            raise _error(errno.ENOENT, place)
        if not self.writable(place.parent):
            raise _error(errno.EACCES, place)

    def _is_directory(self, place: Path) -> bool:
        return place in self._directories or (place not in self._changes and place.is_dir())

    def _exists(self, place: Path) -> bool:
        if self._is_directory(place):
            return True
        data = self._changes.get(place)
        return data is not None if place in self._changes else place.exists()


class OverlayProcesses(Processes):
    """Processes that can be looked at; none is started or signalled."""

    def run(self, command: Sequence[str], timeout_s: float) -> Finished:
        """Refuse: raises ToolkitError."""
        _refuse(f"start {command[0]}")

    def spawn(
        self, command: Sequence[str], output: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Refuse: raises ToolkitError."""
        _refuse(f"start {command[0]}")

    def signal(self, pid: int, signum: int) -> bool:
        """Refuse: raises ToolkitError."""
        _refuse(f"signal pid {pid}")


class OverlayHttp(AskedOnce):
    """HTTP that only reads: gateways that a dry run leaves as they are, so one look is enough."""

    @property
    def client(self) -> httpx.Client:
        """A client that raises ToolkitError for any method but GET and HEAD, and sends nothing."""
        if self._client is None:
            import httpx  # noqa: PLC0415  # see world.Http

            self._client = httpx.Client(
                trust_env=False,
                timeout=httpx.Timeout(60, connect=10),
                event_hooks={"request": [_refuse_writing]},
            )
        return self._client


class OverlayClock(Clock):
    """A clock that waits in no time: a pause only moves its hands."""

    def __init__(self, below: Clock) -> None:
        self._below, self._ahead_s = below, 0.0

    def now(self) -> datetime:
        """Return the time of day, UTC, the pauses included."""
        return self._below.now() + timedelta(seconds=self._ahead_s)

    def monotonic(self) -> float:
        """Return seconds on a clock that never steps back, the pauses included."""
        return self._below.monotonic() + self._ahead_s

    def pause(self, seconds: float) -> None:
        """Move the hands."""
        self._ahead_s += seconds


def overlay(world: World) -> tuple[World, OverlayFiles]:
    """Return a world that changes nothing, and the files in which it keeps what it would have.

    Close its `http` after use.
    """
    files = OverlayFiles(world.files)
    http, clock = OverlayHttp(world.http), OverlayClock(world.clock)
    return World(files, OverlayProcesses(), http, clock), files


def _refuse_writing(request: httpx.Request) -> None:
    if request.method not in _READING:
        _refuse(f"send {request.method} {request.url}")


def _refuse(what: str) -> NoReturn:
    raise ToolkitError(
        f"a dry run may not {what}; this step has no simulation", state="Nothing was changed."
    )


def _error(code: int, path: Path) -> OSError:
    return OSError(code, os.strerror(code), str(path))
