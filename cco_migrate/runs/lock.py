"""One writer per state root: a file that says who holds it, renewed for as long as it is held.

`migrate/lock` is empty, or holds its owner as JSON, padded so that each write replaces the one
before in one piece. A kernel lock on it is held only while it is read and rewritten. An owner on
this host holds it for as long as its process lives. One on another host holds it for as long as
its record keeps changing, timed by the watcher's own monotonic clock: no time of day is compared,
so a clock that steps takes nothing from anybody.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from cco_migrate.errors import InvalidInput, LockHeld, LockLost
from cco_migrate.world import World

LEASE_S = 30.0
RECORD_BYTES = 1024
_BEATS_A_LEASE = 6


class Standing(StrEnum):
    """How the lock stands, seen from this machine."""

    FREE = "free"
    HELD = "held"  # its owner lives on this machine
    DEAD = "dead"  # its owner was killed on this machine: whoever comes next succeeds it
    ELSEWHERE = "elsewhere"  # its owner is on another machine, or left no name


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds the lock.

    Attributes:
        token: Tells this holding from every other one.
        birth: Tells its process from others of the same pid; empty when the system does not say.
        by: user@host.
        since: RFC 3339, UTC; for people only.
        lease_s: How long its record may stay the same before it counts as dead, in seconds.
        beat: Grows with every heartbeat.
    """

    token: str
    pid: int
    birth: str
    host: str
    by: str
    since: str
    why: str
    lease_s: float
    beat: int = 0

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host} since {self.since} ({self.why})"


class Lease:
    """The lock while we hold it.

    Attributes:
        taken_from: The dead owner it was taken from, for the journal; empty when it was free.
    """

    def __init__(self, file: LockFile, owner: Owner, taken_from: str) -> None:
        self.taken_from = taken_from
        self._file, self._owner = file, owner
        self._left = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def confirm(self) -> None:
        """Raise LockLost when somebody took the lock over: then nothing may be written any more."""
        owner = _parsed(self._file.read())
        if owner is None or owner.token != self._owner.token:
            raise LockLost(
                f"{self._file.path} was taken over by {owner or 'somebody who left no name'}",
                state="Nothing was changed after that; the run belongs to them now.",
                next_command="invoke status",
            )

    def release(self) -> None:
        """Stop the heartbeat and leave the lock empty, if it is still ours."""
        self._left.set()
        self._heart.join()
        with self._file.exclusively() as descriptor:
            if self._is_ours(descriptor):
                os.ftruncate(descriptor, 0)

    def _beat(self) -> None:
        owner = self._owner
        while not self._left.wait(owner.lease_s / _BEATS_A_LEASE):
            owner = replace(owner, beat=owner.beat + 1)
            try:
                with self._file.exclusively() as descriptor:
                    if not self._is_ours(descriptor):
                        return  # `confirm` tells the engine
                    _write(descriptor, owner)
            except OSError:
                continue  # a share that is gone for a moment: beat again until the lease is over

    def _is_ours(self, descriptor: int) -> bool:
        owner = _parsed(os.pread(descriptor, RECORD_BYTES, 0))
        return owner is not None and owner.token == self._owner.token


@contextmanager
def held(
    migrate_dir: Path, world: World, *, why: str, timeout_s: float = 0, take_over: bool = False
) -> Iterator[Lease]:
    """Hold the lock of a state root; a dead owner on this host is succeeded at once.

    Args:
        why: What for, shown to whoever finds it held.
        timeout_s: How long to wait for it; 0 asks once.
        take_over: Also succeed an owner on another host, once a whole lease went by without a
            heartbeat of it.

    Raises:
        LockHeld: Somebody else holds it; the message says who, since when and what for.
        InvalidInput: The state root cannot be written.
    """
    file = LockFile(migrate_dir / "lock", world)
    try:
        world.files.make_directory(migrate_dir)
        lease = file.succeed(why) if take_over else file.acquire(why, timeout_s)
    except OSError as error:
        raise InvalidInput(
            f"{file.path}: {error.strerror}; without the lock no command may change anything",
            state="Nothing was changed by this command.",
            next_command="invoke status",
        ) from error
    try:
        yield lease
    finally:
        lease.release()


