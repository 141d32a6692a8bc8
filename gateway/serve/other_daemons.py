"""Look for daemons beside the one of a state root: the usual cause of talking to the wrong one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import pidfile
from .pidfile import PidRecord


@dataclass(frozen=True, slots=True)
class OtherDaemon:
    """A daemon that another PID file names and that lives."""

    pid_file: Path
    record: PidRecord


def others(home: Path, environ: Mapping[str, str]) -> tuple[OtherDaemon, ...]:
    """Return the daemons of the default state root, and the original's servers with one port each.

    A PID file that cannot be read is another user's, and none of our business.
    """
    found = []
    for path in _pid_files(Path(environ.get("HOME") or Path.home()), environ):
        if path.parent == home:
            continue
        try:
            record = pidfile.read(path)
        except OSError:
            continue
        if record is not None and pidfile.alive(record):
            found.append(OtherDaemon(path, record))
    return tuple(found)


def _pid_files(user: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    yield pidfile.path_in(user / ".cco")
    data = Path(environ.get("XDG_DATA_HOME") or user / ".local" / "share")
    for folder in (data, user / "Library" / "Application Support"):
        yield from sorted((folder / "cco" / "pids").glob("cco-*.pid"))
