"""Checks on the configuration files: there, in what state, valid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cco_migrate import config, costs, lint
from cco_migrate.client import GatewayClient, NotAGateway, Unreachable
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.model import JsonObject, Step
from cco_migrate.verdict import Finding, Judgement, Severity, Verdict


class ConfigExists:
    """Params: `path`. Also asks git whether the file is tracked and changed."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Look at the file, and at the repository it lies in."""
        path = Path(step.params["path"])
        data = context.world.files.read_if_there(path)
        return {
            "path": str(path),
            "bytes": None if data is None else len(data),
            "writable": context.world.files.writable(path.parent),
            "git": git_state(path),
        }

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when it is there and can be replaced."""
        if facts["bytes"] is None:
            said = f"{facts['path']} does not exist ({facts['git']})"
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        if not facts["writable"]:
            said = f"{Path(facts['path']).parent} is not writable"
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        said = f"{Path(facts['path']).name}, {facts['bytes']} bytes, {facts['git']}"
        return Judgement(step.id, Verdict.GO, said, dict(facts))


class CurrentState:
    """Params: `path`. Shows what the file says and what the gateway runs."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Read the file and ask `/health`."""
        path = Path(step.params["path"])
        overrides = config.read_overrides(path, context.world.files.read(path))
        try:
            running = context.gateway.health().overrides_enabled
        except (Unreachable, NotAGateway) as error:
            return {
                "enabled": overrides.enabled,
                "rules": len(overrides.rules),
                "unmeasured": str(error),
            }
        return {"enabled": overrides.enabled, "rules": len(overrides.rules), "running": running}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO whenever both could be read: this step only shows."""
        said = f"file: enabled = {_toml(facts['enabled'])}, {facts['rules']} rules; "
        if "unmeasured" in facts:
            return Judgement(
                step.id, Verdict.INCONCLUSIVE, said + str(facts["unmeasured"]), dict(facts)
            )
        return Judgement(
            step.id,
            Verdict.GO,
            said + f"running: overrides_enabled {_toml(facts['running'])}",
            dict(facts),
        )


class ConfigValid:
    """Params: `path`. Syntax, schema and rules of every file, as they lie on disk now.

    With `traffic` false the rules are not held against what was asked for: they stay as they were.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Check all files; the rules also against the models that were really asked for."""
        files = context.config_files()
        held = step.params.get("traffic", True)
        observed = observed_models(context.gateway) if held else None
        found = findings(files, Path(step.params["path"]), observed)
        return {
            "files": sum(data is not None for data in files.values()),
            "errors": [str(f) for f in found if f.severity is Severity.ERROR],
            "warnings": [str(f) for f in found if f.severity is Severity.WARNING],
            "fingerprint": config.fingerprint(files),
            "observed": None if observed is None else sum(observed.values()),
        }

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO without errors; warnings are told."""
        if facts["errors"]:
            return Judgement(step.id, Verdict.NO_GO, "; ".join(facts["errors"]), dict(facts))
        said = f"{facts['files']} files: syntax, schema and rules are good"
        said += f"; fingerprint {facts['fingerprint']}"
        if facts["warnings"]:
            count = len(facts["warnings"])
            said += f"; {count} warning{'s' * (count != 1)}"
        return Judgement(step.id, Verdict.GO, said, dict(facts))


def findings(
    files: Mapping[ConfigName, bytes | None],
    overrides_path: Path,
    observed: Mapping[str, int] | None,
) -> tuple[Finding, ...]:
    """Return what is wrong with a set of configuration files; empty when nothing is.

    Args:
        observed: Requests per model that reached the gateway; None when nobody counted.
    """
    found: list[Finding] = []
    known = costs.known_prices(files).ids
    for name, data in files.items():
        overrides = name is ConfigName.OVERRIDES
        path = overrides_path if overrides else overrides_path.parent / name.filename
        if data is None:
            continue
        checked = config.check_file(name, path, data)
        found.extend(checked.findings)
        if name is ConfigName.ORCHESTRA and not checked.errors:
            found.extend(costs.lint_costs(checked.document, path, data))
        if overrides and not checked.errors:
            rules = config.overrides_of(checked.document)
            found.extend(lint.lint_overrides(rules, path, data, known, observed))
    return tuple(found)


def observed_models(gateway: GatewayClient) -> Mapping[str, int] | None:
    """Count the newest 1,000 audited requests by model asked for; None without an audit."""
    try:
        rows: list[Mapping[str, Any]] | None = gateway.audit(limit=1000)  # Any: JSON
    except (Unreachable, NotAGateway):
        return None
    return None if rows is None else Counter(str(row["requested_model"]) for row in rows)


def git_state(path: Path) -> str:
    """Say in a few words what git knows of a file: tracked, changed, its last commit."""
    if not any((folder / ".git").exists() for folder in path.absolute().parents):
        return "not in a git repository"  # without GitPython, which is slow to import and to look
    try:
        import git  # noqa: PLC0415  # 150 ms that `--list` must not pay
    except ImportError:  # what GitPython raises when there is no git command
        return "git is not installed"
    try:
        repository = git.Repo(path.parent, search_parent_directories=True)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        return "not in a git repository"
    with repository:
        try:
            if repository.ignored(str(path)):
                return "ignored by git"
            last = next(repository.iter_commits(paths=str(path), max_count=1), None)
        except (git.GitCommandError, ValueError):
            return "in a git repository without commits"
        if last is None:
            return "not tracked by git"
        if not path.exists():
            again = f"bring it back with: git checkout -- {path}"
            return f"deleted, in git since {last.hexsha[:9]}; {again}"
        changed = repository.is_dirty(path=str(path), untracked_files=False)
        return f"tracked by git, {'changed since' if changed else 'as in'} {last.hexsha[:9]}"


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "unknown"
