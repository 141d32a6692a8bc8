"""The cutover from the old HTTP proxy to the gateway, phase by phase. Pure.

Phase 1 changes nothing: it validates the gateway beside the proxy. Phase 2 sends every client to
the gateway, by two switches of daemon-config.json, and keeps the way back by the same switches.
Phase 3 takes the old proxy out of a repository; see `hard_cutover`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from cco_migrate import config
from cco_migrate.checks.daemon_record import WHOLE, Switches
from cco_migrate.checks.held_gate import USES as GATE
from cco_migrate.config import ConfigName
from cco_migrate.editing import edits
from cco_migrate.editing.changes import apply_edits
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations import canary, hard_cutover
from cco_migrate.migrations.cutover_gate import HARD, SOFT, VALIDATION, gate_step
from cco_migrate.migrations.inputs import Inputs
from cco_migrate.migrations.switching import switch_edits
from cco_migrate.model import Change, JsonObject, Plan, Step
from cco_migrate.soak.terms import USES as SOAK
from cco_migrate.steps.creation import EMPTY

__all__ = [
    "HARD", "KIND", "PHASES", "SOFT", "VALIDATION", "phase_of", "plan", "switch_edits", "switches",
]  # fmt: skip

KIND = "gateway-cutover"


def plan(inputs: Inputs) -> Plan:
    """Return the plan of the phase that was asked for.

    Raises:
        InvalidInput: There is no such phase, or a file cannot be read or edited safely.
    """
    phase = inputs.cutover.phase
    if phase not in PHASES:
        there = ", ".join(map(str, PHASES))
        raise InvalidInput(f"--phase {phase}: nothing to migrate in it; there is: {there}")
    return PHASES[phase](inputs)


def phase_of(plan: Plan) -> int:
    """Return which phase a plan of this kind carries out."""
    return max(int(step.params["phase"]) for step in plan.steps if step.uses == GATE)


def switches(inputs: Inputs) -> Switches:
    """Return the switches as the file has them; raises InvalidInput with every fault found."""
    data, path = inputs.files[ConfigName.DAEMON], _path(inputs)
    if data is None:
        return Switches()
    checked = config.check_file(ConfigName.DAEMON, path, data)
    if checked.errors:
        raise InvalidInput(str(checked.errors[0]), findings=checked.errors)
    return Switches.of(checked.document)


def _validation(inputs: Inputs) -> Plan:
    mark = config.fingerprint(inputs.files)
    today = switches(inputs)
    return Plan(
        kind=KIND,
        instance=inputs.instance,
        steps=(
            _backup(inputs),
            Step(2, "state", "current state", "switches.state"),
            gate_step(3, "validated", VALIDATION, inputs, mark, today),
            Step(9, "routes", "ports", "switches.in-force", _in_force(today)),
            *_led(10, "launcher", today),
            Step(12, "report", "report", "report.write"),
        ),
        way_back=(),
        changes=(),
        fingerprint_before=mark,
        fingerprint_after=mark,
        notes=_notes(inputs),
    )


def _soft(inputs: Inputs) -> Plan:
    path, before = _path(inputs), inputs.files[ConfigName.DAEMON]
    today, wanted = switches(inputs), Switches(gateway=True, proxy=inputs.cutover.standby)
    stages = canary.stages(inputs, today, wanted)
    shared = stages[-1].data if stages else before
    made = switch_edits(shared, path, wanted) if today != wanted else ()
    after = apply_edits(shared or EMPTY, path, made) if made else before
    marks = [config.fingerprint({**inputs.files, ConfigName.DAEMON: d}) for d in (before, after)]
    changes = tuple(stage.change for stage in stages)
    if made:
        diff = edits.unified_diff(shared or b"", after or b"", path.name)
        changes += (Change(str(path), diff, "send clients to the gateway"),)
    return Plan(
        kind=KIND,
        instance=inputs.instance,
        steps=_soft_steps(inputs, (stages, made), (today, wanted), (marks[0], marks[1])),
        way_back=_way_back(inputs, today),
        changes=changes,
        fingerprint_before=marks[0],
        fingerprint_after=marks[1],
        notes=_notes(inputs),
    )


def _hard(inputs: Inputs) -> Plan:
    return hard_cutover.plan(inputs, switches(inputs))


PHASES: Mapping[int, Callable[[Inputs], Plan]] = {
    VALIDATION: _validation,
    SOFT: _soft,
    HARD: _hard,
}
"""What each phase of the cutover plans."""


def _soft_steps(
    inputs: Inputs,
    planned: tuple[tuple[canary.Stage, ...], tuple[JsonObject, ...]],
    switched: tuple[Switches, Switches],
    marks: tuple[str, str],
) -> tuple[Step, ...]:
    (stages, made), (today, wanted) = planned, switched
    loaded = {**_overrides(inputs, wanted), "fingerprint": marks[1]}
    valid = {"path": str(inputs.instance.config), "traffic": False}
    validated = () if inputs.cutover.validated else (
        gate_step(3, "validated", VALIDATION, inputs, marks[0], today),
    )  # fmt: skip
    return (
        _backup(inputs),
        Step(2, "state", "current state", "switches.state"),
        *validated,
        *canary.steps(stages, inputs, _overrides(inputs, wanted)),
        *_switch(inputs, made),
        Step(5, "validate", "validate", "config.valid", valid),
        Step(6, "stop", "stop", "service.keep" if inputs.replace else "service.stop"),
        Step(7, "restart", "restart", "service.replace" if inputs.replace else "service.start"),
        Step(8, "proof", "proof", "config.loaded", loaded),
        Step(9, "routes", "ports", "switches.in-force", _in_force(wanted)),
        Step(10, "launcher", "launcher", "launcher.leads", {"to": "gateway"}),
        gate_step(11, "gate", SOFT, inputs, marks[1], wanted),
        *_soak(inputs, marks[1]),
        Step(12, "report", "report", "report.write"),
    )


def _switch(inputs: Inputs, made: tuple[JsonObject, ...]) -> tuple[Step, ...]:
    """Return the edit; none when the switches stand as they should: no file is made for that."""
    if not made:
        return ()
    params = {"path": str(_path(inputs)), "edits": list(made)}
    return (Step(4, "switch", "switch to the gateway", "files.edit-or-create", params),)


def _way_back(inputs: Inputs, today: Switches) -> tuple[Step, ...]:
    # No fingerprint: that of the files as the undo leaves them.
    loaded = {**_overrides(inputs, today), "fingerprint": None}
    steps = [
        Step(0, "back-restart", "restart", "service.converge", loaded),
        Step(0, "back-proof", "proof", "config.loaded", loaded),
        Step(0, "back-routes", "ports", "switches.in-force", _in_force(today)),
    ]
    steps += _led(0, "back-launcher", today)
    return (*steps, Step(0, "back-clients", "clients", "clients.recovered"))


def _led(number: int, step_id: str, today: Switches) -> tuple[Step, ...]:
    """Return the step that launches a client; none where no way is switched on."""
    if today.share != WHOLE:
        divided = {"share": today.share}
        return (Step(number, step_id, "launcher", "launcher.divides", divided),)
    if not (today.gateway or today.proxy):
        return ()
    to = {"to": "gateway" if today.gateway else "proxy"}
    return (Step(number, step_id, "launcher", "launcher.leads", to),)


def _backup(inputs: Inputs) -> Step:
    directory, overrides = inputs.instance.config_dir, inputs.instance.config
    files = [overrides if n is ConfigName.OVERRIDES else directory / n.filename for n in ConfigName]
    beside = [] if inputs.files[ConfigName.DAEMON] is None else [str(_path(inputs))]
    params = {"files": [str(path) for path in files], "siblings": beside}
    return Step(1, "backup", "back up", "files.backup", params)


def _soak(inputs: Inputs, fingerprint: str) -> tuple[Step, ...]:
    if inputs.soak is None:
        return ()
    soak = replace(inputs.soak, fingerprint=fingerprint)
    return (Step(12, "soak", "soak", SOAK, soak.to_json()),)


def _in_force(wanted: Switches) -> JsonObject:
    return {"gateway": wanted.gateway, "proxy": wanted.proxy}


def _overrides(inputs: Inputs, in_force: Switches) -> JsonObject:
    """Return what `/health` says of overrides: a gateway that is switched off overrides nothing."""
    data = inputs.files[ConfigName.OVERRIDES]
    if data is None:
        return {"overrides_enabled": False, "override_rules": 0}
    found = config.read_overrides(inputs.instance.config, data)
    return {
        "overrides_enabled": found.enabled and in_force.gateway,
        "override_rules": len(found.rules),
    }


def _notes(inputs: Inputs) -> tuple[str, ...]:
    cutover, notes = inputs.cutover, []
    if cutover.validated:
        notes.append(f"the gate of phase 1 was GO on these files in run {cutover.validated}")
    if cutover.phase == SOFT and cutover.standby:
        notes.append("the old proxy stays as a warm standby: that is observed, not enforced")
    if cutover.phase == SOFT and not inputs.replace:
        notes.append(
            "clients see no answer while the gateway stops and starts; the time is measured"
        )
    notes += canary.notes(inputs)
    if inputs.soak is not None:
        notes += map(str, inputs.soak.waivers)
    if inputs.instance.demo:
        notes.append("the demo upstream answers; no real provider, limits or clients are involved")
    if inputs.instance.demo and cutover.phase == SOFT:
        notes.append("demo: what takes days of real traffic or a person's word is only observed")
    return tuple(notes)


def _path(inputs: Inputs) -> Path:
    return inputs.instance.config_dir / ConfigName.DAEMON.filename
