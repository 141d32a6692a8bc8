"""The gates of the gateway cutover as steps of its plans: which criteria count in which. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cco_migrate.checks.daemon_record import Switches
from cco_migrate.checks.held_gate import USES as GATE
from cco_migrate.gates.phases import criteria_of
from cco_migrate.judge.criterion import Criterion, Mode
from cco_migrate.migrations.held_gate import gate_terms
from cco_migrate.migrations.inputs import Inputs
from cco_migrate.model import Step

VALIDATION, SOFT, HARD = 1, 2, 3
"""The phases of the cutover."""

_PROVED_AT_ONCE = frozenset({"start-failures", "sole-route", "daemon-record"})
# The hard cutover holds its gate before it removes anything. What phase 2 has shown over its days
# is not asked again; what days of traffic without the old path show can only be asked afterwards.
_AFTERWARDS = frozenset(
    {"streaming-failures", "error-rate", "availability", "latency-ratio", "latency-average",
     "audit-gaps", "overrides-applied", "proxy-removed"}
)  # fmt: skip


def gate_step(
    number: int, step_id: str, phase: int, inputs: Inputs, fingerprint: str, wanted: Switches
) -> Step:
    """Return the step that holds the gate of a phase.

    Args:
        fingerprint: Of the configuration that must be loaded.
        wanted: The switches as planned.
    """
    cutover = inputs.cutover
    more: dict[str, Any] = {  # Any: JSON
        "model": cutover.model,
        "streams": cutover.streams,
        "credential": inputs.verification.credential,
        "fingerprint": fingerprint,
        "switches": [wanted.gateway, wanted.proxy],
        "baseline": cutover.baseline if phase == SOFT else "",
    }
    if phase == SOFT:
        more["on_no_go"] = cutover.on_no_go
    criteria = tuple(_asked(one, phase, inputs) for one in criteria_of(phase, {}, carried=True))
    terms = gate_terms(phase, criteria, more)
    return Step(number, step_id, f"gate of phase {phase}", GATE, terms)


def _asked(found: Criterion, phase: int, inputs: Inputs) -> Criterion:
    """Return a criterion as this plan asks it: observed where it contradicts what was asked for.

    A warm standby is another way on purpose; a demo has neither days of traffic nor people.
    """
    at_once = _PROVED_AT_ONCE.union(one.id for one in criteria_of(VALIDATION, {}, carried=True))
    standby = inputs.cutover.standby and found.id == "sole-route"
    later = phase == HARD and found.id in _AFTERWARDS
    if standby or later or (inputs.instance.demo and found.id not in at_once):
        return replace(found, mode=Mode.OBSERVE)
    return found
