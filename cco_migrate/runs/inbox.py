"""Approvals that were typed while another process held the lock: it takes them into its journal.

Each is a file of its own beside the journal, like the requests of `control`.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from cco_migrate.errors import Held
from cco_migrate.runs.attestations import Approval
from cco_migrate.runs.journal import Event
from cco_migrate.runs.run_log import RunLog
from cco_migrate.world import World

_SUFFIX = ".approval.json"


def leave(run_dir: Path, word: Approval, world: World) -> Path:
    """Leave an approval for whoever holds the lock; return its file, which goes once it is taken.

    Raises:
        OSError: It could not be written.
    """
    path = run_dir / f"{secrets.token_hex(8)}{_SUFFIX}"
    world.files.replace(path, json.dumps(word.to_json()).encode() + b"\n")
    return path


def take(run_dir: Path, log: RunLog, world: World) -> None:
    """Journal every approval that was left, oldest first; only for the holder of the lock.

    Raises:
        Held: A file is no approval.
        NotJournaled: A line is not on disk; what was not taken is left.
    """
    if not run_dir.is_dir():
        return  # that of a dry run is in memory alone
    left = [(_read(path, world), path) for path in run_dir.glob(f"*{_SUFFIX}")]
    for word, path in sorted(left, key=lambda one: one[0].at):
        if word not in log.state.approvals:  # killed after the line, before the file went
            log.record(Event.APPROVED, word.gate, reason=f"by {word.by}", data=word.to_json())
        world.files.remove(path)


def _read(path: Path, world: World) -> Approval:
    try:
        return Approval.from_json(json.loads(world.files.read(path)))
    except (ValueError, KeyError, TypeError) as error:
        raise Held(
            f"{path}: not an approval ({error!r})",
            state="The run does nothing while it cannot tell what was approved.",
            next_command=f"rm {path}",
        ) from error
