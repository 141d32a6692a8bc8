"""The cutover from the old HTTP proxy to the gateway, phase by phase. Pure.

Phase 1 changes nothing: it validates the gateway beside the proxy. Phase 2 sends every client to
the gateway, by two switches of daemon-config.json, and keeps the way back by the same switches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cco_migrate import config
from cco_migrate.checks.daemon_record import SWITCH_KEYS, Switches
from cco_migrate.checks.held_gate import USES as GATE
from cco_migrate.config import ConfigName
from cco_migrate.editing import edits
from cco_migrate.editing.changes import apply_edits
from cco_migrate.errors import InvalidInput
from cco_migrate.gates.phases import criteria_of
from cco_migrate.judge.criterion import Criterion, Mode
from cco_migrate.migrations.held_gate import gate_terms
from cco_migrate.migrations.inputs import Inputs
from cco_migrate.model import Change, JsonObject, Plan, Step
from cco_migrate.soak.terms import USES as SOAK
from cco_migrate.steps.creation import EMPTY

KIND = "gateway-cutover"
VALIDATION, SOFT = 1, 2

_PROVED_AT_ONCE = frozenset({"start-failures", "sole-route"})


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
            _gate(3, "validated", VALIDATION, inputs, mark, today),
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
    made = _switch_edits(before, path, wanted) if today != wanted else ()
    after = apply_edits(before or EMPTY, path, made) if made else before
    marks = [config.fingerprint({**inputs.files, ConfigName.DAEMON: d}) for d in (before, after)]
    changes: tuple[Change, ...] = ()
    if made:
        diff = edits.unified_diff(before or b"", after or b"", path.name)
        changes = (Change(str(path), diff, "send clients to the gateway"),)
    return Plan(
        kind=KIND,
        instance=inputs.instance,
        steps=_soft_steps(inputs, made, (today, wanted), (marks[0], marks[1])),
        way_back=_way_back(inputs, today),
        changes=changes,
        fingerprint_before=marks[0],
        fingerprint_after=marks[1],
        notes=_notes(inputs),
    )


PHASES: Mapping[int, Callable[[Inputs], Plan]] = {
    VALIDATION: _validation,
    SOFT: _soft,
}
"""What each phase of the cutover plans."""


def _soft_steps(
    inputs: Inputs,
    made: tuple[JsonObject, ...],
    switched: tuple[Switches, Switches],
    marks: tuple[str, str],
) -> tuple[Step, ...]:
    today, wanted = switched
    loaded = {**_overrides(inputs, wanted), "fingerprint": marks[1]}
    valid = {"path": str(inputs.instance.config), "traffic": False}
    validated = () if inputs.cutover.validated else (
        _gate(3, "validated", VALIDATION, inputs, marks[0], today),
    )  # fmt: skip
    return (
        _backup(inputs),
        Step(2, "state", "current state", "switches.state"),
        *validated,
        *_switch(inputs, made),
        Step(5, "validate", "validate", "config.valid", valid),
        Step(6, "stop", "stop", "service.keep" if inputs.replace else "service.stop"),
        Step(7, "restart", "restart", "service.replace" if inputs.replace else "service.start"),
        Step(8, "proof", "proof", "config.loaded", loaded),
        Step(9, "routes", "ports", "switches.in-force", _in_force(wanted)),
        Step(10, "launcher", "launcher", "launcher.leads", {"to": "gateway"}),
        _gate(11, "gate", SOFT, inputs, marks[1], wanted),
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
    if today.gateway or today.proxy:
        to = {"to": "gateway" if today.gateway else "proxy"}
        steps.append(Step(0, "back-launcher", "launcher", "launcher.leads", to))
    return (*steps, Step(0, "back-clients", "clients", "clients.recovered"))


def _gate(
    number: int, step_id: str, phase: int, inputs: Inputs, fingerprint: str, wanted: Switches
) -> Step:
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
    criteria = tuple(_asked(one, inputs) for one in criteria_of(phase, {}, carried=True))
    terms = gate_terms(phase, criteria, more)
    return Step(number, step_id, f"gate of phase {phase}", GATE, terms)


def _asked(found: Criterion, inputs: Inputs) -> Criterion:
    """Return a criterion as this plan asks it: observed where it contradicts what was asked for.

    A warm standby is another way on purpose; a demo has neither days of traffic nor people.
    """
    at_once = _PROVED_AT_ONCE.union(one.id for one in criteria_of(VALIDATION, {}, carried=True))
    standby = inputs.cutover.standby and found.id == "sole-route"
    if standby or (inputs.instance.demo and found.id not in at_once):
        return replace(found, mode=Mode.OBSERVE)
    return found


def _switch_edits(data: bytes | None, path: Path, wanted: Switches) -> tuple[JsonObject, ...]:
    """Return the edits that set both switches, each in the spelling in which the file has it."""
    found: Any = edits.parse(data or EMPTY, edits.Format.JSON, path)  # Any: an object, checked
    values = dict(zip(SWITCH_KEYS, (wanted.gateway, wanted.proxy), strict=True))
    return tuple(
        {"op": "set", "key": [name], "value": values[key]}
        for key, old in SWITCH_KEYS.items()
        for name in ([one for one in (key, old) if one in found] or [key])
    )


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
    if inputs.soak is not None:
        notes += map(str, inputs.soak.waivers)
    if inputs.instance.demo:
        notes.append("the demo upstream answers; no real provider, limits or clients are involved")
    if inputs.instance.demo and cutover.phase == SOFT:
        notes.append("demo: what takes days of real traffic or a person's word is only observed")
    return tuple(notes)


def _path(inputs: Inputs) -> Path:
    return inputs.instance.config_dir / ConfigName.DAEMON.filename
