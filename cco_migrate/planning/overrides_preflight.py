"""What turning on model overrides looks at: files, rules, recorded traffic, how it is proved."""

from __future__ import annotations

from collections.abc import Mapping

from cco_migrate import config
from cco_migrate.checks.configuration import findings, git_state, observed_models
from cco_migrate.checks.sending import resolve_credential
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.editing.changes import apply_edits
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.model_overrides import fix_edits
from cco_migrate.model import Plan
from cco_migrate.planning.preflight import Line, Mark, line_of, planned_files
from cco_migrate.verdict import Finding, Severity


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
        return [line_of(f) for f in now if f.severity is Severity.ERROR]
    remaining = {_identity(f) for f in findings(_fixed_files(inputs), path, observed)}
    told: dict[str, Line] = {}
    for finding in now:
        fixed = inputs.fix and _identity(finding) not in remaining
        line = line_of(finding, fixed=fixed)
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


def _identity(finding: Finding) -> tuple[str, str]:
    return finding.rule, finding.found
