"""The way back from a run's backup: every file it saved, byte for byte."""

from __future__ import annotations

from pathlib import Path

from cco_migrate.context import Context
from cco_migrate.errors import ToolkitError


def from_backup(context: Context) -> str:
    """Restore what the run's step `backup` saved, and say so; what stands there is saved first.

    Raises:
        ToolkitError: The run made no backup, or it is damaged; no file was touched.
    """
    evidence = context.evidence.get("backup")
    if evidence is None:
        raise ToolkitError(
            f"run {context.run} made no backup", next_command="invoke rollback --by flag"
        )
    store = context.backups
    backup = store.load(evidence["id"])
    store.verify(backup)
    paths = [Path(file.path) for file in backup.files]
    before = store.create(f"{backup.id}-before-rollback", context.run, paths, [])
    changed = store.restore(backup)
    names = ", ".join(path.name for path in changed) or "no file had changed"
    return f"restored {names} byte for byte; what stood there is kept as {before.id}"
