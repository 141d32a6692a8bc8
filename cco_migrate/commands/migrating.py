"""One function per task of a migration; here the parts are wired together."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cco_migrate import report, runbook
from cco_migrate.commands.reporting import reported
from cco_migrate.commands.run_summary import summary, undo_command
from cco_migrate.commands.running import banner, engine_of, hooks_dir, note_takeover
from cco_migrate.communication import settings
from cco_migrate.errors import InvalidInput
from cco_migrate.hooks import definitions as hooks
from cco_migrate.migrations.gateway_cutover import KIND, phase_of
from cco_migrate.migrations.guide import GUIDES
from cco_migrate.model import Plan
from cco_migrate.one_look import one_look
from cco_migrate.planning import dry_run, preflight, saved_plan
from cco_migrate.planning.making import (
    make_plan,
    nothing_to_do,
    run_preflight,
    show_plan,
    unchanged,
)
from cco_migrate.removal.planning import confirmation
from cco_migrate.report import Answer
from cco_migrate.runs.journal import Status
from cco_migrate.runs.store import Run
from cco_migrate.session import (
    DEFAULT_KIND,
    MigrateOptions,
    Result,
    Session,
    confirm,
    confirm_typed,
    shown,
)
from cco_migrate.settings_file import FLEET

__all__ = ["MigrateOptions", "Result", "Session"]


def migrate(session: Session, options: MigrateOptions) -> Result:
    """Turn the change on, step by step; resume an open run; say so when there is nothing to do."""
    if options.dry_run:
        return _dry_run(session, options)
    with session.locked(f"migrate {options.kind}".rstrip(), options.lock_timeout_s) as lease:
        banner(session)
        _refuse_frozen(session)
        run = session.store.unfinished()
        if run is not None:
            note_takeover(session, lease, run)
            _check_resumable(run)
            _check_same(session, run, options)
            _check_step(run.plan, options.only)
            session.out.say(f"run {run.id} goes on where it stopped (began {run.state.started_at})")
        else:
            hooks.load(hooks_dir(session), session.world)  # a wrong one is refused here only
            plan = _plan(session, options)
            if nothing_to_do(session, plan):
                return unchanged(session, plan)
            if options.plan:
                saved_plan.refuse_stale(session, plan)
            _check_step(plan, options.only)
            show_plan(session, plan)
            _agree(session, plan, options)
            run = session.store.create(plan)
            session.out.say(
                f"run {run.id} · Ctrl-C is safe: a rerun goes on, `{undo_command(run)}` undoes"
            )
        session.out.run = run.id
        engine = replace(engine_of(session, run, lease), ask=_asker(session, options))
        reported(session, run, lambda: engine.run(only=options.only or None))
        _say_checklist(session, run)
        return summary(run)


def plan_only(session: Session, options: MigrateOptions, *, detailed_exitcode: bool) -> Result:
    """Show what a run would do, or what is in a saved plan, stale or not; change nothing."""
    banner(session)
    plan = _plan(session, options)
    if not options.plan and nothing_to_do(session, plan):
        return unchanged(session, plan)
    show_plan(session, plan, detailed=True)
    stale = saved_plan.staleness(session, plan) if options.plan else ()
    for reason in stale:
        session.out.say(f"  STALE {reason}")
    text = f"plan {plan.digest}: shown, nothing was changed"
    if options.out:
        saved_plan.save(session, plan, Path(options.out))
        text += f"; saved, carry it out once with: invoke migrate --plan {options.out}"
    row = {
        "schema_version": 1,
        "digest": plan.digest,
        "stale": list(stale),
        "changes": [change.diff for change in plan.changes],
        "plan": plan.to_json(),
    }
    return Result(text, row, 2 if detailed_exitcode else 0)


def check(session: Session, options: MigrateOptions) -> Result:
    """Run the preflight alone."""
    instance = session.instance()
    inputs, plan, lines = run_preflight(session, instance, options)
    preflight.refuse(lines)
    text = f"preflight: {len(lines)} checks, none failed; plan {plan.digest if plan else '-'}"
    rows = [{"mark": line.mark.value, "text": line.text} for line in lines]
    return Result(text, {"schema_version": 1, "verdict": "GO", "lines": rows, "fix": inputs.fix})


def show_runbook(kind: str) -> Result:
    """Render the runbook of one kind of migration; "" for the usual one."""
    kind = kind or DEFAULT_KIND
    if kind not in GUIDES:
        raise InvalidInput(f"--kind {kind}: unknown; there is: {', '.join(GUIDES)}, gates")
    text = runbook.render(kind)
    return Result(text.rstrip(), {"schema_version": 1, "kind": kind, "markdown": text})


def _agree(session: Session, plan: Plan, options: MigrateOptions) -> None:
    """Have a person agree to a plan: by yes, or in words where nothing undoes it any more."""
    if wanted := confirmation(plan):
        asked = not options.no_input and not options.yes
        confirm_typed(session, wanted, given=options.confirm, asked=asked)
        return
    if options.confirm:
        raise InvalidInput("--confirm: this plan asks for no typed words")
    question = f"Apply to 1 gateway ({plan.instance.name})?"
    confirm(session, question, yes=options.yes, no_input=options.no_input)


def _check_resumable(run: Run) -> None:
    if run.state.status is not Status.OPEN:
        raise InvalidInput(
            f"run {run.id} is in the middle of a rollback; a new run over it is refused",
            state="Nothing was changed by this command.",
            next_command=undo_command(run),
        )


def _check_same(session: Session, run: Run, options: MigrateOptions) -> None:
    """Refuse a new run over an open one: what was asked for is not what the open run does."""
    differs = "" if options.kind in {"", run.plan.kind} else f"it is a {run.plan.kind}"
    if not differs and options.kind == KIND and options.phase != phase_of(run.plan):
        differs = f"it is about phase {phase_of(run.plan)}"
    if options.plan and saved_plan.load(session, options).digest != run.plan.digest:
        differs = f"it carries out plan {run.plan.digest}"
    target = session.target
    if not differs and (target.url or target.config):
        instance, theirs = session.instance(), run.plan.instance
        if (instance.url, instance.config) != (theirs.url, theirs.config):
            differs = f"it is about {theirs.url} with {theirs.config}"
    if differs:
        raise InvalidInput(
            f"run {run.id} is open and {differs}; a new run over it is refused",
            state="Nothing was changed by this command.",
            next_command=f"invoke migrate (goes on with that one), or {undo_command(run)}",
        )


def _dry_run(session: Session, options: MigrateOptions) -> Result:
    session = replace(session, world=one_look(session.world))  # plan and trial see the same
    banner(session)
    if (run := dry_run.unfinished(session)) is not None:
        _check_same(session, run, options)
        return dry_run.dry_run(session, run.plan, run.id)
    plan = _plan(session, options)
    if nothing_to_do(session, plan):
        return unchanged(session, plan)
    if options.plan:
        saved_plan.refuse_stale(session, plan)
    show_plan(session, plan)
    return dry_run.dry_run(session, plan)


def _plan(session: Session, options: MigrateOptions) -> Plan:
    return saved_plan.load(session, options) if options.plan else make_plan(session, options)[0]


def _check_step(plan: Plan, only: str) -> None:
    if only and only not in {step.id for step in plan.steps}:
        there = ", ".join(step.id for step in plan.steps)
        why = "the dashed twins need --fix" if only == "fix" else f"there is: {there}"
        raise InvalidInput(f"this plan has no step {only}; {why}")


def _asker(session: Session, options: MigrateOptions) -> Callable[[str], bool | None]:
    """Return what asks a person: yes when they said so beforehand, None when nobody is there."""

    def ask(question: str) -> bool | None:
        if options.yes:
            return True
        if options.no_input or not os.isatty(0):
            return None
        return session.out.ask(question)

    return ask


def _refuse_frozen(session: Session) -> None:
    """Raise InvalidInput in a freeze window; a rollback never asks."""
    frozen = settings.frozen_today(session.home / "config", session.world)
    if frozen is not None:
        path = session.home / "config" / FLEET
        raise InvalidInput(f"{frozen}; the windows stand in {shown(path)}")


def _say_checklist(session: Session, run: Run) -> None:
    if run.state.status is not Status.DONE:
        return
    session.out.say("CHECKLIST")
    for item in report.checklist(run.plan, run.state):
        mark = {Answer.PROVEN: "ok", Answer.OPEN: "OPEN"}.get(item.answer, "??")
        evidence = item.evidence if len(item.evidence) <= 90 else f"{item.evidence[:89]}…"
        session.out.say(f"  {mark:<5} {item.text}: {evidence}")
