"""Read a gateway's configuration folder into settings; reads files once, changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

from gateway import resources
from gateway.config.access import parse_clients, parse_credentials, parse_limits, parse_server
from gateway.config.cache import cache_warnings, parse_cache
from gateway.config.cost import cost_warnings, parse_costs
from gateway.config.daemon import parse_daemon, read
from gateway.config.documents import KINDS, ConfigName, Document, check, fingerprint
from gateway.config.providers import (
    parse_providers,
    parse_routing,
    with_key_scope,
    without_effect,
    without_key,
)
from gateway.config.settings import (
    AuditSettings,
    Credentials,
    OnTargetDown,
    OverrideSettings,
    ReportFormat,
    RoutingSettings,
    Settings,
)
from gateway.overrides.rollout import ApplyTo, Rollout

__all__ = ["Settings", "load"]


def load(config_dir: Path, home: Path, today: date | None = None) -> Settings:
    """Return the settings of a configuration folder. Absent files mean defaults.

    Args:
        config_dir: Folder of the files.
        home: State root; relative paths in the files resolve against it.
        today: Tells how old the price table is; None leaves its age out.

    Raises:
        ConfigError: A file cannot be read, parsed or used.
    """
    home = home.absolute()
    files = {name: read(config_dir / kind.file) for name, kind in KINDS.items()}
    documents, warnings = _check_all(config_dir, files)
    orchestra = config_dir / KINDS[ConfigName.ORCHESTRA].file
    gateway = documents[ConfigName.ORCHESTRA].get("llmGateway", {})
    own, router = documents[ConfigName.GATEWAY], documents[ConfigName.ROUTER]
    own_file = config_dir / KINDS[ConfigName.GATEWAY].file
    warnings += (f"{own_file}: {text}" for text in cache_warnings(own.get("cache", {})))
    limits = parse_limits(own.get("limits", {}))
    providers = parse_providers(orchestra, gateway.get("providers", {}), home)
    routing = gateway.get("routing", {})
    rules = parse_routing(orchestra, routing, providers, own.get("fallback", {}))
    warnings += (f"{orchestra}: {text}" for text in without_effect(routing, providers, rules))
    providers = with_key_scope(providers, rules.default_provider)
    credentials = parse_credentials(own)
    if credentials is Credentials.CLIENT and not own.get("clients"):
        warnings += (f"{orchestra}: {text}" for text in without_key(providers))
    prices = resources.prices()
    costs = parse_costs(orchestra, gateway.get("costTracking", {}), prices)
    warnings += cost_warnings(orchestra, costs, prices, today)
    daemon, found = parse_daemon(config_dir, documents[ConfigName.DAEMON], home)
    warnings += found
    settings = Settings(
        home=home,
        config_dir=config_dir,
        fingerprint=fingerprint(files),
        warnings=tuple(warnings),
        server=parse_server(own_file, own.get("server", {})),
        overrides=_overrides(documents[ConfigName.OVERRIDES], own),
        providers=providers,
        routing=rules,
        audit=_audit(gateway.get("audit", {}), home),
        cache=parse_cache(own_file, own.get("cache", {}), home),
        costs=costs,
        agent_models=_agent_models(router),
        agent_folders=_folders(own.get("agents", {}), home),
        body_projects=tuple(own.get("bodies", {}).get("projects", ())),
        clients=parse_clients(own_file, own.get("clients", ()), limits),
        credentials=credentials,
        limits=limits,
        daemon=daemon,
        capabilities=own.get("capabilities", {}),
        models=tuple(dict.fromkeys(own.get("models", ()))),
        response_annotations=own.get("responseAnnotations", False),
    )
    return settings if daemon.gateway_enabled else _unchanged(settings)


def _check_all(
    config_dir: Path, files: Mapping[ConfigName, bytes | None]
) -> tuple[Mapping[ConfigName, Document], list[str]]:
    """Return every file's document, empty for an absent one, and all warnings."""
    documents: dict[ConfigName, Document] = {}
    warnings: list[str] = []
    for name, data in files.items():
        path = config_dir / KINDS[name].file
        documents[name], found = ({}, ()) if data is None else check(name, path, data)
        warnings += found
        warnings += (f"{path}: {text}" for text in _switched_off(name, documents[name]))
    return documents, warnings


def _unchanged(settings: Settings) -> Settings:
    """Return the settings of a gateway that is switched off: requests pass through as they are.

    Clients that were started before keep its address until their sessions end.
    """
    warning = (
        f"{settings.config_dir}: gatewayEnabled is false, so no client is sent here; what comes "
        "all the same goes to the default provider without overrides, rules and cache"
    )
    return replace(
        settings,
        warnings=(*settings.warnings, warning),
        overrides=replace(settings.overrides, enabled=False),
        routing=RoutingSettings(settings.routing.default_provider),
        cache=replace(settings.cache, enabled=False),
        agent_models=(),
        models=(),
        response_annotations=False,
    )


def _switched_off(name: ConfigName, document: Document) -> Iterator[str]:
    """Return one sentence for each table that changes nothing as the file is."""
    if name is ConfigName.OVERRIDES and document.get("agent_rules") and "overrides" not in document:
        yield "agent_rules: has no effect without a table [overrides]"
    enabled = document.get("enable_agent_override", False)
    if name is ConfigName.ROUTER and document.get("agent_model_overrides") and not enabled:
        yield "agent_model_overrides: has no effect, enable_agent_override is false"
    # Reserved by those who made the file: it never said what may stand in there.
    for model in document.get("per_model_rules", ()) if name is ConfigName.OVERRIDES else ():
        yield f"per_model_rules.{model}: has no effect; write a rule into overrides.rules"


def _overrides(document: Document, own: Document) -> OverrideSettings:
    table, analytics = document.get("overrides", {}), document.get("analytics", {})
    rollout = own.get("overrides_rollout", {})
    return OverrideSettings(
        enabled=table.get("enabled", "overrides" in document),
        rules=tuple((source, target) for source, target in table.get("rules", ())),
        agent_rules=tuple(document.get("agent_rules", {}).items()),
        log_overrides=analytics.get("log_overrides", True),
        track_statistics=analytics.get("track_statistics", True),
        report_format=ReportFormat(analytics.get("report_format", "json")),
        on_target_down=OnTargetDown(rollout.get("on_target_down", "original")),
        rollout=_rollout(rollout),
    )


def _rollout(table: Document) -> Rollout:
    return Rollout(
        apply_to=ApplyTo(table.get("apply_to", "all")),
        percent=table.get("percent", 100),
        holdout_percent=table.get("holdout_percent", 0),
        agents=tuple(table.get("agents", ())),
        projects=tuple(table.get("projects", ())),
        idle_s=table.get("session_idle_s", 3600),
    )


def _agent_models(document: Document) -> tuple[tuple[str, str], ...]:
    if not document.get("enable_agent_override", False):
        return ()
    return tuple(document.get("agent_model_overrides", {}).items())


def _folders(table: Document, home: Path) -> tuple[Path, ...]:
    return tuple(home / Path(folder).expanduser() for folder in table.get("directories", ()))


def _audit(table: Document, home: Path) -> AuditSettings:
    path = Path(table.get("dbPath", "ledger.db")).expanduser()
    return AuditSettings(
        enabled=table.get("enabled", True),
        db_path=home / path,
        retention_days=table.get("retentionDays", 30),
        log_request_bodies=table.get("logRequestBodies", False),
        log_response_bodies=table.get("logResponseBodies", False),
    )
