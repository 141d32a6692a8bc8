"""The runs of one state root: each a folder with a plan and a journal."""

from __future__ import annotations

import json
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.model import Plan, canonical
from cco_migrate.runs.journal import Event, Journal, RunState, Status, unprovable
from cco_migrate.world import World

PREFIX = {
    "model-overrides": "mo", "gateway-cutover": "gc", "local-router": "lr",
    "removal-rollback": "rb",
}  # fmt: skip
_PLAN, _JOURNAL = "plan.json", "journal.jsonl"
RUN_FILES = (_PLAN, _JOURNAL)
"""What every run has."""

UNFINISHED = frozenset({Status.OPEN, Status.ROLLING_BACK, Status.ROLLBACK_FAILED})


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its plan, its journal, its folder."""

    id: str
    plan: Plan
    journal: Journal
    directory: Path

    @property
    def state(self) -> RunState:
        """The run as journaled."""
        state = self.journal.state
        if state is None:
            raise ToolkitError(f"{self.journal.path} is empty")
        return state


class RunStore:
    """All runs under `migrate/runs`."""

    def __init__(self, migrate_dir: Path, world: World) -> None:
        self.root, self.world = migrate_dir / "runs", world

    def create(self, plan: Plan) -> Run:
        """Write a new run's plan, then the first line of its journal.

        Raises:
            InvalidInput: They cannot be written; the run did not begin.
        """
        number = 1 + max((run.state.number for run in self.all()), default=0)
        run_id = f"{PREFIX[plan.kind]}-{secrets.token_hex(3)}"
        try:
            return self._begun(run_id, plan, number)
        except OSError as error:
            raise InvalidInput(
                f"{self.root / run_id}: {error.strerror}; the run did not begin",
                next_command="invoke status",
            ) from error

    def sweep(self) -> None:
        """Remove what killed processes left: runs that never began, and temporary files.

        Only the holder of the lock may call it.
        """
        for directory in (path for path in self.root.glob("*") if path.is_dir()):
            if (directory / _JOURNAL).exists() or _has_begun(directory):
                self.world.files.sweep(directory)
            else:
                shutil.rmtree(directory)

    def load(self, run_id: str) -> Run:
        """Read a run back.

        Raises:
            InvalidInput: There is none of this id.
            Damaged: It is not as it was written.
        """
        directory = self.root / run_id
        try:
            row = json.loads(self.world.files.read(directory / _PLAN))
            plan = Plan.from_json(row)
        except FileNotFoundError as error:
            if (directory / _JOURNAL).exists():
                raise unprovable(f"{directory / _PLAN} is gone", directory) from error
            known = ", ".join(path.name for path in self._folders()) or "none"
            raise InvalidInput(
                f"no run {run_id} under {self.root}; there is: {known}",
                next_command="invoke status",
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            said = f"{directory / _PLAN}: not a readable plan ({error})"
            raise unprovable(said, directory) from error
        journal = Journal(directory / _JOURNAL, run_id, self.world)
        if not journal.entries and _has_begun(directory):
            raise unprovable(f"{journal.path} is empty or gone, but the run has begun", directory)
        if journal.entries and journal.entries[0].reason != plan.digest:
            raise unprovable(
                f"{directory / _PLAN}: it is not the plan this run began with "
                f"({plan.digest}, not {journal.entries[0].reason})",
                directory,
            )
        return Run(run_id, plan, journal, directory)

    def all(self) -> tuple[Run, ...]:
        """Return every run that has begun, oldest first."""
        runs = [self.load(path.name) for path in self._folders()]
        begun = [run for run in runs if run.journal.entries]
        return tuple(sorted(begun, key=lambda run: (run.state.number, run.state.started_at)))

    def unfinished(self) -> Run | None:
        """Return the run that is neither done nor rolled back; there is at most one."""
        return next((run for run in reversed(self.all()) if run.state.status in UNFINISHED), None)

    def open_or_damaged(self) -> tuple[list[Run], list[ToolkitError]]:
        """Return the runs that are not over, and what is wrong with each that cannot be read."""
        unfinished, damages = [], []
        for folder in self._folders():
            try:
                run = self.load(folder.name)
                if run.journal.entries and run.state.status in UNFINISHED:
                    unfinished.append(run)
            except ToolkitError as error:
                damages.append(error)
        return unfinished, damages

    def latest(self) -> Run | None:
        """Return the newest run; None when there is none."""
        return next(reversed(self.all()), None)

    def _begun(self, run_id: str, plan: Plan, number: int) -> Run:
        directory = self.root / run_id
        self.world.files.make_directory(directory)
        data = canonical(plan.to_json()) + b"\n"  # the bytes its digest is of
        self.world.files.replace(directory / _PLAN, data)
        journal = Journal(directory / _JOURNAL, run_id, self.world)
        begun = {"by": self.world.processes.operator(), "number": number}
        journal.append(Event.PLANNED, reason=plan.digest, data=begun)
        return Run(run_id, plan, journal, directory)

    def _folders(self) -> list[Path]:
        known = (path for name in RUN_FILES for path in self.root.glob(f"*/{name}"))
        return sorted({path.parent for path in known})


def _has_begun(directory: Path) -> bool:
    """Whether a folder holds what only a run writes, and no command before it has begun."""
    names = {path.name for path in directory.iterdir()} - set(RUN_FILES)
    return any(not name.startswith(".") for name in names)
