"""A step on a file that may be absent: edit it, or create it; the undo removes what it created."""

from __future__ import annotations

from pathlib import Path

from cco_migrate.context import Context, Outcome
from cco_migrate.editing.changes import apply_edits, revert_edits
from cco_migrate.errors import StalePlan
from cco_migrate.model import JsonObject, Step
from cco_migrate.steps.files import EditFile

EMPTY = b"{\n}\n"
"""What an absent JSON file counts as."""


class EditOrCreateFile:
    """Change a JSON file by key-precise edits; write a new one when there is none.

    Params: `path`, a .json file in a folder that exists; `edits`, as `changes` has them.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Compute the new bytes and keep them; `before` is None for an absent file."""
        path = Path(step.params["path"])
        if context.world.files.read_if_there(path) is not None:
            return EditFile().prepare(step, context)
        after = apply_edits(EMPTY, path, step.params["edits"])
        return {"path": str(path), "before": None, "after": context.backups.put(after)}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Write the file; refuse when somebody else has written another one meanwhile."""
        if receipt["before"] is not None:
            return EditFile().apply(step, receipt, context)
        path, after = Path(receipt["path"]), context.backups.get(receipt["after"])
        current = context.world.files.read_if_there(path)
        if current not in {None, after}:
            raise StalePlan(
                f"{path} was created by somebody else since this step was prepared",
                state="The file is as they left it.",
                next_command="invoke rollback",
            )
        if current is None:
            context.world.files.replace(path, after)
        return Outcome(f"{path.name} created", {"created": True, "sha256": receipt["after"]})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Remove the file, or only our keys when somebody edited it since."""
        if receipt["before"] is not None:
            return EditFile().undo(step, receipt, context)
        path, after = Path(receipt["path"]), context.backups.get(receipt["after"])
        current = context.world.files.read_if_there(path)
        if current is None:
            return ""
        if current == after:
            context.world.files.remove(path)
            return f"{path.name} removed; it was not there before this step"
        reverted = revert_edits(current, EMPTY, path, step.params["edits"])
        context.world.files.replace(path, reverted)
        return f"{path.name}: our keys taken back; edits made since then were kept"
