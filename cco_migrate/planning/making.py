"""From options to a plan that was checked, shown and agreed to."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cco_migrate import config, costs, lint
from cco_migrate.checks.configuration import observed_models
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.demo import DIRECTORY, MODELS, STREAMED, Demo
from cco_migrate.drivers import driver_of
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.migrations import MIGRATIONS, Inputs
from cco_migrate.migrations.inputs import Verification
from cco_migrate.model import Instance, Plan
from cco_migrate.one_look import one_look
from cco_migrate.planning import basis, outlook, plan_text, preflight, soak_forecast
from cco_migrate.planning.preflight import Line, Mark
from cco_migrate.report import rollback_command
from cco_migrate.runs.journal import Status
from cco_migrate.session import MigrateOptions, Result, Session
from cco_migrate.soak.terms import Offer, Soak

DEMO_KEY = "demo"
WATCH, SEND = "watch", "send"

Seen = tuple[str, Line]
"""A line of the preflight, and the id of the step it is about."""


def make_plan(session: Session, options: MigrateOptions) -> tuple[Plan, Inputs]:
    """Look at everything, and return a plan that can be carried out.

    Raises:
        InvalidInput: The preflight failed; nothing was changed.
        StalePlan: The running configuration is not the one in the files.
    """
    if session.target.is_demo(os.environ) and not options.dry_run:
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
    waived = outlook.waivers(options.waive, soak_forecast.WAIVABLE)
    context = session.context(instance)
    context = replace(context, world=one_look(context.world))
    inputs = _inputs(context, options, waived)
    seen = [("exists", line) for line in preflight.check_files(inputs, context)]
    plan = None
    if not _failed(seen):
        plan = basis.founded(MIGRATIONS[options.kind](inputs), inputs, context)
        plan = _look(plan, inputs, context, waived, seen)
    session.out.waiting("", 0)
    for _, line in seen:
        session.out.say(f"  {line.mark.value:<5} {line.text}")
    return inputs, plan, [line for _, line in seen]


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


def show_plan(session: Session, plan: Plan, *, detailed: bool = False) -> None:
    """Show every change as its own diff, who is affected, and the way back; in detail each step."""
    session.out.say(f"PLAN {plan.digest}")
    for line in plan_text.summary(plan, Path.cwd()):
        session.out.say(f"  {line}")
    if detailed:
        session.out.say("STEPS")
        for line in plan_text.steps(plan):
            session.out.say(f"  {line}")


def _look(
    plan: Plan, inputs: Inputs, context: Context, waived: frozenset[str], seen: list[Seen]
) -> Plan:
    """Run the checks a plan is needed for, add their lines to `seen`; return the founded plan."""

    def note(step: str, lines: Iterable[Line]) -> None:
        seen.extend((step, line) for line in lines)

    note("proof", preflight.check_gateway(plan, inputs, context))
    if not _failed(seen):  # only the gateway that was recognised is given a token
        plan, lines = basis.forecast(plan, inputs, context, waived)
        note(basis.TRAFFIC, lines)
    note(basis.TRAFFIC, preflight.check_verification(plan, inputs))
    note("cost", preflight.check_prices(inputs, context.world.clock.now().date()))
    if inputs.soak is not None and not _failed(seen):
        note("soak", soak_forecast.check_soak(inputs.soak, context))
    if plan.changes and not _failed(seen):
        note("restart", preflight.check_trial_start(plan, inputs, context))
    return basis.observed(plan, seen)


def _failed(seen: Sequence[Seen]) -> bool:
    return any(line.mark is Mark.FAIL for _, line in seen)


def _inputs(context: Context, options: MigrateOptions, waived: frozenset[str]) -> Inputs:
    files = context.config_files()
    known = costs.known_prices(files).ids
    verification = _verification(files, known, options, context)
    return Inputs(
        instance=context.instance,
        files=files,
        fix=options.fix,
        replace=driver_of(context).can_replace(),
        known_models=known,
        verification=verification,
        soak=_soak(options, waived, verification, context),
    )


def _soak(
    options: MigrateOptions, waived: frozenset[str], verification: Verification, context: Context
) -> Soak | None:
    asked = soak_forecast.Asked(
        bake=options.soak,
        interval=options.soak_interval,
        on_no_go=options.on_no_go,
        criteria=options.criteria,
        waive=tuple(sorted(waived.intersection(soak_forecast.WAIVABLE))),
        why=options.why,
        by=context.world.processes.operator(),
    )
    models = tuple(dict.fromkeys(verification.models))
    offer = Offer(options.soak_requests, models, verification.credential)
    return soak_forecast.ordered(asked, offer, context.world.files)


def _verification(
    files: Mapping[ConfigName, bytes | None],
    known: tuple[str, ...],
    options: MigrateOptions,
    context: Context,
) -> Verification:
    if options.traffic not in {"", SEND, WATCH}:
        raise InvalidInput(f"--traffic {options.traffic}: unknown; there is: {SEND}, {WATCH}")
    if options.traffic == WATCH:
        return Verification(WATCH, watch_s=options.watch_s)
    if context.instance.demo:
        count = options.requests or len(MODELS)
        models = tuple(MODELS[n % len(MODELS)] for n in range(count))
        return Verification(SEND, models, count * STREAMED // len(MODELS), "claude-code", DEMO_KEY)
    real = _models_to_verify(files, known, context)
    count = options.requests or 2
    chosen = tuple(real[n % len(real)] for n in range(count)) if real else ()
    key = options.key or "env:ANTHROPIC_API_KEY"
    return Verification(SEND, chosen, (count + 1) // 2, "small", key, options.watch_s)


def _models_to_verify(
    files: Mapping[ConfigName, bytes | None],
    known: tuple[str, ...],
    context: Context,
) -> list[str]:
    """Return the rule sources worth asking for: those seen in traffic first, then real ids."""
    data = files[ConfigName.OVERRIDES]
    if data is None:
        return []
    try:
        overrides = config.read_overrides(context.instance.config, data)
    except InvalidInput:
        return []  # the preflight says what is wrong with the file
    sources = [rule.source for rule in overrides.rules]
    sources += [twin.source for twin in lint.twins(overrides, known)]
    observed = observed_models(context.gateway) or Counter[str]()
    table = costs.known_prices(files)
    real = [
        source for source in dict.fromkeys(sources) if source in observed or table.knows(source)
    ]
    return sorted(real, key=lambda source: -observed.get(source, 0))
