"""What an operator does to a run from another terminal: look, hold, release, approve, abort."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from cco_migrate.commands import rolling_back
from cco_migrate.commands.reporting import show_report
from cco_migrate.commands.run_summary import document, has_good_evidence, undo_command
from cco_migrate.commands.running import note_takeover
from cco_migrate.commands.standing import blocking, control_of, current_step
from cco_migrate.errors import InvalidInput, LockHeld
from cco_migrate.gates.approvals import ATTESTED
from cco_migrate.runs import attestations, inbox, lock
from cco_migrate.runs.attestations import Approval
from cco_migrate.runs.control import Wish
from cco_migrate.runs.journal import Event, Status
from cco_migrate.runs.lock import Standing
from cco_migrate.runs.run_log import RunLog
from cco_migrate.runs.store import UNFINISHED, Run
from cco_migrate.session import Result, Session
from cco_migrate.soak import check as soak
from cco_migrate.soak import terms as soak_terms
from cco_migrate.verdict import Verdict

ENDED: Mapping[Status, int] = {
    Status.DONE: 0,
    Status.ROLLED_BACK: 6,
    Status.ROLLBACK_FAILED: 7,
}

TAKEN_S = 2.0
"""A process that waits looks at what was left for it several times in so long."""

IDLE_S = 10.0  # a command that was typed just now has taken the lock by then


def status(session: Session) -> Result:
    """Say where things stand: the last run, what it waits for, and what clears that."""
    run = session.store.latest()
    if run is None:
        where = session.store.root
        return Result(
            f"no run yet under {where}; begin with: invoke migrate",
            {"schema_version": 1, "run": None},
        )
    state = run.state
    head = f"run {run.id}: {state.status.value}"
    if state.status is Status.OPEN:
        done = sum(has_good_evidence(run, step.id) for step in run.plan.steps)
        head += f", {done} of {len(run.plan.steps)} steps proved"
    lines = [f"{head}; {state.reason}" if state.reason else head]
    standing, owner = lock.look(session.home / "migrate", session.world)
    condition, clear = blocking(session, run, standing, owner)
    if condition:
        lines.append(f"{condition}; {clear}")
    for step in run.plan.steps:
        if step.uses == soak_terms.USES:
            lines += soak.standing(step, run.directory, session.world)
    lines += attestations.lines(state.approvals, session.world.clock.now())
    if state.status is not Status.ROLLED_BACK:
        lines.append(f"undo: {undo_command(run)}")
    more = {"blocked_by": condition or None, "clear_with": clear or None, "lock": standing.value}
    return Result("\n".join(lines), {**document(run), **more})


def hold(session: Session, *, why: str) -> Result:
    """Ask the open run not to begin another step."""
    run = _open_run(session, Status.OPEN)
    request = control_of(session, run).ask(Wish.HOLD, why)
    text = f"run {run.id} is held {request}, from its next step on; go on with: invoke release"
    return Result(text, document(run))


def release(session: Session) -> Result:
    """Let a held run go on."""
    run = _open_run(session, Status.OPEN)
    control = control_of(session, run)
    if control.asked(Wish.HOLD) is None:
        return Result(f"run {run.id} is not held; nothing to do", document(run))
    control.withdraw(Wish.HOLD)
    standing, owner = lock.look(session.home / "migrate", session.world)
    rest = "nobody works on it; go on with: invoke migrate"
    if standing in {Standing.HELD, Standing.ELSEWHERE}:
        rest = f"it goes on: {owner}"
    return Result(f"run {run.id} is released; {rest}", document(run))


def approve(session: Session, *, gate: str, by: str, scope: str, expires: str) -> Result:
    """Record what a person approves about a gate of the newest run, and until when.

    Whoever works on the run takes it into the journal; its lock is not needed.

    Raises:
        InvalidInput: The run has no such gate, something is missing, or it has expired already.
    """
    by, scope, expires = attestations.whole_word(gate, by, scope, expires)
    run, now = _newest(session), session.world.clock.now()
    gates = (*(step.id for step in run.plan.steps), *ATTESTED)
    if gate not in gates:
        raise InvalidInput(f"--gate {gate}: unknown; there is: {', '.join(gates)}")
    until = attestations.parse_expiry(expires, now)
    word = Approval(gate, by, now, scope, until, session.world.processes.operator())
    try:
        left = inbox.leave(run.directory, word, session.world)
    except OSError as error:
        why = f"{run.directory}: {error.strerror}; the approval was not recorded"
        raise InvalidInput(why) from error
    rest = _recorded(session, run, left)
    run.journal.reload()
    return Result(f"run {run.id}: {attestations.lines([word], now)[0]}{rest}", document(run))


def abort(session: Session, *, why: str, timeout_s: float) -> Result:
    """Bring the old state back before anything else is done, whoever works on the run."""
    run = _open_run(session, *UNFINISHED)
    if run.state.status is Status.OPEN:
        control_of(session, run).ask(Wish.ABORT, why)
    if _is_idle(session):
        return rolling_back.rollback(session, by="flag", run_id=run.id, yes=True, no_input=True)
    session.out.waiting(f"run {run.id} to go back", timeout_s)
    result = wait(session, what="done", timeout_s=timeout_s)
    return replace(result, code=0) if result.code == ENDED[Status.ROLLED_BACK] else result


def wait(session: Session, *, what: str, timeout_s: float) -> Result:
    """Wait until the newest run is done (or back), held, or stands at a check for a person."""
    if what not in AWAITED:
        raise InvalidInput(f"--for {what}: unknown; there is: {', '.join(AWAITED)}")
    run, clock = _newest(session), session.world.clock
    worked_on_at = clock.monotonic()

    def settled() -> bool:
        nonlocal worked_on_at
        run.journal.reload()
        if not _is_idle(session):
            worked_on_at = clock.monotonic()
        idle_s = clock.monotonic() - worked_on_at
        return AWAITED[what](run) or run.state.status in ENDED or idle_s > IDLE_S

    session.out.waiting(f"run {run.id}: {what}", timeout_s)
    in_time = clock.wait_until(settled, timeout_s, every_s=0.1)
    state = run.state
    said = f"run {run.id}: {state.status.value}" + (f"; {state.reason}" if state.reason else "")
    if state.status in ENDED:
        return Result(said, document(run), ENDED[state.status])
    if AWAITED[what](run):
        return Result(f"{said}; {what}", document(run))
    why = "nobody works on it" if in_time else f"not {what} within {timeout_s:.0f} s"
    return Result(f"{said}; {why}; see: invoke status", document(run), 12)


def takeover(session: Session) -> Result:
    """Take the lock from an owner on another machine, once it has been silent for a whole lease."""
    free = Result("the lock is free; nothing to take over", {"schema_version": 1})
    if lock.look(session.home / "migrate", session.world)[0] is Standing.FREE:
        return free
    session.out.waiting("a heartbeat of the lock's owner", lock.LEASE_S)
    with session.locked("takeover", take_over=True) as lease:
        run = session.store.unfinished()
        if not lease.taken_from:
            return free
        if run is None:
            return Result(f"the lock is free again; it was {lease.taken_from}", {})
        note_takeover(session, lease, run)
        go_on = "invoke migrate" if run.state.status is Status.OPEN else undo_command(run)
        text = f"run {run.id} is yours, and the lock free; go on with: {go_on}"
        return Result(text, document(run))


def _recorded(session: Session, run: Run, left: Path) -> str:
    """Take an approval that was left into the journal, or say who will."""
    try:
        with session.locked("approve") as lease:
            run.journal.reload()
            log = RunLog(run.journal, lease.confirm, lambda _: None)
            inbox.take(run.directory, log, session.world)
            show_report(session, run.id)
            return ""
    except LockHeld:
        if session.world.clock.wait_until(lambda: not left.exists(), TAKEN_S):
            return "; taken by the process that works on the run"
    _, owner = lock.look(session.home / "migrate", session.world)
    return f"; left for {owner}, which takes it at its next step at the latest"


def _is_idle(session: Session) -> bool:
    standing, _ = lock.look(session.home / "migrate", session.world)
    return standing in {Standing.FREE, Standing.DEAD}


def _done(run: Run) -> bool:
    return run.state.status in ENDED


def _held(run: Run) -> bool:
    return bool(run.state.held)


def _at_gate(run: Run) -> bool:
    step = current_step(run)
    known = run.state.steps.get(step.id) if step else None
    if known is None or known.event is not Event.JUDGED:
        return False
    return (known.evidence or {}).get("verdict") != Verdict.GO.value


AWAITED: Mapping[str, Callable[[Run], bool]] = {"done": _done, "held": _held, "gate": _at_gate}


def _newest(session: Session) -> Run:
    run = session.store.latest()
    if run is None:
        raise InvalidInput(
            f"there is no run under {session.store.root}", next_command="invoke migrate"
        )
    return run


def _open_run(session: Session, *allowed: Status) -> Run:
    run = _newest(session)
    if run.state.status not in allowed:
        raise InvalidInput(
            f"run {run.id} is {run.state.status.value}: there is nothing to stop or let go on",
            next_command="invoke status",
        )
    return run
