"""The task that rolls back: an undo by the engine, or the way back from a removal that was made.

Taking a merged removal back is a run of its own. What it ends with is for people to merge or to
deploy, so that the run which removed is never said to be rolled back; killed, it is repeated by the
same command, and `invoke rollback --run` undoes it like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cco_migrate.commands import rolling_back
from cco_migrate.commands.reporting import reported
from cco_migrate.commands.run_summary import document, undo_command
from cco_migrate.commands.running import banner, engine_of, note_takeover
from cco_migrate.errors import InvalidInput
from cco_migrate.model import Plan
from cco_migrate.removal import ways_back
from cco_migrate.removal.ways_back import Removed, removed_by
from cco_migrate.runs.journal import Status
from cco_migrate.runs.lock import Lease
from cco_migrate.runs.store import Run
from cco_migrate.session import Result, Session, confirm, confirm_typed, shown
from cco_migrate.vcs.repository import opened, tip_of

GIT, BUNDLE = "git", "bundle"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the operator asked for.

    Attributes:
        by: "flag", "backup", GIT or BUNDLE.
        run: Id of the run to roll back; "" for the newest, with GIT and BUNDLE the newest removal.
        onto: The branch that holds the removal.
        branch: Name of the branch that takes it back; "" for one after that of the removal.
        to: New folder the repository is restored into.
        force_push: Remote whose `onto` would be put back by force: how, is only printed; "" for
            none.
        confirm: The words that this asks for; "" to be asked for them.
    """

    by: str
    run: str = ""
    onto: str = "main"
    branch: str = ""
    to: str = ""
    force_push: str = ""
    confirm: str = ""
    yes: bool = False
    no_input: bool = False


def rollback(session: Session, wanted: Wanted) -> Result:
    """Take back what a run did, in the way that was asked for.

    Raises:
        InvalidInput: There is no such run or way, or this run cannot be taken back so.
        NeedsAnswer: Nobody agreed to it.
        RolledBack: The removal could not be taken back; nothing is left of the attempt.
    """
    _refuse_strange(wanted)
    if wanted.by not in {GIT, BUNDLE}:
        return rolling_back.rollback(
            session, by=wanted.by, run_id=wanted.run, yes=wanted.yes, no_input=wanted.no_input
        )
    if wanted.force_push:
        return _told(session, wanted)
    with session.locked(f"rollback --by {wanted.by}", begun=True) as lease:
        banner(session)
        removed, until = _removal(session, wanted)
        plan = _plan(removed, until, wanted)
        run = _open(session, plan)
        if run is None:
            session.out.say(f"ROLLBACK of run {removed.run} by {wanted.by}: {plan.changes[0].why}")
            confirm(session, "Begin?", yes=wanted.yes, no_input=wanted.no_input)
            run = session.store.create(plan)
        return _carried_out(session, run, lease)


def _refuse_strange(wanted: Wanted) -> None:
    """Refuse options that have no meaning in this way: nothing may be asked for in vain."""
    fresh = Wanted(wanted.by)
    own = {"branch": GIT, "onto": GIT, "force_push": GIT, "to": BUNDLE}
    for name, by in own.items():
        if wanted.by != by and getattr(wanted, name) != getattr(fresh, name):
            option = "show-force-push" if name == "force_push" else name
            raise InvalidInput(f"--{option}: belongs to --by {by}")
    if wanted.confirm and not wanted.force_push:
        raise InvalidInput("--confirm: this way back asks for no typed words")
    if wanted.by == BUNDLE and not wanted.to:
        raise InvalidInput("--by bundle needs --to DIR: a new folder to restore into")


def _removal(session: Session, wanted: Wanted) -> tuple[Removed, str]:
    """Return the removal that is meant, and its last commit."""
    store = session.store
    runs = (store.load(wanted.run),) if wanted.run else tuple(reversed(store.all()))
    found = ((run, removed_by(run.plan, run.id, run.directory)) for run in runs)
    run, removed = next(((a, b) for a, b in found if b is not None), (None, None))
    if run is None or removed is None:
        which = f"run {wanted.run} removed nothing" if wanted.run else "no run removed anything"
        raise InvalidInput(f"--by {wanted.by}: {which} from a repository")
    if run.state.status is Status.ROLLED_BACK:
        raise InvalidInput(
            f"run {run.id} is rolled back, its branch is gone; only a merge made elsewhere is left",
            next_command=f"git revert COMMIT   (of that merge; {removed.tag} is as before it)",
        )
    if run.state.status is not Status.DONE:
        text = f"run {run.id} is {run.state.status.value}: what it made is nobody else's yet"
        raise InvalidInput(text, next_command=undo_command(run))
    return removed, rolling_back.last_commit(run)


def _plan(removed: Removed, until: str, wanted: Wanted) -> Plan:
    if wanted.by == BUNDLE:
        return ways_back.restore(removed, Path(wanted.to).expanduser().absolute())
    branch = wanted.branch or f"take-back-{removed.branch}"
    with opened(removed.repo) as repository:
        if tip_of(repository, removed.branch) is not None:
            until = removed.branch  # with what was added to it in its review
    return ways_back.take_back(removed, wanted.onto, branch, until=until)


def _open(session: Session, plan: Plan) -> Run | None:
    """Return the open run that a killed command has left of this plan; None when there is none."""
    run = session.store.unfinished()
    if run is None:
        return None
    if run.plan != plan or run.state.status is not Status.OPEN:
        raise InvalidInput(
            f"run {run.id} is {run.state.status.value}; another one over it is refused",
            next_command=undo_command(run),
        )
    session.out.say(f"run {run.id} goes on where it stopped (began {run.state.started_at})")
    return run


def _carried_out(session: Session, run: Run, lease: Lease) -> Result:
    session.out.run = run.id
    note_takeover(session, lease, run)
    reported(session, run, engine_of(session, run, lease).run)
    (step,) = run.plan.steps
    done = run.state.steps[step.id]
    text = (
        f"GO  {done.reason} · {done.seconds or 0:.1f} s\nrun {run.id} · report "
        f"{shown(run.directory / 'report.html')} · undo: {undo_command(run)}"
    )
    return Result(text, document(run))


def _told(session: Session, wanted: Wanted) -> Result:
    """Return the commands of a force-push, once somebody typed what it means; none is run."""
    removed, _ = _removal(session, wanted)
    what = f"overwrite {wanted.onto} of {wanted.force_push}"
    asked = not wanted.no_input and not wanted.yes
    confirm_typed(session, what, given=wanted.confirm, asked=asked)
    lines = ways_back.force_push(removed, wanted.force_push, wanted.onto)
    head = "nothing was pushed; a person may type, once everybody agreed to lose what came later:"
    text = "\n".join([head, *(f"  {line}" for line in lines)])
    return Result(text, {"schema_version": 1, "commands": list(lines)})
