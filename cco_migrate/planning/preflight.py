"""What every kind of migration looks at before anything is touched: the gateway, a trial start."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.drivers import driver_of
from cco_migrate.editing.changes import apply_edits
from cco_migrate.errors import InvalidInput, StalePlan, ToolkitError
from cco_migrate.migrations import Inputs
from cco_migrate.model import Instance, Plan
from cco_migrate.planning import trial
from cco_migrate.steps.creation import EMPTY
from cco_migrate.verdict import Finding, Severity


class Mark(StrEnum):
    """How one line of the preflight ended."""

    OK = "ok"
    FIX = "FIX"  # would be wrong, and --fix puts it right
    WARN = "warn"
    FAIL = "FAIL"
    NOT_APPLICABLE = "n/a"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the preflight.

    Attributes:
        code: Exit code of a FAIL: 8 for wrong input, 9 for drift.
        next_command: What to type next; "" when the text says it.
    """

    mark: Mark
    text: str
    code: int = 8
    next_command: str = ""


Seen = tuple[str, Line]
"""A line of the preflight, and the id of the step it is about."""


def failed(seen: Sequence[Seen]) -> bool:
    """Return whether a check failed."""
    return any(line.mark is Mark.FAIL for _, line in seen)


def check_gateway(plan: Plan, inputs: Inputs, context: Context) -> list[Line]:
    """Is it our gateway that answers, and has it loaded what the files say?"""
    driver, url = driver_of(context), inputs.instance.url
    found = driver.find()
    try:
        health, workers = context.gateway.health_and_workers()
    except Unreachable:
        return [_not_running(found, inputs)]
    except NotAGateway as error:
        return [
            Line(Mark.FAIL, f"{url}: a stranger has this port: {error}; nothing of it was touched")
        ]
    if found is None:
        text = f"{url} answers, but {inputs.instance.home}/daemon.pid names no gateway that runs"
        return [
            Line(Mark.FAIL, f"{text}; use --driver command, or name its state root with --home")
        ]
    if health.status != "ok":
        return [Line(Mark.FAIL, f"{url}/health says {health.status!r}: wait until it serves")]
    if health.fingerprint is None:
        return [
            Line(
                Mark.WARN,
                f"gateway {url}: gives no fingerprint; what it has loaded is assumed from /health",
            )
        ]
    loaded = {w.fingerprint for w in workers.serving} if workers else {health.fingerprint}
    if loaded != {plan.fingerprint_before}:
        text = (
            f"gateway {url} has loaded {', '.join(sorted(loaded))}, "
            f"the files give {plan.fingerprint_before}: "
            "somebody edited them since; a restart would bring those edits in too"
        )
        return [Line(Mark.FAIL, text, code=9, next_command="invoke gateway.reload")]
    count = len(workers.serving) if workers else 1
    workers_text = f"{count} worker{'s' * (count != 1)}"
    text = f"gateway {url}, {workers_text}, loaded {plan.fingerprint_before} = files"
    return [Line(Mark.OK, text)]


def check_trial_start(
    plan: Plan, inputs: Inputs, context: Context, *, proxy: bool = False
) -> list[Line]:
    """Start a second gateway with the new files on a private port, and see that it loads them.

    Args:
        proxy: Whether the old proxy has to serve beside it.
    """
    if inputs.instance.driver.kind != "process":
        return [
            Line(
                Mark.NOT_APPLICABLE,
                "trial start with the new files: only a bundled gateway can be tried aside",
            )
        ]
    begun = context.world.clock.monotonic()
    try:
        ended = trial.end_abandoned(context)
        health = trial.health_with(planned_files(plan, inputs), context, proxy=proxy)
    except ToolkitError as error:
        return [Line(Mark.FAIL, f"trial start with the new files failed: {error}")]
    enabled = plan.step("proof").params["overrides_enabled"]
    if health.fingerprint != plan.fingerprint_after or health.overrides_enabled is not enabled:
        text = f"it loaded {health.fingerprint}, {plan.fingerprint_after} was planned"
        if health.fingerprint == plan.fingerprint_after:
            text = "/health does not say overrides_enabled: " + str(enabled).lower()
            text += "; a gateway that is switched off by gatewayEnabled overrides nothing"
        return [Line(Mark.FAIL, f"trial start with the new files failed: {text}")]
    seconds = context.world.clock.monotonic() - begun
    text = f"trial start with the new files: loads {plan.fingerprint_after} ({seconds:.1f} s)"
    if ended:
        text += "; ended the one that a killed command had left"
    return [Line(Mark.OK, text)]


def planned_files(plan: Plan, inputs: Inputs) -> dict[ConfigName, bytes | None]:
    """Return the files as the plan will leave them."""
    files = dict(inputs.files)
    for step in plan.steps:
        if step.uses in {"files.edit", "files.edit-or-create"}:
            path = Path(step.params["path"])
            name = _name_of(path, inputs)
            before = files[name]
            files[name] = apply_edits(EMPTY if before is None else before, path,
                                      step.params["edits"])  # fmt: skip
    return files


def line_of(finding: Finding, *, fixed: bool = False) -> Line:
    """Return a fault of a file as a line; `fixed` when the fix that was asked for ends it."""
    marks = {
        Severity.ERROR: Mark.FAIL,
        Severity.WARNING: Mark.WARN,
        Severity.NOTE: Mark.NOT_APPLICABLE,
    }
    where = f"{finding.path.name}:{finding.line}" if finding.line else finding.path.name
    key = f"{finding.key}: " if finding.key else ""
    fix = f"; {finding.fix}" if finding.fix else ""
    return Line(
        Mark.FIX if fixed else marks[finding.severity], f"{where}  {key}{finding.message}{fix}"
    )


def refuse(lines: list[Line]) -> None:
    """Raise for the first FAIL, if any: StalePlan for drift, InvalidInput for all else."""
    failed = [line for line in lines if line.mark is Mark.FAIL]
    if not failed:
        return
    # a fault of the files comes first: reloading them would not help
    first = next((line for line in failed if line.code != StalePlan.code), failed[0])
    message = f"preflight: {len(failed)} of {len(lines)} checks failed: {first.text}"
    if first.code == StalePlan.code:
        raise StalePlan(
            message, state="Nothing was changed.", next_command=first.next_command or None
        )
    again = "mend what it names, then the same command again"
    raise InvalidInput(message, next_command=first.next_command or again)


def _not_running(found: str | None, inputs: Inputs) -> Line:
    if found is None:
        text = (
            f"{inputs.instance.url}: no gateway runs here; start it, to have a state to go back to"
        )
        return Line(Mark.FAIL, text, next_command=_start_command(inputs.instance))
    return Line(
        Mark.FAIL, f"{inputs.instance.url} does not answer though {found} runs; is the URL right?"
    )


def _start_command(instance: Instance) -> str:
    """Return what starts this very gateway: without its options it would be another."""
    driver = instance.driver
    if own := driver.start or driver.restart:
        return own
    if instance.name == "demo":
        return "invoke gateway.start"
    return f"invoke gateway.start --url {instance.url} --config {shlex.quote(str(instance.config))}"


def _name_of(path: Path, inputs: Inputs) -> ConfigName:
    if path == inputs.instance.config:
        return ConfigName.OVERRIDES
    return next(name for name in ConfigName if name.filename == path.name)
