"""The gateway cutover, as planning sees it: what was asked, its preflight, when it is done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from cco_migrate import config
from cco_migrate.checks.daemon_record import read_record
from cco_migrate.checks.switches import faults_of
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.context import Context
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.gateway_cutover import HARD, KIND, SOFT, VALIDATION, phase_of
from cco_migrate.migrations.inputs import Cutover, Verification
from cco_migrate.model import Plan
from cco_migrate.planning import (
    basis,
    canary_order,
    cutover_preflight,
    preflight,
    prices_preflight,
    rehearsed,
    removal_preflight,
    soak_forecast,
)
from cco_migrate.planning.cutover_preflight import check_files
from cco_migrate.planning.preflight import Line, Seen, failed
from cco_migrate.removal.looking import look as look_at_repository
from cco_migrate.removal.planning import Removing
from cco_migrate.runs.journal import Status
from cco_migrate.runs.store import RunStore
from cco_migrate.session import DEFAULT_KEY, DEMO_KEY, MigrateOptions

__all__ = ["ask", "check_files", "is_done", "look", "restored"]

VALIDATED_FOR = timedelta(days=7)


def ask(inputs: Inputs, options: MigrateOptions, context: Context, store: RunStore) -> Inputs:
    """Return the inputs with the phase, its gates, and the streams that they send."""
    mark, now = config.fingerprint(inputs.files), context.world.clock.now()
    cutover = Cutover(
        phase=options.phase,
        standby=options.standby,
        validated=_validated(store, mark, now) if options.phase == SOFT else "",
        model=options.model,
        streams=options.streams,
        on_no_go=options.on_no_go,
        baseline=str(Path(options.baseline).expanduser().absolute()) if options.baseline else "",
        removing=_removing(options, context),
    )
    key = options.key or (DEMO_KEY if inputs.instance.demo else DEFAULT_KEY)
    verification = Verification(models=(options.model,), credential=key)
    asked = replace(inputs, cutover=cutover, verification=verification)
    canary = canary_order.ordered(options, asked, context)
    return replace(asked, cutover=replace(cutover, canary=canary))


def look(
    plan: Plan, inputs: Inputs, context: Context, waived: frozenset[str], seen: list[Seen]
) -> Plan:
    """Run the checks a plan is needed for, add their lines to `seen`; return the founded plan."""

    def note(step: str, lines: Iterable[Line]) -> None:
        seen.extend((step, line) for line in lines)

    note("proof", preflight.check_gateway(plan, inputs, context))
    note("state", cutover_preflight.check_record(inputs, context))
    note("validated", cutover_preflight.check_gate(inputs, context))
    if not failed(seen):
        note("validated", prices_preflight.check_charges(inputs, context))
    if plan.changes and inputs.cutover.phase != VALIDATION:
        note(plan.steps[0].id, rehearsed.check_rehearsal(inputs, context, waived))
        plan = basis.rehearsed(plan, rehearsed.relied_on(inputs, context))
    if inputs.cutover.phase == HARD:
        note("ready", removal_preflight.check_soft_cutover(plan, inputs, context))
        note("fits", removal_preflight.check_repository(plan, inputs, context))
        return basis.observed(plan, seen)
    if plan.changes and not failed(seen):
        note("routes", cutover_preflight.check_way_back(inputs, context))
    if inputs.cutover.canary is not None and plan.changes and not failed(seen):
        seen += canary_order.check_canary(inputs.cutover.canary, context)
    if inputs.soak is not None and not failed(seen):
        note("soak", soak_forecast.check_soak(inputs.soak, context))
    if plan.changes and not failed(seen):
        proxy = inputs.cutover.standby
        note("restart", preflight.check_trial_start(plan, inputs, context, proxy=proxy))
    return basis.observed(plan, seen)


def is_done(plan: Plan, context: Context) -> bool:
    """Return whether the switches stand as planned, are loaded, and the ports say so.

    A validation is never done: it says how things are now.
    """
    if plan.changes or phase_of(plan) == VALIDATION:
        return False
    try:
        workers = context.gateway.workers()
    except (Unreachable, NotAGateway):
        return False
    loaded = {worker.fingerprint for worker in workers.serving} if workers else set()
    wanted = plan.step("routes")
    return loaded == {plan.fingerprint_after} and not faults_of(
        read_record(context), wanted, context.instance
    )


def restored(plan: Plan) -> str:
    """Return what the way back has proved."""
    if phase_of(plan) == HARD:
        said = "the branch of the removal is gone; its tag and its bundle stay"
        return f"{said}; a merge that was not fetched here is not taken back: git fetch, and look"
    if not plan.way_back:
        return "nothing had been changed"
    params = plan.step("back-routes").params
    gateway, proxy = (str(params[name]).lower() for name in ("gateway", "proxy"))
    return f"files as before, gatewayEnabled: {gateway}, proxyEnabled: {proxy} proved"


def _removing(options: MigrateOptions, context: Context) -> Removing | None:
    """Return what is to be removed; None in other phases, and when nobody said what.

    Raises:
        InvalidInput: An option belongs to another phase, or the manifest or repository is wrong.
    """
    of_removals, of_others = ("manifest", "repository"), ("standby", "soak", "baseline")
    strange = of_others if options.phase == HARD else of_removals
    if given := [f"--{name}" for name in strange if getattr(options, name)]:
        raise InvalidInput(f"{', '.join(given)}: has no meaning in phase {options.phase}")
    if not options.manifest:
        return None
    repository = Path(options.repository).expanduser() if options.repository else None
    manifest = Path(options.manifest).expanduser()
    return look_at_repository(context.instance, manifest, repository, context.world)


def _validated(store: RunStore, mark: str, now: datetime) -> str:
    """Return the newest run whose gate of phase 1 was GO on these files of late; "" for none."""
    for run in reversed(tuple(store.all())):
        plan, state = run.plan, run.state
        done = plan.kind == KIND and state.status is Status.DONE and phase_of(plan) == VALIDATION
        late = now - datetime.fromisoformat(state.changed_at) > VALIDATED_FOR
        if done and plan.fingerprint_after == mark and not late:
            return run.id
    return ""
