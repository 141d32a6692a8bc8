"""Steps on files: back them up, and edit one key of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cco_migrate.backup import sibling_name
from cco_migrate.context import Context, Outcome
from cco_migrate.editing import edits
from cco_migrate.editing.changes import apply_edits, revert_edits
from cco_migrate.errors import StalePlan, ToolkitError
from cco_migrate.model import JsonObject, Step
from cco_migrate.world import free_bytes

MARGIN_BYTES = 1 << 20


class BackupFiles:
    """Save files, verify the copies by restoring them into a scratch directory.

    Params: `files`, paths to save; `siblings`, those that also get a copy beside them.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Choose the backup's name and check that there is room."""
        needed = sum(
            len(context.world.files.read_if_there(Path(p)) or b"") for p in step.params["files"]
        )
        context.world.files.make_directory(context.backups.root)
        free = free_bytes(context.backups.root)
        if free < 2 * needed + MARGIN_BYTES:
            raise ToolkitError(
                f"{context.backups.root}: {free} bytes free, "
                f"{2 * needed + MARGIN_BYTES} needed for the backup",
                state="Nothing was changed.",
            )
        return {"id": _free_id(context, [Path(p) for p in step.params["siblings"]])}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Write the copies and the manifest, then restore all of them to scratch and compare."""
        store, sources = context.backups, [Path(p) for p in step.params["files"]]
        siblings = [Path(p) for p in step.params["siblings"]]
        backup = store.create(receipt["id"], context.run, sources, siblings)
        count = store.verify(backup)
        beside = [f.sibling for f in backup.files if f.sibling]
        facts = {
            "id": backup.id,
            "manifest": str(store.root / f"{backup.id}.json"),
            "siblings": beside,
            "files": [{"path": f.path, "sha256": f.sha256} for f in backup.files if f.sha256],
        }
        name = Path(beside[0] if beside else str(facts["manifest"])).name
        return Outcome(f"{name}; {count} files restored to scratch, sha256 equal", facts)

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Keep the backup: it is the way back."""
        return ""


class EditFile:
    """Change one file by key-precise edits.

    Params: `path`, a .toml, .json or .yaml file; `edits`, as `changes` has them.
    The undo writes the old bytes back when nobody touched the file since; else it takes back the
    keys alone.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Compute the new bytes and keep both versions in the backup store."""
        path = Path(step.params["path"])
        before = _read(path, context)
        after = apply_edits(before, path, step.params["edits"])
        return {
            "path": str(path),
            "before": context.backups.put(before),
            "after": context.backups.put(after),
        }

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Replace the file; refuse when it is neither as it was nor as it will be."""
        path = Path(receipt["path"])
        before, after = (
            context.backups.get(receipt["before"]),
            context.backups.get(receipt["after"]),
        )
        current = _read(path, context)
        if current not in {before, after}:
            raise StalePlan(
                f"{path} was changed by somebody else since this step was prepared",
                state="The file is as they left it.",
                next_command="invoke rollback",
            )
        if current != after:
            context.world.files.replace(path, after)
        diff = edits.unified_diff(before, after, path.name)
        changed = sum(line[:1] == "+" and line[:3] != "+++" for line in diff.splitlines())
        lines = "1 line" if changed == 1 else f"{changed} lines"
        return Outcome(
            f"{lines} of {path.name} changed", {"diff": diff, "sha256": receipt["after"]}
        )

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Restore the file byte for byte, or only our keys when somebody edited it since."""
        path = Path(receipt["path"])
        before, after = (
            context.backups.get(receipt["before"]),
            context.backups.get(receipt["after"]),
        )
        current = _read(path, context)
        if current == before:
            return ""
        if current == after:
            context.world.files.replace(path, before)
            return f"{path.name} is byte for byte as before this step"
        context.world.files.replace(path, revert_edits(current, before, path, step.params["edits"]))
        return f"{path.name}: our keys taken back; edits made since then were kept"


def _read(path: Path, context: Context) -> bytes:
    try:
        return context.world.files.read(path)
    except OSError as error:
        raise ToolkitError(
            f"{path}: {error.strerror}", state="The file was not touched."
        ) from error


def _free_id(context: Context, beside: Sequence[Path]) -> str:
    stamp: datetime = context.world.clock.now()
    name = stamp.strftime("%Y%m%d-%H%M%S")
    taken = {path.stem for path in context.backups.root.glob("*.json")}
    for number in range(100):
        candidate = name if number == 0 else f"{name}-{number}"
        if candidate in taken or any(sibling_name(path, candidate).exists() for path in beside):
            continue
        return candidate
    raise ToolkitError(f"a hundred backups were made at {name}")
