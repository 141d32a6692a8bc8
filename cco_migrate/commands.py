"""One function per task: the only place where the parts are wired together."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cco_migrate
from cco_migrate import preflight, report, runbook
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.context import Context
from cco_migrate.demo import DIRECTORY, Demo
from cco_migrate.drivers import driver_of
from cco_migrate.engine import Engine
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.journal import Event, Status
from cco_migrate.model import Plan
from cco_migrate.planning import make_plan, nothing_to_do, run_preflight, show_plan, unchanged
from cco_migrate.progress import typed
from cco_migrate.report import Answer
from cco_migrate.runs import Run
from cco_migrate.session import MigrateOptions, Result, Session, confirm, shown
from cco_migrate.steps.services import await_ready, replace_workers

__all__ = ["MigrateOptions", "Result", "Session"]


def migrate(session: Session, options: MigrateOptions) -> Result:
    """Turn the change on, step by step; resume an open run; say so when there is nothing to do."""
    if options.dry_run:
        return plan_only(session, options, detailed_exitcode=False)
    with session.locked(f"migrate {options.kind}", options.lock_timeout_s):
        _banner(session)
        run = session.store.unfinished()
        if run is not None:
            _check_resumable(run)
            _check_step(run.plan, options.only)
            session.out.say(f"run {run.id} goes on where it stopped (began {run.state.started_at})")
        else:
            plan, _ = make_plan(session, options)
            if nothing_to_do(session, plan):
                return unchanged(session, plan.instance)
            _check_step(plan, options.only)
            show_plan(session, plan)
            question = f"Apply to 1 gateway ({plan.instance.name})?"
            confirm(session, question, yes=options.yes, no_input=options.no_input)
            run = session.store.create(plan)
            session.out.say(
                f"run {run.id} · Ctrl-C is safe: a rerun goes on, `{_undo(run)}` undoes"
            )
        session.out.run = run.id
        _engine(session, run).run(only=options.only or None)
        _say_checklist(session, run)
        return _summary(run)


def plan_only(session: Session, options: MigrateOptions, *, detailed_exitcode: bool) -> Result:
    """Show what a run would do; change nothing."""
    _banner(session)
    plan, _ = make_plan(session, options)
    if nothing_to_do(session, plan):
        return unchanged(session, plan.instance)
    show_plan(session, plan)
    document = {
        "schema_version": 1,
        "digest": plan.digest,
        "changes": [change.diff for change in plan.changes],
        "plan": plan.to_json(),
    }
    code = 2 if detailed_exitcode else 0
    return Result(f"plan {plan.digest}: shown, nothing was changed", document, code)


def check(session: Session, options: MigrateOptions) -> Result:
    """Run the preflight alone."""
    instance = session.instance()
    inputs, plan, lines = run_preflight(session, instance, options)
    preflight.refuse(lines)
    text = f"preflight: {len(lines)} checks, none failed; plan {plan.digest if plan else '-'}"
    rows = [{"mark": line.mark.value, "text": line.text} for line in lines]
    return Result(text, {"schema_version": 1, "verdict": "GO", "lines": rows, "fix": inputs.fix})


def rollback(session: Session, *, by: str, run_id: str, yes: bool, no_input: bool) -> Result:
    """Undo a run, by its own edits (flag) or from its backup, and prove what is loaded then."""
    if by not in {"flag", "backup"}:
        raise InvalidInput(f"--by {by}: unknown; there is: flag, backup")
    with session.locked(f"rollback --by {by}"):
        _banner(session)
        run = session.store.load(run_id) if run_id else session.store.latest()
        if run is None:
            raise InvalidInput(
                f"there is no run under {session.store.root}", next_command="invoke status"
            )
        if run.state.status is Status.ROLLED_BACK:
            return Result(f"run {run.id} is rolled back already; nothing to do", _document(run))
        _check_newest(session, run)
        session.out.run = run.id
        session.out.say(f"ROLLBACK of run {run.id} by {by}: {shown(run.plan.instance.config)}")
        confirm(session, f"Roll back {run.plan.instance.name}?", yes=yes, no_input=no_input)
        engine = _engine(session, run)
        restore = None if by == "flag" else _restore_backup(run)
        engine.roll_back(restore, why=f"asked for, by {by}")
        _write_report(session, run)
        enabled = run.plan.step("back-proof").params["overrides_enabled"]
        proved = f"overrides_enabled: {str(enabled).lower()}"
        text = f"ROLLED BACK  run {run.id}: files as before, {proved} proved"
        return Result(f"{text}\nreport {shown(run.directory / 'report.html')}", _document(run))


def status(session: Session) -> Result:
    """Say where things stand: the last run, what it waits for, what to type next."""
    run = session.store.latest()
    if run is None:
        where = session.store.root
        return Result(
            f"no run yet under {where}; begin with: invoke migrate",
            {"schema_version": 1, "run": None},
        )
    state = run.state
    done = sum(_has_good_evidence(run, step.id) for step in run.plan.steps)
    lines = [f"run {run.id}: {state.status.value}"]
    if state.status is Status.OPEN:
        lines[0] += f", {done} of {len(run.plan.steps)} steps proved"
    if state.reason:
        lines[0] += f"; {state.reason}"
    if state.status is Status.OPEN:
        blocked = next((s for s in run.plan.steps if not _has_good_evidence(run, s.id)), None)
        if blocked is not None:
            known = state.steps.get(blocked.id)
            said = f": {known.reason}" if known and known.reason else ""
            lines.append(
                f"next is step {blocked.number} {blocked.title}{said}; go on with: invoke migrate"
            )
    if state.status is not Status.ROLLED_BACK:
        lines.append(f"undo: {_undo(run)}")
    return Result("\n".join(lines), _document(run))


def show_report(session: Session, run_id: str) -> Result:
    """Write the report again from the journal and say where it is."""
    run = _chosen(session, run_id)
    paths = _write_report(session, run)
    return Result(
        "\n".join(shown(path) for path in paths),
        {"schema_version": 1, "files": [str(p) for p in paths]},
    )


def show_runbook(kind: str) -> Result:
    """Render the runbook of one kind of migration."""
    if kind not in runbook.GUIDES:
        raise InvalidInput(f"--kind {kind}: unknown; there is: {', '.join(runbook.GUIDES)}")
    text = runbook.render(kind)
    return Result(text.rstrip(), {"schema_version": 1, "kind": kind, "markdown": text})


def approve(session: Session, *, item: str, by: str, run_id: str) -> Result:
    """Record a person's word in the run's journal."""
    if item != "team-notified":
        raise InvalidInput(f"--item {item}: unknown; there is: team-notified")
    if not by.strip():
        raise InvalidInput("--person is empty: whose word is it?")
    with session.locked("approve"):
        run = _chosen(session, run_id)
        run.journal.append(Event.ATTESTED, item, reason=by.strip())
        _write_report(session, run)
    return Result(f"run {run.id}: {item}, by word of {by.strip()}", _document(run))


def backup_list(session: Session) -> Result:
    """List the backups of the state root, newest first; each is verified by a scratch restore."""
    instance = session.instance()
    store = session.context(instance).backups
    rows, lines = [], []
    for backup in store.all():
        count = store.verify(backup)
        rows.append({"id": backup.id, "made_at": backup.made_at, "run": backup.run, "files": count})
        lines.append(f"{backup.id}  {backup.made_at}  run {backup.run}  {count} files, restorable")
    return Result("\n".join(lines) or "no backups yet", {"schema_version": 1, "backups": rows})


def gateway_start(session: Session) -> Result:
    """Start the gateway of the target."""
    instance = session.instance()
    context = session.context(instance)
    driver = driver_of(context)
    if (found := driver.find()) is not None:
        return Result(f"it runs already: {found}")
    await_ready(context, driver.start())
    return Result(f"started: {driver.find()} on {instance.url}")


def gateway_stop(session: Session) -> Result:
    """Stop the gateway of the target after its streams have ended."""
    driver = driver_of(session.context(session.instance()))
    return Result(f"stopped: {driver.stop(600)}" if driver.find() else "nothing of ours runs")


def gateway_reload(session: Session) -> Result:
    """Load the files as they are now, by replacing the workers while the socket stays open."""
    context = session.context(session.instance())
    try:
        found = context.gateway.workers()
    except (Unreachable, NotAGateway) as error:
        raise InvalidInput(str(error), next_command="invoke gateway.start") from error
    if found is None:
        raise InvalidInput(
            "this gateway cannot replace its workers; restart it with its own command"
        )
    return Result(replace_workers(context, found.generation).summary)


def demo_up(session: Session) -> Result:
    """Create and start the demo deployment."""
    demo = Demo(DIRECTORY, session.world)
    demo.up(session.out.waiting, session.out.say)
    return Result(f"demo: gateway {demo.instance().url}, state root {shown(demo.home)}")


def demo_down(session: Session) -> Result:
    """Stop the demo deployment."""
    Demo(DIRECTORY, session.world).down(session.out.say)
    return Result("demo stopped")


def _check_resumable(run: Run) -> None:
    if run.state.status is not Status.OPEN:
        raise InvalidInput(
            f"run {run.id} is in the middle of a rollback; a new run over it is refused",
            state="Nothing was changed by this command.",
            next_command=_undo(run),
        )


def _check_step(plan: Plan, only: str) -> None:
    if only and only not in {step.id for step in plan.steps}:
        raise InvalidInput(f"this plan has no step {only}; the dashed twins need --fix")


def _check_newest(session: Session, run: Run) -> None:
    newer = session.store.latest()
    if newer is not None and newer.id != run.id and newer.state.status is not Status.ROLLED_BACK:
        raise InvalidInput(
            f"run {newer.id} came after {run.id}; roll back the newest first",
            next_command=_undo(newer),
        )


def _engine(session: Session, run: Run) -> Engine:
    def render() -> dict[str, str]:
        return _rendered(session, run)

    return Engine(run.plan, run.journal, session.world, session.out, render)


def _restore_backup(run: Run) -> Callable[[Context], str]:
    def restore(context: Context) -> str:
        evidence = run.state.steps["backup"].evidence if "backup" in run.state.steps else None
        if evidence is None:
            raise ToolkitError(
                f"run {run.id} made no backup", next_command="invoke rollback --by flag"
            )
        store = context.backups
        backup = store.load(evidence["id"])
        store.verify(backup)
        paths = [Path(file.path) for file in backup.files]
        before = store.create(f"{backup.id}-before-rollback", run.id, paths, [])
        changed = store.restore(backup)
        names = ", ".join(path.name for path in changed) or "no file had changed"
        return f"restored {names} byte for byte; what stood there is kept as {before.id}"

    return restore


def _rendered(session: Session, run: Run) -> dict[str, str]:
    files = report.render(run.plan, run.state, cco_migrate.__version__)
    return {name: typed(text, session.out.program) for name, text in files.items()}


def _write_report(session: Session, run: Run) -> list[Path]:
    paths = []
    for name, text in _rendered(session, run).items():
        session.world.files.replace(run.directory / name, text.encode(), mode=0o600)
        paths.append(run.directory / name)
    return paths


def _say_checklist(session: Session, run: Run) -> None:
    if run.state.status is not Status.DONE:
        return
    session.out.say("CHECKLIST")
    for item in report.checklist(run.plan, run.state):
        mark = {Answer.PROVEN: "ok", Answer.OPEN: "OPEN"}.get(item.answer, "??")
        evidence = item.evidence if len(item.evidence) <= 90 else f"{item.evidence[:89]}…"
        session.out.say(f"  {mark:<5} {item.text}: {evidence}")


def _summary(run: Run) -> Result:
    state = run.state
    if state.status is not Status.DONE:
        last = next((s for s in run.plan.steps if not _has_good_evidence(run, s.id)), None)
        if last is None:
            return Result(f"run {run.id} is open", _document(run))
        task = f"invoke step.{last.id}"
        return Result(
            f"run {run.id} is open; next: {task}, or all of it: invoke migrate", _document(run)
        )
    items = report.checklist(run.plan, state)
    proven = sum(item.answer is Answer.PROVEN for item in items)
    parts = [f"GO  {proven} of {len(items)} proven"]
    parts += [
        f"{item.answer.value.upper()} {item.text}"
        for item in items
        if item.answer is not Answer.PROVEN
    ]
    seconds = sum(step.seconds or 0 for step in state.steps.values())
    text = " · ".join(parts) + (
        f"\n{seconds:.1f} s · report {shown(run.directory / 'report.html')} · undo: {_undo(run)}"
    )
    return Result(text, _document(run))


def _document(run: Run) -> dict[str, object]:
    state = run.state
    return {
        "schema_version": 1,
        "run": run.id,
        "kind": run.plan.kind,
        "status": state.status.value,
        "verdict": "GO" if state.status is Status.DONE else None,
        "reason": state.reason,
        "steps": [
            {
                "number": step.number,
                "id": step.id,
                "event": state.steps[step.id].event if step.id in state.steps else None,
                "summary": state.steps[step.id].reason if step.id in state.steps else "",
                "seconds": state.steps[step.id].seconds if step.id in state.steps else None,
            }
            for step in run.plan.steps
        ],
        "checklist": [
            {"text": item.text, "answer": item.answer.value, "evidence": item.evidence}
            for item in report.checklist(run.plan, state)
        ],
        "report": str(run.directory / "report.md"),
        "undo": _undo(run),
    }


def _has_good_evidence(run: Run, step_id: str) -> bool:
    known = run.state.steps.get(step_id)
    if known is None or known.event not in {Event.APPLIED, Event.JUDGED}:
        return False
    return bool((known.evidence or {}).get("verdict", "GO") == "GO")


def _chosen(session: Session, run_id: str) -> Run:
    run = session.store.load(run_id) if run_id else session.store.latest()
    if run is None:
        raise InvalidInput(
            f"there is no run under {session.store.root}", next_command="invoke migrate"
        )
    return run


def _undo(run: Run) -> str:
    return report.rollback_command(run.plan, run.id)


def _banner(session: Session) -> None:
    place = "your gateway"
    if session.target.is_demo(os.environ):
        place = f"DEMO in {DIRECTORY}/ · loopback upstream · no key, nothing leaves this machine"
    session.out.say(f"cco-migrate {cco_migrate.__version__} · {place}")