def look(migrate_dir: Path, world: World) -> tuple[Standing, str]:
    """Return how the lock stands, and who holds it for people; changes nothing."""
    file = LockFile(migrate_dir / "lock", world)
    data = file.read()
    return file.standing(data), _name(data)


class LockFile:
    """The file, and the rules by which it changes hands."""

    def __init__(self, path: Path, world: World) -> None:
        self.path, self.world = path, world

    def read(self) -> bytes:
        """Return what it says, blanks included; empty when there is no such file."""
        return self.world.files.read_if_there(self.path) or b""

    def standing(self, data: bytes) -> Standing:
        """Return what a record means here."""
        owner, processes = _parsed(data), self.world.processes
        if not data.strip():
            return Standing.FREE
        if owner is None or owner.host != processes.host():
            return Standing.ELSEWHERE
        alive = processes.birth(owner.pid) == owner.birth
        return Standing.HELD if alive else Standing.DEAD

    def acquire(self, why: str, timeout_s: float) -> Lease:
        """Take the lock when it is free or its owner on this host is dead, within so much time."""
        taken: list[Lease] = []

        def attempt() -> bool:
            lease = self._attempt(why)
            taken.extend([lease] if lease else [])
            return lease is not None

        if not self.world.clock.wait_until(attempt, timeout_s, every_s=0.1):
            raise self._refusal(self.read())
        return taken[0]

    def succeed(self, why: str) -> Lease:
        """Take the lock from an owner elsewhere whose heartbeat has stopped; see `held`."""
        if (lease := self._attempt(why)) is not None:
            return lease
        before = self.read()
        if self.standing(before) is Standing.HELD:
            raise self._refusal(before)
        owner = _parsed(before)
        lease_s = owner.lease_s if owner else LEASE_S
        beating = self.world.clock.wait_until(lambda: self.read() != before, lease_s, every_s=0.1)
        lease = None if beating else self._attempt(why, expired=before)
        if lease is None:
            raise self._refusal(self.read())
        return lease

    @contextmanager
    def exclusively(self) -> Iterator[int]:
        """Open the file while no other process reads it to change it; raises OSError."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _attempt(self, why: str, expired: bytes = b"") -> Lease | None:
        with self.exclusively() as descriptor:
            before = os.pread(descriptor, RECORD_BYTES, 0)
            succeeded = self.standing(before) in {Standing.FREE, Standing.DEAD}
            if not succeeded and before != expired:
                return None
            owner = self._ours(why)
            _write(descriptor, owner)
        return Lease(self, owner, _name(before) if before.strip() else "")

    def _ours(self, why: str) -> Owner:
        processes, pid = self.world.processes, os.getpid()
        since = self.world.clock.now().isoformat(timespec="seconds")
        return Owner(
            secrets.token_hex(8), pid, processes.birth(pid) or "", processes.host(),
            processes.operator(), since, why[:200], LEASE_S,
        )  # fmt: skip

    def _refusal(self, data: bytes) -> LockHeld:
        elsewhere = self.standing(data) is Standing.ELSEWHERE
        hint = "; if that machine is dead: invoke takeover" if elsewhere else ""
        return LockHeld(
            f"another run holds {self.path}: {_name(data)}{hint}",
            state="Nothing was changed by this command.",
            next_command="invoke status",
        )


def _name(data: bytes) -> str:
    return str(_parsed(data) or "its owner left no name")


def _write(descriptor: int, owner: Owner) -> None:
    """Write the record in one piece of fixed length: a reader sees the old one or the new one."""
    data = json.dumps(asdict(owner)).encode()
    os.pwrite(descriptor, data.ljust(RECORD_BYTES - 1) + b"\n", 0)


def _parsed(data: bytes) -> Owner | None:
    """Return who a record names; None for an empty or damaged one."""
    try:
        row = json.loads(data)
        return Owner(**row) if isinstance(row, Mapping) else None
    except (ValueError, TypeError):
        return None
