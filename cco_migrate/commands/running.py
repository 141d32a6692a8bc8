"""What every command begins with that carries a run out, there or back: its banner, its engine."""

from __future__ import annotations

import os
from pathlib import Path

import cco_migrate
from cco_migrate import report
from cco_migrate.checks import CHECKS
from cco_migrate.demo import DIRECTORY
from cco_migrate.engine import SOAK, Engine
from cco_migrate.errors import InvalidInput
from cco_migrate.hooks import definitions as hooks
from cco_migrate.hooks.delivery import Announcer
from cco_migrate.migrations.held_gate import HELD
from cco_migrate.progress import typed
from cco_migrate.report.samples import looks_of
from cco_migrate.runs.journal import Event
from cco_migrate.runs.lock import Lease
from cco_migrate.runs.store import Run
from cco_migrate.session import (
    Session,
)


def note_takeover(session: Session, lease: Lease, run: Run) -> None:
    """Write into the run's journal that the lock came from a dead owner."""
    if lease.taken_from:
        by = session.world.processes.operator()
        run.journal.append(Event.TAKEN_OVER, reason=f"by {by}, from {lease.taken_from}")
        session.out.say(f"the lock was taken over from a dead owner: {lease.taken_from}")


def engine_of(session: Session, run: Run, lease: Lease) -> Engine:
    """Return what carries the run out, with the checks and hooks of this session."""

    def render() -> dict[str, str]:
        return _rendered(session, run)

    announce = Announcer(
        _readable_hooks(session), run, session.world, session.out.say, lease.confirm
    )
    return Engine(
        run.plan, run.journal, session.world, session.out, render, lease.confirm,
        checks={**CHECKS, **SOAK, **HELD}, announce=announce,
    )  # fmt: skip


def _readable_hooks(session: Session) -> tuple[hooks.Hook, ...]:
    """Return the hooks; none when their file is wrong: that must not stop a run or a rollback."""
    try:
        return hooks.load(hooks_dir(session), session.world)
    except InvalidInput as error:
        session.out.say(f"  warn  nobody is told what this run does: {error}")
        return ()


def hooks_dir(session: Session) -> Path:
    """Return where the file of the hooks is looked for."""
    return session.home / "config"


def _rendered(session: Session, run: Run) -> dict[str, str]:
    now = session.world.clock.now()
    version, entries = cco_migrate.__version__, run.journal.entries
    looks = looks_of(run.plan, run.directory, session.world.files)
    files = report.render(run.plan, run.state, version, now, entries, looks)
    return {name: typed(text, session.out.program) for name, text in files.items()}


def banner(session: Session) -> None:
    """Say which deployment this is about."""
    place = "your gateway"
    if session.target.is_demo(os.environ):
        place = f"DEMO in {DIRECTORY}/ · loopback upstream · no key, nothing leaves this machine"
    session.out.say(f"cco-migrate {cco_migrate.__version__} · {place}")
