"""Model overrides, as planning sees them: their traffic, their preflight, when they are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from cco_migrate import config, costs, lint
from cco_migrate.checks.configuration import observed_models
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.demo import MODELS, STREAMED
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.inputs import Verification
from cco_migrate.model import Plan
from cco_migrate.planning import (
    basis,
    overrides_preflight,
    preflight,
    prices_preflight,
    soak_forecast,
)
from cco_migrate.planning.overrides_preflight import check_files
from cco_migrate.planning.preflight import Line, Seen, failed
from cco_migrate.runs.store import RunStore
from cco_migrate.session import DEFAULT_KEY, DEMO_KEY, MigrateOptions

__all__ = ["ask", "check_files", "is_done", "look", "restored"]

WATCH, SEND = "watch", "send"


def ask(inputs: Inputs, options: MigrateOptions, context: Context, _store: RunStore) -> Inputs:
    """Return the inputs with the traffic that proves the overrides."""
    return replace(inputs, verification=_verification(inputs, options, context))


def look(
    plan: Plan, inputs: Inputs, context: Context, waived: frozenset[str], seen: list[Seen]
) -> Plan:
    """Run the checks a plan is needed for, add their lines to `seen`; return the founded plan."""

    def note(step: str, lines: Iterable[Line]) -> None:
        seen.extend((step, line) for line in lines)

    note("proof", preflight.check_gateway(plan, inputs, context))
    if not failed(seen):  # only the gateway that was recognised is given a token
        plan, lines = basis.forecast(plan, inputs, context, waived)
        note(basis.TRAFFIC, lines)
    note(basis.TRAFFIC, overrides_preflight.check_verification(plan, inputs))
    note("cost", prices_preflight.check_prices(inputs, context.world.clock.now().date()))
    if not failed(seen):
        note("cost", prices_preflight.check_charges(inputs, context))
    if inputs.soak is not None and not failed(seen):
        note("soak", soak_forecast.check_soak(inputs.soak, context))
    if plan.changes and not failed(seen):
        note("restart", preflight.check_trial_start(plan, inputs, context))
    return basis.observed(plan, seen)


def is_done(plan: Plan, context: Context) -> bool:
    """Return whether the files are as the plan would leave them, loaded and serving."""
    if plan.changes:
        return False
    try:
        health, workers = context.gateway.health(), context.gateway.workers()
    except (Unreachable, NotAGateway):
        return False
    loaded = {w.fingerprint for w in workers.serving} if workers else {health.fingerprint}
    same = loaded == {plan.fingerprint_after} or health.fingerprint is None
    return same and health.overrides_enabled is True


def restored(plan: Plan) -> str:
    """Return what the way back has proved."""
    enabled = plan.step("back-proof").params["overrides_enabled"]
    return f"files as before, overrides_enabled: {str(enabled).lower()} proved"


def _verification(inputs: Inputs, options: MigrateOptions, context: Context) -> Verification:
    if options.traffic not in {"", SEND, WATCH}:
        raise InvalidInput(f"--traffic {options.traffic}: unknown; there is: {SEND}, {WATCH}")
    if options.traffic == WATCH:
        return Verification(WATCH, watch_s=options.watch_s)
    if context.instance.demo:
        count = options.requests or len(MODELS)
        models = tuple(MODELS[n % len(MODELS)] for n in range(count))
        return Verification(SEND, models, count * STREAMED // len(MODELS), "claude-code", DEMO_KEY)
    real = _models_to_verify(inputs, context)
    count = options.requests or 2
    chosen = tuple(real[n % len(real)] for n in range(count)) if real else ()
    key = options.key or DEFAULT_KEY
    return Verification(SEND, chosen, (count + 1) // 2, "small", key, options.watch_s)


def _models_to_verify(inputs: Inputs, context: Context) -> list[str]:
    """Return the rule sources worth asking for: those seen in traffic first, then real ids."""
    data = inputs.files[ConfigName.OVERRIDES]
    if data is None:
        return []
    try:
        overrides = config.read_overrides(context.instance.config, data)
    except InvalidInput:
        return []  # the preflight says what is wrong with the file
    sources = [rule.source for rule in overrides.rules]
    sources += [twin.source for twin in lint.twins(overrides, inputs.known_models)]
    observed = observed_models(context.gateway) or Counter[str]()
    table = costs.known_prices(inputs.files)
    real = [
        source for source in dict.fromkeys(sources) if source in observed or table.knows(source)
    ]
    return sorted(real, key=lambda source: -observed.get(source, 0))
