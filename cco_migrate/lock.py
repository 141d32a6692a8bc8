"""One writer per state root: an advisory file lock that the kernel releases when its owner dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cco_migrate.errors import LockHeld
from cco_migrate.world import World


@contextmanager
def held(migrate_dir: Path, world: World, *, why: str, timeout_s: float = 0) -> Iterator[None]:
    """Hold the lock of a state root.

    Args:
        why: What for, shown to whoever finds it held.
        timeout_s: How long to wait for it; 0 asks once.

    Raises:
        LockHeld: Somebody else holds it; the message says who, since when and what for.
    """
    world.files.make_directory(migrate_dir)
    path = migrate_dir / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not world.clock.wait_until(lambda: _try(descriptor), timeout_s, every_s=0.1):
            raise LockHeld(
                f"another run holds {path}: {_owner(path)}",
                state="Nothing was changed by this command.",
                next_command="invoke status",
            )
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": world.clock.now().isoformat(timespec="seconds"),
            "why": why,
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode() + b"\n", 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(path: Path) -> str:
    try:
        row = json.loads(path.read_text())
        return f"pid {row['pid']} on {row['host']} since {row['since']} ({row['why']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "its owner left no name"
