"""From options to a plan that was checked, shown and agreed to."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from cco_migrate import costs
from cco_migrate.context import Context
from cco_migrate.demo import DIRECTORY, Demo
from cco_migrate.drivers import driver_of
from cco_migrate.errors import ToolkitError
from cco_migrate.migrations import MIGRATIONS, Inputs
from cco_migrate.migrations.inputs import Verification
from cco_migrate.model import Instance, Plan
from cco_migrate.one_look import one_look
from cco_migrate.planning import basis, outlook, plan_text, preflight, soak_forecast
from cco_migrate.planning.kinds import KINDS, Kind, kind_of
from cco_migrate.planning.preflight import Line, failed
from cco_migrate.report import rollback_command
from cco_migrate.runs.journal import Status
from cco_migrate.session import MigrateOptions, Result, Session


def make_plan(session: Session, options: MigrateOptions) -> tuple[Plan, Inputs]:
    """Look at everything, and return a plan that can be carried out.

    Raises:
        InvalidInput: The preflight failed; nothing was changed.
        StalePlan: The running configuration is not the one in the files.
    """
    if session.target.is_demo(os.environ) and not options.dry_run:
        demo = Demo(DIRECTORY, session.world)
        demo.up(session.out.waiting, session.out.say, old_path=kind_of(options)[1].old_path)
    session.out.say("PREFLIGHT  (changes nothing)")
    inputs, plan, lines = run_preflight(session, session.instance(), options)
    preflight.refuse(lines)
    if plan is None:
        raise ToolkitError("the preflight found nothing wrong and made no plan")
    return plan, inputs


def run_preflight(
    session: Session, instance: Instance, options: MigrateOptions
) -> tuple[Inputs, Plan | None, list[Line]]:
    """Run every check and say its line; the plan is None when the files are too broken."""
    name, kind = kind_of(options)
    waived = outlook.waivers(options.waive, soak_forecast.WAIVABLE)
    context = session.context(instance)
    context = replace(context, world=one_look(context.world))
    inputs = _inputs(kind, session, context, options)
    if options.soak or not options.canary:  # else its options are those of the canary's soaks
        soak = soak_forecast.order(options, options.soak, waived, inputs, context)
        inputs = replace(inputs, soak=soak)
    seen = [("exists", line) for line in kind.check_files(inputs, context)]
    plan = None
    if not failed(seen):
        plan = basis.founded(MIGRATIONS[name](inputs), inputs, context)
        plan = kind.look(plan, inputs, context, waived, seen)
    session.out.waiting("", 0)
    for _, line in seen:
        session.out.say(f"  {line.mark.value:<5} {line.text}")
    return inputs, plan, [line for _, line in seen]


def nothing_to_do(session: Session, plan: Plan) -> bool:
    """Return whether what the plan wants is so already, loaded and serving."""
    return KINDS[plan.kind].is_done(plan, session.context(plan.instance))


def unchanged(session: Session, plan: Plan) -> Result:
    """Say that there is nothing to do, and how to undo what was done before."""
    latest = session.store.latest()
    undo = (
        f"; undo: {rollback_command(latest.plan, latest.id)}"
        if latest and latest.state.status is Status.DONE
        else ""
    )
    said = f"{KINDS[plan.kind].unchanged} {plan.instance.url}"
    text = f"UNCHANGED  {said}: nothing to do{undo}"
    return Result(text, {"schema_version": 1, "verdict": "GO", "changed": False})


def show_plan(session: Session, plan: Plan, *, detailed: bool = False) -> None:
    """Show every change as its own diff, who is affected, and the way back; in detail each step."""
    session.out.say(f"PLAN {plan.digest}")
    for line in plan_text.summary(plan, Path.cwd()):
        session.out.say(f"  {line}")
    if detailed:
        session.out.say("STEPS")
        for line in plan_text.steps(plan):
            session.out.say(f"  {line}")


def _inputs(kind: Kind, session: Session, context: Context, options: MigrateOptions) -> Inputs:
    files = context.config_files()
    inputs = Inputs(
        instance=context.instance,
        files=files,
        fix=options.fix,
        replace=driver_of(context).can_replace(),
        known_models=costs.known_prices(files).ids,
        verification=Verification(),
    )
    return kind.ask(inputs, options, context, session.store)
