"""Steps that change something: three verbs each, looked up in ACTIONS by the name a plan gives."""

from __future__ import annotations

from typing import Protocol

from cco_migrate.context import Context, Outcome
from cco_migrate.model import JsonObject, Step
from cco_migrate.steps.bundles import Bundle, RestoreBundle
from cco_migrate.steps.creation import EditOrCreateFile
from cco_migrate.steps.files import BackupFiles, EditFile
from cco_migrate.steps.git import Commit, Revert
from cco_migrate.steps.recovery import LastClient
from cco_migrate.steps.removal import NewBranch, Remove, TakeBack
from cco_migrate.steps.report import WriteReport
from cco_migrate.steps.services import (
    Converge,
    KeepServing,
    ReplaceWorkers,
    StartService,
    StopService,
)
from cco_migrate.steps.tags import Tag

__all__ = ["ACTIONS", "Action"]


class Action(Protocol):
    """Carries out one kind of step; has no state: all of it is in the step and its receipt."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Check that the step can be done and capture what its undo needs; change nothing.

        Raises:
            ToolkitError: It cannot be done; nothing was changed.
        """

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Do it. Doing it again after a crash in the middle ends in the same state.

        Raises:
            ToolkitError: It failed; `undo` puts things back.
        """

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Put things back and return what was done; "" when there was nothing to do.

        Raises:
            ToolkitError: The old state could not be restored.
        """


ACTIONS: dict[str, Action] = {
    "files.backup": BackupFiles(),
    "files.edit": EditFile(),
    "files.edit-or-create": EditOrCreateFile(),
    "service.keep": KeepServing(),
    "service.stop": StopService(),
    "service.start": StartService(),
    "service.replace": ReplaceWorkers(),
    "service.converge": Converge(),
    "clients.recovered": LastClient(),
    "report.write": WriteReport(),
    "git.commit": Commit(),
    "git.revert": Revert(),
    "git.tag": Tag(),
    "git.bundle": Bundle(),
    "git.restore-bundle": RestoreBundle(),
    "git.branch": NewBranch(),
    "git.remove": Remove(),
    "git.take-back": TakeBack(),
}
