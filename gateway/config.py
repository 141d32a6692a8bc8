"""Read a gateway's configuration folder into settings; reads files once, changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.documents import KINDS, ConfigName, Document, check, fingerprint
from gateway.errors import ConfigError
from gateway.provider_config import (
    SUPPORTED_TYPES,
    parse_providers,
    parse_routing,
    without_effect,
)
from gateway.settings import (
    AuditSettings,
    CacheSettings,
    ClientSettings,
    OnTargetDown,
    OverrideSettings,
    ProviderSettings,
    RoutingSettings,
    ServerSettings,
    Settings,
)

__all__ = [
    "NO_EFFECT",
    "SUPPORTED_TYPES",
    "AuditSettings",
    "CacheSettings",
    "ClientSettings",
    "OverrideSettings",
    "ProviderSettings",
    "RoutingSettings",
    "ServerSettings",
    "Settings",
    "load",
]


def load(config_dir: Path, home: Path) -> Settings:
    """Return the settings of a configuration folder. Absent files mean defaults.

    Args:
        config_dir: Folder of the files.
        home: State root; relative paths in the files resolve against it.

    Raises:
        ConfigError: A file cannot be read, parsed or used.
    """
    home = home.absolute()
    files = {name: _read(config_dir / kind.file) for name, kind in KINDS.items()}
    documents: dict[ConfigName, Document] = {}
    warnings: list[str] = []
    for name, data in files.items():
        path = config_dir / KINDS[name].file
        documents[name], found = ({}, ()) if data is None else check(name, path, data)
        warnings += found
        warnings += (f"{path}: {text}" for text in _without_effect(name, documents[name]))
        warnings += (f"{path}: {text}" for text in _switched_off(name, documents[name]))
    orchestra = config_dir / KINDS[ConfigName.ORCHESTRA].file
    gateway = documents[ConfigName.ORCHESTRA].get("llmGateway", {})
    own, router = documents[ConfigName.GATEWAY], documents[ConfigName.ROUTER]
    providers = parse_providers(orchestra, gateway.get("providers", {}), home)
    routing = gateway.get("routing", {})
    rules = parse_routing(orchestra, routing, providers, own.get("fallback", {}))
    warnings += (f"{orchestra}: {text}" for text in without_effect(routing, providers, rules))
    return Settings(
        home=home,
        config_dir=config_dir,
        fingerprint=fingerprint(files),
        warnings=tuple(warnings),
        server=ServerSettings(**own.get("server", {})),
        overrides=_overrides(documents[ConfigName.OVERRIDES], own),
        providers=providers,
        routing=rules,
        audit=_audit(gateway.get("audit", {}), home),
        cache=CacheSettings(**own.get("cache", {})),
        agent_models=_agent_models(router),
        agent_folders=_folders(own.get("agents", {}), home),
        clients=_clients(config_dir / KINDS[ConfigName.GATEWAY].file, own.get("clients", ())),
    )


# Keys the schemas know and this version does not act on, with the value that changes nothing
# (None: any value asks for something). One that is set to something else is reported.
NO_EFFECT: Mapping[ConfigName, Mapping[tuple[str, ...], object]] = {
    ConfigName.OVERRIDES: {
        ("analytics", "report_format"): "json",
        ("per_model_rules",): {},
    },
    ConfigName.DAEMON: {("gatewayEnabled",): True, ("proxyEnabled",): False},
    ConfigName.ORCHESTRA: {
        ("llmGateway", "costTracking", "enabled"): True,
        ("llmGateway", "costTracking", "pricingOverrides"): {},
    },
    ConfigName.ROUTER: {},
    ConfigName.GATEWAY: {},
}


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(path, f"cannot be read: {error.strerror}") from error


def _without_effect(name: ConfigName, document: Document) -> Iterator[str]:
    for pattern, inert in NO_EFFECT[name].items():
        for key, value in _select(document, pattern, ()):
            if inert is None or value != inert:
                yield f"{'.'.join(key)}: has no effect in this version"


def _switched_off(name: ConfigName, document: Document) -> Iterator[str]:
    """Return one sentence for each table whose switch, elsewhere in the file, is off."""
    if name is ConfigName.OVERRIDES and document.get("agent_rules") and "overrides" not in document:
        yield "agent_rules: has no effect without a table [overrides]"
    enabled = document.get("enable_agent_override", False)
    if name is ConfigName.ROUTER and document.get("agent_model_overrides") and not enabled:
        yield "agent_model_overrides: has no effect, enable_agent_override is false"


def _select(
    value: Any,  # Any: part of a parsed document
    pattern: tuple[str, ...],
    key: tuple[str, ...],
) -> Iterator[tuple[tuple[str, ...], object]]:
    if not pattern:
        yield key, value
    elif isinstance(value, dict):
        for name in value if pattern[0] == "*" else {pattern[0]} & value.keys():
            yield from _select(value[name], pattern[1:], (*key, name))


def _overrides(document: Document, own: Document) -> OverrideSettings:
    table, analytics = document.get("overrides", {}), document.get("analytics", {})
    rollout = own.get("overrides_rollout", {})
    return OverrideSettings(
        enabled=table.get("enabled", "overrides" in document),
        rules=tuple((source, target) for source, target in table.get("rules", ())),
        agent_rules=tuple(document.get("agent_rules", {}).items()),
        log_overrides=analytics.get("log_overrides", True),
        track_statistics=analytics.get("track_statistics", True),
        on_target_down=OnTargetDown(rollout.get("on_target_down", "original")),
    )


def _agent_models(document: Document) -> tuple[tuple[str, str], ...]:
    if not document.get("enable_agent_override", False):
        return ()
    return tuple(document.get("agent_model_overrides", {}).items())


def _folders(table: Document, home: Path) -> tuple[Path, ...]:
    return tuple(home / Path(folder).expanduser() for folder in table.get("directories", ()))


def _clients(path: Path, entries: Sequence[Document]) -> tuple[ClientSettings, ...]:
    found = tuple(ClientSettings(entry["name"], entry["token_sha256"]) for entry in entries)
    for what in ("name", "token_sha256"):
        values = [getattr(client, what) for client in found]
        if len(set(values)) != len(values):
            raise ConfigError(path, f"two clients have the same {what}", key="clients")
    return found


def _audit(table: Document, home: Path) -> AuditSettings:
    path = Path(table.get("dbPath", "ledger.db")).expanduser()
    return AuditSettings(
        enabled=table.get("enabled", True),
        db_path=home / path,
        retention_days=table.get("retentionDays", 30),
        log_request_bodies=table.get("logRequestBodies", False),
        log_response_bodies=table.get("logResponseBodies", False),
    )
