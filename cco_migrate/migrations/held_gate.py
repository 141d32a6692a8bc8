"""Holds the gate of a phase for a run; asks the gateway, and sends bounded requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cco_migrate.checks import Check
from cco_migrate.checks.held_gate import USES, GateHeld
from cco_migrate.context import Context
from cco_migrate.criteria import from_json, to_json
from cco_migrate.errors import InvalidInput, LockHeld
from cco_migrate.judge.criterion import Criterion
from cco_migrate.model import JsonObject, Step

if TYPE_CHECKING:
    from cco_migrate.gates.order import Order


def gate_terms(phase: int, criteria: Iterable[Criterion], more: JsonObject) -> JsonObject:
    """Return the parameters of a step that holds the gate of a phase.

    Args:
        more: `model`, `streams`, `credential` of the verification streams; `fingerprint` that must
            be loaded; `switches`, the planned gatewayEnabled and proxyEnabled; `baseline`, the
            file of the old path's times, "" for none.
    """
    return {"phase": phase, "criteria": {one.id: to_json(one) for one in criteria}, **more}


def hold(step: Step, context: Context) -> JsonObject:
    """Hold the gate of a step and return its facts.

    What was measured stays with the run: a run that goes on later goes on with that evidence.
    """
    from cco_migrate.gates.holding import hold_gate  # noqa: PLC0415  # other kinds need it not

    phase = step.params["phase"]
    try:
        judged = hold_gate(_order(step, context), context.world, context.waiting)
    except (InvalidInput, LockHeld, OSError) as error:
        return {"phase": phase, "unmeasured": str(error)}
    rows = [
        {
            "id": row.ruling.criterion.id,
            "verdict": row.ruling.verdict.value,
            "enforced": row.ruling.enforced,
            "summary": row.text,
            "facts": row.ruling.judgement().facts,
        }
        for row in judged.rows
    ]
    return {
        "phase": phase,
        "gate": judged.verdict.value,
        "said": judged.summary,
        "approvals": str(approvals_path(context)),
        "criteria": rows,
    }


HELD: Mapping[str, Check] = {USES: GateHeld(hold)}
"""The check that holds gates, as a run has it."""


def approvals_path(context: Context) -> Path:
    """Return where a run looks for what people say of criteria; it need not be there.

    That is its own file where somebody made one, else that of the state root: what `approve` writes
    unless another file is named.
    """
    from cco_migrate.gates.approvals import FILENAME  # noqa: PLC0415  # as above

    own = context.run_dir / FILENAME
    return own if own.exists() else context.instance.migrate_dir / FILENAME


def _order(step: Step, context: Context) -> Order:
    from cco_migrate.gates.order import GateOptions, make_order  # noqa: PLC0415  # as above

    params: Mapping[str, JsonObject] = step.params
    instance, files = context.instance, context.world.files
    known = files.read_if_there(instance.config) is not None
    said = approvals_path(context)
    options = GateOptions(
        url=instance.url,
        phase=step.params["phase"],
        config=str(instance.config) if known else "",
        fingerprint="" if known else step.params["fingerprint"],
        key=step.params["credential"],
        model=step.params["model"],
        streams=step.params["streams"],
        evidence=str(context.run_dir / f"gate-{step.params['phase']}.jsonl"),
        baseline=step.params["baseline"],
        approvals=str(said) if files.read_if_there(said) is not None else "",
        home=str(instance.home),
    )
    gateway, proxy = step.params["switches"]
    criteria = tuple(from_json(name, row) for name, row in params["criteria"].items())
    return replace(make_order(options, files), criteria=criteria, switches=(gateway, proxy))
