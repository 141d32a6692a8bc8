"""Phase 3 of the gateway cutover: the old proxy is taken out of a git repository. Pure.

It ends with a tested branch and merges nothing; the gateway serves on and is not touched. Its gate
is held before anything is removed, for afterwards there is no switch that leads back.
"""

from __future__ import annotations

from dataclasses import replace

from cco_migrate import config
from cco_migrate.checks.daemon_record import Switches
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations.cutover_gate import HARD, gate_step
from cco_migrate.migrations.inputs import Inputs
from cco_migrate.model import Plan, Step
from cco_migrate.removal import planning as removal


def plan(inputs: Inputs, today: Switches) -> Plan:
    """Return the plan of the removal, behind the gate that it has to pass.

    Args:
        today: The switches as the file has them; they stay.

    Raises:
        InvalidInput: Nobody said what is to be removed.
    """
    if inputs.cutover.removing is None:
        raise InvalidInput(f"--phase {HARD} needs --manifest FILE: what is removed, and from where")
    made, mark = removal.plan(inputs.cutover.removing), config.fingerprint(inputs.files)
    before = (
        Step(1, "state", "current state", "switches.state"),
        gate_step(2, "ready", HARD, inputs, mark, today),
    )
    return replace(
        made,
        steps=(*before, *made.steps),
        fingerprint_before=mark,
        fingerprint_after=mark,
        notes=(*made.notes, *_notes(inputs)),
    )


def _notes(inputs: Inputs) -> tuple[str, ...]:
    after = "what only days without the old path can show is observed here; once the branch is "
    notes = [f"{after}merged and deployed, hold the gate: invoke gate --phase {HARD}"]
    if inputs.instance.demo:
        notes.append("demo: people's words are only observed, too")
    return tuple(notes)
