"""A dry run: the engine carries a plan out, and back, on an overlay World that changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cco_migrate
from cco_migrate import report
from cco_migrate.engine import Engine
from cco_migrate.errors import InvalidInput, RolledBack, ToolkitError
from cco_migrate.model import Plan, Step
from cco_migrate.overlay import overlay
from cco_migrate.planning.simulated import ASSUMED, actions, checks
from cco_migrate.progress import Output
from cco_migrate.runs.journal import Status
from cco_migrate.runs.store import Run, RunStore
from cco_migrate.session import Result, Session
from cco_migrate.world import World

WOULD = "would"


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a dry run.

    Attributes:
        verdict: "would" for what is not done now, "kept" for what a run did before, else the
            verdict of a check that was really made.
        assumed: Whether nobody looked.
    """

    step: Step
    verdict: str
    summary: str

    @property
    def assumed(self) -> bool:
        """Whether nobody looked."""
        return self.summary.endswith(ASSUMED)

    def to_json(self) -> Mapping[str, object]:
        """Return it as JSON values."""
        return {
            "number": self.step.number, "id": self.step.id, "verdict": self.verdict,
            "summary": self.summary, "assumed": self.assumed,
        }  # fmt: skip


@dataclass(slots=True)
class Teller:
    """Shows what would happen, step by step, and remembers it."""

    out: Output
    told: list[Told] = field(default_factory=list)

    def step_begins(self, step: Step) -> None:
        """Show the step."""
        self.out.step_begins(step)

    def waiting(self, what: str, timeout_s: float) -> None:
        """Say nothing: a dry run waits for nothing."""

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        """Tell that it would, unless it was a look that was really taken."""
        done = verdict in {"ok", "undone"} or (verdict == "GO" and summary.endswith(ASSUMED))
        one = Told(step, WOULD if done else verdict, summary)
        self.told.append(one)
        self.out.step_ends(step, verdict=one.verdict, summary=summary, seconds=seconds)


def unfinished(session: Session) -> Run | None:
    """Return the open run that a migration would go on with; it is only read.

    Raises:
        InvalidInput: It is in the middle of a rollback.
    """
    run = session.store.unfinished()
    if run is not None and run.state.status is not Status.OPEN:
        raise InvalidInput(
            f"run {run.id} is in the middle of a rollback; nothing can be tried over it",
            next_command=report.rollback_command(run.plan, run.id),
        )
    return run


def dry_run(session: Session, plan: Plan, open_run: str = "") -> Result:
    """Tell what carrying the plan out, and taking it back, would do; change nothing.

    Args:
        open_run: Id of the run to go on with; empty for a new one.

    Raises:
        InvalidInput: A step would fail; the message says which and why.
    """
    world, files = overlay(session.world)
    store = RunStore(plan.instance.migrate_dir, world)
    teller = Teller(session.out)
    try:
        run = store.load(open_run) if open_run else store.create(plan)
        engine = _engine(run, world, teller)
        engine.run()
        writes = sorted(str(path) for path, data in files.changes.items() if data is not None)
        engine.roll_back(why="dry run")
        if not open_run:  # an open one has changed them already, and goes back behind that
            _refuse_differing(plan, world, session.world)
    except RolledBack as error:
        raise InvalidInput(f"the migration would fail and be rolled back: {error}") from error
    except ToolkitError as error:
        raise InvalidInput(f"the migration would stop: {error}") from error
    finally:
        world.http.close()
    return _result(plan, teller.told, writes)


def _engine(run: Run, world: World, teller: Teller) -> Engine:
    def render() -> Mapping[str, str]:
        return report.draft(run.plan, run.state, cco_migrate.__version__)

    return Engine(
        run.plan, run.journal, world, teller, render, actions=actions(), checks=checks(run.plan)
    )


def _refuse_differing(plan: Plan, after: World, before: World) -> None:
    """Raise ToolkitError when the way back would not restore every byte of what was changed."""
    for name in sorted({change.path for change in plan.changes}):
        path = Path(name)
        if path.is_dir():  # in a repository, where commits change nothing that is checked out
            continue
        if after.files.read_if_there(path) != before.files.read_if_there(path):
            raise ToolkitError(f"the way back would leave {path} other than it is now")


def _result(plan: Plan, told: list[Told], writes: list[str]) -> Result:
    assumed = sum(one.assumed for one in told)
    text = (
        f"DRY RUN  plan {plan.digest}: {len(told)} steps there and back, {assumed} of them "
        f"assumed; {len(writes)} files would be written; nothing was changed"
    )
    row = {
        "schema_version": 1,
        "dry_run": True,
        "digest": plan.digest,
        "steps": [one.to_json() for one in told],
        "writes": writes,
        "plan": plan.to_json(),
    }
    return Result(text, row)
