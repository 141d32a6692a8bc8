"""The step that writes the report."""

from __future__ import annotations

from pathlib import Path

from cco_migrate.context import Context, Outcome
from cco_migrate.model import JsonObject, Step

EVIDENCE = "evidence.json"
"""The manifest of a run's files, written when a command ends; see `report.manifest`."""


class WriteReport:
    """Render the report from the journal and write it beside the journal. Params: none."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture: the report belongs to the run."""
        return {}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Write every file the renderer gives; what was known of the old ones holds no more."""
        context.world.files.remove(context.run_dir / EVIDENCE)
        paths = []
        for name, text in context.render().items():
            path = context.run_dir / name
            context.world.files.replace(path, text.encode(), mode=0o600)
            paths.append(str(path))
        return Outcome(", ".join(Path(path).name for path in paths), {"files": paths})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Keep the report: it says what was tried."""
        return ""
