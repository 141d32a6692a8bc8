"""Turning on model overrides on one gateway, in the twelve documented steps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from cco_migrate import config, lint
from cco_migrate.config import ConfigName
from cco_migrate.editing import edits
from cco_migrate.editing.changes import apply_edits
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations.inputs import Inputs
from cco_migrate.model import Change, JsonObject, Plan, Step
from cco_migrate.soak.terms import USES as SOAK

ENABLED = ("overrides", "enabled")
RULES = ("overrides", "rules")


def plan(inputs: Inputs) -> Plan:
    """Return the plan.

    Raises:
        InvalidInput: There is no file, or it cannot be edited safely (EditRefused).
    """
    path = inputs.instance.config
    before = inputs.files[ConfigName.OVERRIDES]
    if before is None:
        raise InvalidInput(f"{path} does not exist", next_command=f"git checkout -- {path}")
    fix = fix_edits(inputs) if inputs.fix else ()
    fixed = apply_edits(before, path, fix)
    enable: tuple[JsonObject, ...] = ({"op": "set", "key": list(ENABLED), "value": True},)
    after = apply_edits(fixed, path, enable)
    changes = []
    if fix:
        diff = edits.unified_diff(before, fixed, path.name)
        changes.append(Change(str(path), diff, "fix: dashed twins of dotted ids"))
    if after != fixed:
        changes.append(
            Change(str(path), edits.unified_diff(fixed, after, path.name), "enable overrides")
        )
    old, new = (_overrides(data, inputs) for data in (before, after))
    marks = [config.fingerprint({**inputs.files, ConfigName.OVERRIDES: d}) for d in (before, after)]
    return Plan(
        kind="model-overrides",
        instance=inputs.instance,
        steps=_steps(inputs, fix, enable, new, marks[1]),
        way_back=_way_back(old),
        changes=tuple(changes),
        fingerprint_before=marks[0],
        fingerprint_after=marks[1],
        notes=_notes(inputs),
    )


def fix_edits(inputs: Inputs) -> tuple[JsonObject, ...]:
    """Return the edit that adds the dashed twins; empty when no rule needs one."""
    data = inputs.files[ConfigName.OVERRIDES] or b""
    twins = lint.twins(_overrides(data, inputs), inputs.known_models)
    if not twins:
        return ()
    items = [[twin.source, twin.target] for twin in twins]
    after = [twin.after_index for twin in twins]
    return ({"op": "append", "key": list(RULES), "items": items, "after": after},)


def _steps(
    inputs: Inputs,
    fix: Sequence[JsonObject],
    enable: Sequence[JsonObject],
    overrides: config.Overrides,
    fingerprint: str,
) -> tuple[Step, ...]:
    path, directory = str(inputs.instance.config), inputs.instance.config_dir
    files = [path if n is ConfigName.OVERRIDES else str(directory / n.filename) for n in ConfigName]
    rules = [[rule.source, rule.target] for rule in overrides.rules]
    loaded = {"overrides_enabled": True, "override_rules": len(rules), "fingerprint": fingerprint}
    traffic: dict[str, Any] = {**asdict(inputs.verification), "rules": rules}  # Any: JSON
    traffic |= {
        "models": list(inputs.verification.models),
        "log_overrides": overrides.log_overrides,
    }
    edit = {"path": path}
    fixing = (
        [Step(4, "fix", "add dashed twins", "files.edit", {**edit, "edits": list(fix)})]
        if fix
        else []
    )
    return (
        Step(1, "backup", "back up", "files.backup", {"files": files, "siblings": [path]}),
        Step(2, "exists", "configuration exists", "config.exists", edit),
        Step(3, "state", "current state", "config.state", edit),
        *fixing,
        Step(4, "enable", "enable overrides", "files.edit", {**edit, "edits": list(enable)}),
        Step(5, "validate", "validate", "config.valid", edit),
        Step(6, "stop", "stop", "service.keep" if inputs.replace else "service.stop"),
        Step(7, "restart", "restart", "service.replace" if inputs.replace else "service.start"),
        Step(8, "proof", "proof", "config.loaded", loaded),
        Step(9, "traffic", "traffic", "traffic.flows", traffic),
        Step(10, "counts", "statistics", "statistics.agree"),
        Step(11, "cost", "cost", "cost.fell"),
        *_soak(inputs, fingerprint),
        Step(12, "report", "report", "report.write"),
    )


def _soak(inputs: Inputs, fingerprint: str) -> tuple[Step, ...]:
    if inputs.soak is None:
        return ()
    soak = replace(inputs.soak, fingerprint=fingerprint)
    return (Step(12, "soak", "soak", SOAK, soak.to_json()),)


def _way_back(overrides: config.Overrides) -> tuple[Step, ...]:
    loaded = {
        "overrides_enabled": overrides.enabled,
        "override_rules": len(overrides.rules),
        "fingerprint": None,  # that of the files as the undo leaves them
    }
    return (
        Step(0, "back-restart", "restart", "service.converge", loaded),
        Step(0, "back-proof", "proof", "config.loaded", loaded),
        Step(0, "back-clients", "clients", "clients.recovered"),
    )


def _overrides(data: bytes, inputs: Inputs) -> config.Overrides:
    return config.read_overrides(inputs.instance.config, data)


def _notes(inputs: Inputs) -> tuple[str, ...]:
    notes = ["not checked: quality of the target model's answers"]
    if inputs.verification.mode == "watch":
        notes.append("traffic is watched, not sent: the proof waits for a real client")
    if not inputs.replace:
        notes.append(
            "clients see no answer while the gateway stops and starts; the time is measured"
        )
    if inputs.soak is not None:
        notes += map(str, inputs.soak.waivers)
    if inputs.instance.demo:
        notes.append("the demo upstream answers; no real provider, limits or clients are involved")
    return tuple(notes)
