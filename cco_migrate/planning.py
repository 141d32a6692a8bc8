"""From options to a plan that was checked, shown and agreed to."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping

from cco_migrate import config, lint, preflight, resources
from cco_migrate.checks.configuration import observed_models
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.demo import DIRECTORY, MODELS, STREAMED, Demo
from cco_migrate.drivers import driver_of
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.journal import Status
from cco_migrate.migrations import MIGRATIONS, Inputs
from cco_migrate.migrations.inputs import Verification
from cco_migrate.model import Instance, Plan
from cco_migrate.preflight import Line, Mark
from cco_migrate.prices import PriceTable
from cco_migrate.report import rollback_command
from cco_migrate.session import MigrateOptions, Result, Session, shown

DEMO_KEY = "demo"
WATCH, SEND = "watch", "send"


def make_plan(session: Session, options: MigrateOptions) -> tuple[Plan, Inputs]:
    """Look at everything, and return a plan that can be carried out.

    Raises:
        InvalidInput: The preflight failed; nothing was changed.
        StalePlan: The running configuration is not the one in the files.
    """
    if session.target.is_demo(os.environ):
        Demo(DIRECTORY, session.world).up(session.out.waiting, session.out.say)
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
    if options.kind not in MIGRATIONS:
        raise InvalidInput(f"--kind {options.kind}: unknown; there is: {', '.join(MIGRATIONS)}")
    context = session.context(instance)
    inputs = _inputs(session, instance, options)
    lines = preflight.check_files(inputs, context)
    plan = None
    if not any(line.mark is Mark.FAIL for line in lines):
        plan = MIGRATIONS[options.kind](inputs)
        lines += preflight.check_gateway(plan, inputs, context)
        lines += preflight.check_traffic(plan, inputs, context)
        lines += preflight.check_verification(plan, inputs)
        if plan.changes and not any(line.mark is Mark.FAIL for line in lines):
            lines += preflight.check_trial_start(plan, inputs, context)
    session.out.waiting("", 0)
    for line in lines:
        session.out.say(f"  {line.mark.value:<5} {line.text}")
    return inputs, plan, lines


def nothing_to_do(session: Session, plan: Plan) -> bool:
    """Return whether the files are as the plan would leave them, loaded and serving."""
    if plan.changes:
        return False
    context = session.context(plan.instance)
    try:
        health, workers = context.gateway.health(), context.gateway.workers()
    except (Unreachable, NotAGateway):
        return False
    loaded = {w.fingerprint for w in workers.serving} if workers else {health.fingerprint}
    same = loaded == {plan.fingerprint_after} or health.fingerprint is None
    return same and health.overrides_enabled is True


def unchanged(session: Session, instance: Instance) -> Result:
    """Say that there is nothing to do, and how to undo what was done before."""
    latest = session.store.latest()
    undo = (
        f"; undo: {rollback_command(latest.plan, latest.id)}"
        if latest and latest.state.status is Status.DONE
        else ""
    )
    text = f"UNCHANGED  overrides are enabled and serving on {instance.url}: nothing to do{undo}"
    return Result(text, {"schema_version": 1, "verdict": "GO", "changed": False})


def show_plan(session: Session, plan: Plan) -> None:
    """Show every change as its own diff, the restart, who is affected, and the way back."""
    session.out.say(f"PLAN {plan.digest}")
    for change in plan.changes:
        session.out.say(f"  {change.why}: {shown(change.path)}")
        for line in change.diff.splitlines():
            if line[:1] in "+-" and line[:3] not in {"+++", "---"}:
                session.out.say(f"    {line[:1]} {line[1:].strip()}")
    how = (
        "replace the workers, socket open"
        if any(s.uses == "service.replace" for s in plan.steps)
        else "stop and start"
    )
    session.out.say(f"  restart: {how}; blast radius: every client of {plan.instance.url}")
    session.out.say(
        "  way back: by flag or from the backup, restart, proof; a failed check takes it by itself"
    )


def _inputs(session: Session, instance: Instance, options: MigrateOptions) -> Inputs:
    context = session.context(instance)
    files = context.config_files()
    known = PriceTable(resources.data("prices")).ids
    return Inputs(
        instance=instance,
        files=files,
        fix=options.fix,
        replace=driver_of(context).can_replace(),
        known_models=known,
        verification=_verification(instance, files, known, options, context),
    )


def _verification(
    instance: Instance,
    files: Mapping[ConfigName, bytes | None],
    known: tuple[str, ...],
    options: MigrateOptions,
    context: Context,
) -> Verification:
    if options.traffic not in {"", SEND, WATCH}:
        raise InvalidInput(f"--traffic {options.traffic}: unknown; there is: {SEND}, {WATCH}")
    if options.traffic == WATCH:
        return Verification(WATCH, watch_s=options.watch_s)
    if instance.demo:
        count = options.requests or len(MODELS)
        models = tuple(MODELS[n % len(MODELS)] for n in range(count))
        return Verification(SEND, models, count * STREAMED // len(MODELS), "claude-code", DEMO_KEY)
    real = _models_to_verify(files, known, instance, context)
    count = options.requests or 2
    chosen = tuple(real[n % len(real)] for n in range(count)) if real else ()
    key = options.key or "env:ANTHROPIC_API_KEY"
    return Verification(SEND, chosen, (count + 1) // 2, "small", key, options.watch_s)


def _models_to_verify(
    files: Mapping[ConfigName, bytes | None],
    known: tuple[str, ...],
    instance: Instance,
    context: Context,
) -> list[str]:
    """Return the rule sources worth asking for: those seen in traffic first, then real ids."""
    data = files[ConfigName.OVERRIDES]
    if data is None:
        return []
    try:
        overrides = config.read_overrides(instance.config, data)
    except InvalidInput:
        return []  # the preflight says what is wrong with the file
    sources = [rule.source for rule in overrides.rules]
    sources += [twin.source for twin in lint.twins(overrides, known)]
    observed = observed_models(context.gateway) or Counter[str]()
    table = PriceTable(resources.data("prices"))
    real = [
        source for source in dict.fromkeys(sources) if source in observed or table.knows(source)
    ]
    return sorted(real, key=lambda source: -observed.get(source, 0))
