"""Collects what a plan rests on: files, runtime, what the preflight saw, the gateway's forecast."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cco_migrate
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.forecast.asking import NoForecast, ask, read
from cco_migrate.forecast.blast_radius import blast_radius
from cco_migrate.migrations import Inputs
from cco_migrate.model import Basis, Certainty, JsonObject, Observation, Plan
from cco_migrate.planning.outlook import check_forecast
from cco_migrate.planning.overrides_preflight import check_traffic
from cco_migrate.planning.preflight import Line, Mark, planned_files

AUDIT_LIMIT = 1000
CERTAINTIES = {
    Mark.OK: Certainty.VERIFIED,
    Mark.FIX: Certainty.VERIFIED,
    Mark.WARN: Certainty.WARNED,
    Mark.FAIL: Certainty.WARNED,
    Mark.NOT_APPLICABLE: Certainty.ASSUMED,
}
TRAFFIC = "traffic"
"""The step that recorded requests say something about."""

ASSUMED = (
    "assumed: the target model accepts every field the requests carry (effort, thinking, long "
    "context)",
    "assumed: the provider's rate limits for the target model are wide enough",
)
"""What nobody checked when the gateway could not be asked."""


def runtime(context: Context) -> tuple[str, ...]:
    """Return what the gateway has loaded, as `Basis.runtime`; empty when nobody answers."""
    try:
        health, workers = context.gateway.health_and_workers()
    except (Unreachable, NotAGateway):
        return ()
    if workers is not None and workers.serving:
        return tuple(sorted({worker.fingerprint for worker in workers.serving}))
    if health.fingerprint is not None:
        return (health.fingerprint,)
    return (f"overrides_enabled={health.overrides_enabled} rules={health.override_rules}",)


def digest(data: bytes | None) -> str | None:
    """Return the SHA-256 of a file; None for an absent one."""
    return None if data is None else hashlib.sha256(data).hexdigest()


def digests(inputs: Inputs) -> dict[str, str | None]:
    """Return the SHA-256 of each configuration file by its path; None for an absent one."""
    directory, overrides = inputs.instance.config_dir, inputs.instance.config
    found: dict[str, str | None] = {}
    for name, data in inputs.files.items():
        path = overrides if name is ConfigName.OVERRIDES else directory / name.filename
        found[str(path)] = digest(data)
    return found


def founded(plan: Plan, inputs: Inputs, context: Context) -> Plan:
    """Return the plan with what it rests on, as far as it is known before anything is judged."""
    return replace(
        plan,
        basis=Basis(
            made_at=context.world.clock.now().isoformat(timespec="milliseconds"),
            tool_version=cco_migrate.__version__,
            files=digests(inputs),
            runtime=runtime(context),
        ),
    )


def moved(plan: Plan, context: Context) -> tuple[str, ...]:
    """Return what is no longer as it was when the plan was made; empty when it still holds."""
    basis, found = _basis(plan), []
    if basis.tool_version != cco_migrate.__version__:
        found.append(f"it was made by version {basis.tool_version}, not {cco_migrate.__version__}")
    for name, before in basis.files.items():
        now = digest(context.world.files.read_if_there(Path(name)))
        if now != before:
            how = "is new" if before is None else "is gone" if now is None else "was changed"
            found.append(f"{name} {how}")
    loaded = runtime(context)
    if loaded != basis.runtime:
        then, now = (", ".join(one) or "nothing that answers" for one in (basis.runtime, loaded))
        found.append(f"the gateway has loaded {now}, not {then}")
    return tuple(found)


def forecast(
    plan: Plan, inputs: Inputs, context: Context, waived: frozenset[str]
) -> tuple[Plan, list[Line]]:
    """Ask the gateway what the plan would do with its recorded requests; say what that means.

    The plan that is returned carries the answer, or what has to be assumed without one.
    """
    context.waiting("the gateway to decide its recorded requests again", 60)
    try:
        answer = ask(context, planned_files(plan, inputs)[ConfigName.OVERRIDES] or b"")
    except NoForecast as error:
        text = f"what the rules do to recorded requests is assumed: {error}"
        lines = [*check_traffic(plan, inputs, context), Line(Mark.NOT_APPLICABLE, text)]
        return replace(plan, notes=(*plan.notes, *ASSUMED)), lines
    seen, basis = read(answer), _basis(plan)
    entries = _audited(context)
    radius = blast_radius(seen, entries).to_json() if entries else None
    waivers = tuple(f"waived: {name}" for name in sorted(waived)) if seen.broken else ()
    plan = replace(
        plan,
        basis=replace(basis, forecast=answer, blast_radius=radius),
        notes=(*plan.notes, *waivers),
    )
    return plan, check_forecast(seen, waived)


def observed(plan: Plan, seen: Sequence[tuple[str, Line]]) -> Plan:
    """Return the plan with the lines of its preflight; each says to which step it belongs."""
    rows = tuple(Observation(step, CERTAINTIES[line.mark], line.text) for step, line in seen)
    return replace(plan, basis=replace(_basis(plan), observations=rows))


def rehearsed(plan: Plan, record: JsonObject | None) -> Plan:
    """Return the plan with the rehearsal it relies on; None for none."""
    return replace(plan, basis=replace(_basis(plan), rehearsal=record))


def _basis(plan: Plan) -> Basis:
    if plan.basis is None:
        raise ValueError("this plan was not founded yet")
    return plan.basis


def _audited(context: Context) -> Sequence[JsonObject]:
    try:
        return context.gateway.audit(limit=AUDIT_LIMIT) or ()
    except (Unreachable, NotAGateway):
        return ()
