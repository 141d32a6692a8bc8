"""What is looked at before anything is touched: files, gateway, traffic, a trial start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from cco_migrate import config, costs
from cco_migrate.checks.configuration import (
    findings,
    git_state,
    observed_models,
)
from cco_migrate.checks.sending import resolve_credential
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.drivers import driver_of
from cco_migrate.editing.changes import apply_edits
from cco_migrate.errors import InvalidInput, StalePlan, ToolkitError
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.model_overrides import fix_edits
from cco_migrate.model import Plan
from cco_migrate.planning import trial
from cco_migrate.verdict import Finding, Severity

MAX_PRICE_AGE_DAYS = 90


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


def check_files(inputs: Inputs, context: Context) -> list[Line]:
    """Look at the configuration files as they are, and as they will be with the fixes asked for."""
    path = inputs.instance.config
    if inputs.files[ConfigName.OVERRIDES] is None:
        state = git_state(path) if path.parent.is_dir() else "its directory does not exist either"
        return [
            Line(
                Mark.FAIL,
                f"{path}: the file does not exist ({state}); give its place with --config",
            )
        ]
    if not context.world.files.writable(path.parent):
        text = f"{path.parent}: the directory is not writable for this user"
        return [Line(Mark.FAIL, f"{text}; run as its owner")]
    observed = observed_models(context.gateway)
    now = findings(inputs.files, path, observed)
    if any(f.severity is Severity.ERROR and not f.rule.startswith("override-") for f in now):
        return [_line(f) for f in now if f.severity is Severity.ERROR]
    remaining = {_identity(f) for f in findings(_fixed_files(inputs), path, observed)}
    told: dict[str, Line] = {}
    for finding in now:
        fixed = inputs.fix and _identity(finding) not in remaining
        line = _line(finding, fixed=fixed)
        if line.mark is not Mark.NOT_APPLICABLE:  # one line a value: the first says most
            told.setdefault(f"{finding.line} {finding.key}", line)
    return list(told.values())


def check_traffic(plan: Plan, inputs: Inputs, context: Context) -> list[Line]:
    """Say what the rules would have done with the traffic that was recorded."""
    observed = observed_models(context.gateway)
    if observed is None:
        return [Line(Mark.NOT_APPLICABLE, "recorded traffic: this gateway keeps no audit")]
    total = sum(observed.values())
    if not total:
        return [
            Line(
                Mark.WARN,
                "no request was recorded yet: whether a rule matches real traffic is unknown",
            )
        ]
    before, after = (
        _matched(files, observed, inputs) for files in (inputs.files, _fixed_files(inputs))
    )
    text = f"{total} recorded requests: {after} match a rule"
    if after != before:
        text += f" with the fix, {before} without"
    lines = [Line(Mark.OK, text)]
    if plan.instance.demo:
        lines.append(
            Line(
                Mark.NOT_APPLICABLE,
                "rate limits and capabilities of the target: the demo upstream has none",
            )
        )
    return lines


def check_gateway(plan: Plan, inputs: Inputs, context: Context) -> list[Line]:
    """Is it our gateway that answers, and has it loaded what the files say?"""
    driver, url = driver_of(context), inputs.instance.url
    found = driver.find()
    try:
        health, workers = context.gateway.health(), context.gateway.workers()
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


def check_trial_start(plan: Plan, inputs: Inputs, context: Context) -> list[Line]:
    """Start a second gateway with the new files on a private port, and see that it loads them."""
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
        health = trial.health_with(planned_files(plan, inputs), context)
    except ToolkitError as error:
        return [Line(Mark.FAIL, f"trial start with the new files failed: {error}")]
    if health.fingerprint != plan.fingerprint_after or health.overrides_enabled is not True:
        text = f"it loaded {health.fingerprint}, {plan.fingerprint_after} was planned"
        return [Line(Mark.FAIL, f"trial start with the new files failed: {text}")]
    seconds = context.world.clock.monotonic() - begun
    text = f"trial start with the new files: loads {plan.fingerprint_after} ({seconds:.1f} s)"
    if ended:
        text += "; ended the one that a killed command had left"
    return [Line(Mark.OK, text)]


def check_verification(plan: Plan, inputs: Inputs) -> list[Line]:
    """Can the change be proved: are statistics kept, can the verification requests be sent?"""
    verify, data = inputs.verification, planned_files(plan, inputs)[ConfigName.OVERRIDES] or b""
    if not config.read_overrides(inputs.instance.config, data).track_statistics:
        text = (
            f"{inputs.instance.config.name}: analytics.track_statistics = false: nothing would be"
        )
        return [Line(Mark.FAIL, f"{text} counted, and the change could not be proved; write true")]
    if verify.mode == "watch":
        return [Line(Mark.OK, f"verification: watch real clients for up to {verify.watch_s:.0f} s")]
    if not verify.models:
        return [Line(Mark.FAIL, "no rule names a known model to verify with; use --traffic watch")]
    try:
        resolve_credential(verify.credential)
    except InvalidInput as error:
        return [Line(Mark.FAIL, f"{error}; or --traffic watch to wait for real clients")]
    paid = "" if inputs.instance.demo else "; they are billed to the key given"
    return [
        Line(
            Mark.OK,
            f"verification: {len(verify.models)} requests, {verify.streamed} streamed{paid}",
        )
    ]


def check_prices(inputs: Inputs, today: date) -> list[Line]:
    """Say when the price table is so old that costs may be wrong; nothing otherwise."""
    table = costs.known_prices(inputs.files)
    age_days = table.age_days(today)
    if age_days <= MAX_PRICE_AGE_DAYS:
        return []
    text = f"the prices are of {table.as_of}, {age_days} days old, and costs may be wrong"
    return [
        Line(Mark.WARN, f"{text}; install a newer version, or write costTracking.pricingOverrides")
    ]


def planned_files(plan: Plan, inputs: Inputs) -> dict[ConfigName, bytes | None]:
    """Return the files as the plan will leave them."""
    data = inputs.files[ConfigName.OVERRIDES] or b""
    for step in plan.steps:
        if step.uses == "files.edit":
            data = apply_edits(data, inputs.instance.config, step.params["edits"])
    return {**inputs.files, ConfigName.OVERRIDES: data}


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
    raise InvalidInput(message, next_command=first.next_command or None)


def _not_running(found: str | None, inputs: Inputs) -> Line:
    if found is None:
        text = (
            f"{inputs.instance.url}: no gateway runs here; start it, to have a state to go back to"
        )
        return Line(Mark.FAIL, text, next_command="invoke gateway.start")
    return Line(
        Mark.FAIL, f"{inputs.instance.url} does not answer though {found} runs; is the URL right?"
    )


def _fixed_files(inputs: Inputs) -> dict[ConfigName, bytes | None]:
    data = inputs.files[ConfigName.OVERRIDES]
    if data is not None and inputs.fix:
        data = apply_edits(data, inputs.instance.config, fix_edits(inputs))
    return {**inputs.files, ConfigName.OVERRIDES: data}


def _matched(
    files: Mapping[ConfigName, bytes | None], observed: Mapping[str, int], inputs: Inputs
) -> int:
    data = files[ConfigName.OVERRIDES] or b""
    overrides = config.read_overrides(inputs.instance.config, data)
    sources = {rule.source for rule in overrides.rules}
    return sum(count for model, count in observed.items() if model in sources)


def _line(finding: Finding, *, fixed: bool = False) -> Line:
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


def _identity(finding: Finding) -> tuple[str, str]:
    return finding.rule, finding.found
