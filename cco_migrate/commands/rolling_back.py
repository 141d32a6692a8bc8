"""Undoes a run by the engine, and refuses where that would bring nothing back."""

from __future__ import annotations

import shlex

from cco_migrate.commands.reporting import reported
from cco_migrate.commands.run_summary import document, undo_command
from cco_migrate.commands.running import banner, engine_of, note_takeover
from cco_migrate.errors import InvalidInput
from cco_migrate.model import Plan
from cco_migrate.planning.kinds import KINDS
from cco_migrate.removal.looking import merged_into
from cco_migrate.removal.planning import REMOVE
from cco_migrate.removal.ways_back import removed_by, taken_back_by
from cco_migrate.runs.journal import Status
from cco_migrate.runs.store import Run
from cco_migrate.session import Result, Session, confirm, shown
from cco_migrate.steps.restoring import from_backup


def rollback(session: Session, *, by: str, run_id: str, yes: bool, no_input: bool) -> Result:
    """Undo a run, by its own edits (flag) or from its backup, and prove what is loaded then."""
    if by not in {"flag", "backup"}:
        raise InvalidInput(f"--by {by}: unknown; there is: flag, backup, git, bundle")
    with session.locked(f"rollback --by {by}", begun=True) as lease:
        banner(session)
        run = session.store.load(run_id) if run_id else session.store.latest()
        if run is None:
            raise InvalidInput(
                f"there is no run under {session.store.root}", next_command="invoke status"
            )
        if run.state.status is Status.ROLLED_BACK:
            return Result(f"run {run.id} is rolled back already; nothing to do", document(run))
        _check_newest(session, run)
        _refuse_out_of_hand(run, by)
        left = _left_elsewhere(run)
        note_takeover(session, lease, run)
        session.out.run = run.id
        session.out.say(f"ROLLBACK of run {run.id} by {by}: {_changed_files(run.plan)}{left}")
        confirm(session, f"Roll back {run.plan.instance.name}?", yes=yes, no_input=no_input)
        engine = engine_of(session, run, lease)
        restore = None if by == "flag" else from_backup
        reported(session, run, lambda: engine.roll_back(restore, why=f"asked for, by {by}"))
        text = f"ROLLED BACK  run {run.id}: {_restored(run.plan)}"
        if clients := run.state.steps.get("back-clients"):  # an older plan has no such step
            text += f"; {clients.reason}"
        return Result(f"{text}{left}\nreport {shown(run.directory / 'report.html')}", document(run))


def last_commit(run: Run) -> str:
    """Return the last commit of a removal that is done."""
    made = [run.state.steps[step.id] for step in run.plan.steps if step.uses == REMOVE]
    return str((made[-1].evidence or {})["commit"])


def _changed_files(plan: Plan) -> str:
    paths = sorted({change.path for change in plan.changes}) or [str(plan.instance.config)]
    return ", ".join(map(shown, paths))


def _check_newest(session: Session, run: Run) -> None:
    """Raise InvalidInput when a later run stands that this one's old state would go against.

    A removal does not stand any more when a run has taken it back; that run is in nobody's way.
    """
    runs = session.store.all()
    over = {one.id for one in runs if one.state.status is Status.ROLLED_BACK}
    for one in runs:
        if one.state.status is Status.DONE and (removal := taken_back_by(one.plan)):
            over |= {one.id, removal}
    newer = next(one for one in reversed(runs) if one.id == run.id or one.id not in over)
    if newer.id != run.id:
        raise InvalidInput(
            f"run {newer.id} came after {run.id}; roll back the newest first",
            next_command=undo_command(newer),
        )


def _refuse_out_of_hand(run: Run, by: str) -> None:
    """Raise InvalidInput when a run has removed something that its undo does not bring back."""
    removed = removed_by(run.plan, run.id, run.directory)
    if removed is None or run.state.status is not Status.DONE:
        return
    ways = f"--by git --run {run.id}, or --by bundle --run {run.id} --to DIR"
    if by == "backup":
        raise InvalidInput(
            f"--by backup: run {run.id} changed no configuration, so it saved none",
            next_command=f"invoke rollback {ways}",
        )
    merged = merged_into(removed, last_commit(run))
    if merged.names:
        onto = "" if "main" in merged.names else f" --onto {shlex.quote(merged.names[0])}"
        raise InvalidInput(
            f"--by {by}: the removal of run {run.id} is part of {merged}; no switch "
            "leads back to a proxy that nobody serves any more, and to delete the branch would "
            "bring nothing back",
            next_command=f"invoke rollback --by git --run {run.id}{onto}, or "
            f"--by bundle --run {run.id} --to DIR",
        )


def _left_elsewhere(run: Run) -> str:
    """Return what an undo that has begun already does not reach; "" for nothing.

    To refuse it would leave a run that neither ends nor lets another one begin.
    """
    removed = removed_by(run.plan, run.id, run.directory)
    if removed is None or run.state.status is Status.DONE or not _is_made(run):
        return ""
    merged = merged_into(removed, last_commit(run))
    if not merged.names:
        return ""
    return f"; BUT the removal is part of {merged}; there: git revert COMMIT   (of that merge)"


def _is_made(run: Run) -> bool:
    """Whether a removal was made as a whole, whatever was undone of it since."""
    steps = (run.state.steps.get(step.id) for step in run.plan.steps if step.uses == REMOVE)
    return all(step is not None and "commit" in (step.evidence or {}) for step in steps)


def _restored(plan: Plan) -> str:
    """Return what a way back has proved."""
    if plan.kind in KINDS:
        return KINDS[plan.kind].restored(plan)
    return f"{plan.changes[0].why}: gone again"
