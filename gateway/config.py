"""Read a gateway's configuration folder into settings; reads files once, changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.documents import KINDS, ConfigName, Document, check, fingerprint
from gateway.errors import ConfigError

DEFAULT_PROVIDER = "anthropic"
DEFAULT_BASE_URL = "https://api.anthropic.com"

SUPPORTED_TYPES = frozenset({"anthropic"})
"""Provider types this version speaks; a test holds them equal to the dialects there are."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the gateway listens and stops.

    Attributes:
        drain_s: Longest time a stopping worker waits for open answers, seconds.
        linger_s: How long an idle connection stays open while draining, seconds.
        max_body_bytes: Largest request body accepted.
    """

    host: str = "127.0.0.1"
    port: int = 3000
    workers: int = 1
    drain_s: float = 600
    linger_s: float = 5
    max_body_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class OverrideSettings:
    """Which models are replaced by which.

    Attributes:
        rules: Pairs (requested model, model sent instead); the first match wins.
        log_overrides: Whether each override is logged.
        track_statistics: Whether overrides are counted in the ledger.
    """

    enabled: bool = False
    rules: tuple[tuple[str, str], ...] = ()
    log_overrides: bool = True
    track_statistics: bool = True


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One upstream.

    Attributes:
        type: Dialect, a key of `gateway.providers.PROVIDERS`.
        api_key_ref: `env:NAME`, `$NAME`, `NAME` or `file:PATH` (absolute); None forwards the
            client's credential.
        timeout_s: Longest silence of the provider, before and between bytes, seconds.
        headers: Sent with every request, replacing the client's header of the same name.
    """

    name: str = DEFAULT_PROVIDER
    type: str = "anthropic"
    base_url: str = DEFAULT_BASE_URL
    api_key_ref: str | None = None
    timeout_s: float = 300
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    enabled: bool = True

    def resolve_key(self, environ: Mapping[str, str]) -> str | None:
        """Return the key; None when none is configured.

        Raises:
            LookupError: The reference leads nowhere.
        """
        ref = self.api_key_ref
        if ref is None:
            return None
        if ref.startswith("file:"):
            try:
                key = Path(ref.removeprefix("file:")).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise LookupError(f"{ref} cannot be read") from error
        else:
            key = environ.get(ref.removeprefix("env:").removeprefix("$"), "").strip()
        if not key:
            raise LookupError(f"{ref} is empty or not set")
        if not (key.isascii() and key.isprintable()):
            raise LookupError(f"{ref} holds characters no key has")
        return key


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """Which provider serves a request."""

    default_provider: str = DEFAULT_PROVIDER


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Where requests are recorded.

    Attributes:
        enabled: Whether each request leaves an entry; the statistics are kept in any case.
    """

    enabled: bool
    db_path: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a worker is told by files.

    Attributes:
        fingerprint: Identifies the bytes that were parsed.
        warnings: One sentence each; for the log and `check-config`.
    """

    home: Path
    config_dir: Path
    fingerprint: str
    warnings: tuple[str, ...]
    server: ServerSettings
    overrides: OverrideSettings
    providers: tuple[ProviderSettings, ...]
    routing: RoutingSettings
    audit: AuditSettings


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
    orchestra = config_dir / KINDS[ConfigName.ORCHESTRA].file
    gateway = documents[ConfigName.ORCHESTRA].get("llmGateway", {})
    providers = _providers(orchestra, gateway.get("providers", {}), home)
    routing = _routing(orchestra, gateway.get("routing", {}), providers)
    warnings += (f"{orchestra}: {text}" for text in _unused(providers, routing.default_provider))
    return Settings(
        home=home,
        config_dir=config_dir,
        fingerprint=fingerprint(files),
        warnings=tuple(warnings),
        server=ServerSettings(**documents[ConfigName.GATEWAY].get("server", {})),
        overrides=_overrides(documents[ConfigName.OVERRIDES]),
        providers=providers,
        routing=routing,
        audit=_audit(gateway.get("audit", {}), home),
    )


# Keys the schemas know and this version does not act on, with the value that changes nothing
# (None: any value asks for something). One that is set to something else is reported.
NO_EFFECT: Mapping[ConfigName, Mapping[tuple[str, ...], object]] = {
    ConfigName.OVERRIDES: {
        ("analytics", "report_format"): "json",
        ("per_model_rules",): {},
        ("agent_rules",): {},
    },
    ConfigName.DAEMON: {("gatewayEnabled",): True, ("proxyEnabled",): False},
    ConfigName.ORCHESTRA: {
        ("llmGateway", "providers", "*", "defaultModel"): None,
        ("llmGateway", "providers", "*", "modelAliases"): {},
        ("llmGateway", "providers", "*", "maxRetries"): 0,
        ("llmGateway", "providers", "*", "deployment"): None,
        ("llmGateway", "providers", "*", "apiVersion"): None,
        ("llmGateway", "providers", "*", "api"): None,
        ("llmGateway", "routing", "agentRules"): {},
        ("llmGateway", "routing", "modelTierRules"): {},
        ("llmGateway", "routing", "modelPatterns"): [],
        ("llmGateway", "routing", "fallbackChain"): [],
        ("llmGateway", "costTracking", "enabled"): True,
        ("llmGateway", "costTracking", "pricingOverrides"): {},
        ("llmGateway", "audit", "logRequestBodies"): False,
        ("llmGateway", "audit", "logResponseBodies"): False,
        ("llmGateway", "audit", "retentionDays"): None,
    },
    ConfigName.ROUTER: {("agent_model_overrides",): {}, ("enable_agent_override",): False},
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


def _overrides(document: Document) -> OverrideSettings:
    table, analytics = document.get("overrides", {}), document.get("analytics", {})
    return OverrideSettings(
        enabled=table.get("enabled", "overrides" in document),
        rules=tuple((source, target) for source, target in table.get("rules", ())),
        log_overrides=analytics.get("log_overrides", True),
        track_statistics=analytics.get("track_statistics", True),
    )


def _providers(path: Path, table: Document, home: Path) -> tuple[ProviderSettings, ...]:
    if not table:
        return (ProviderSettings(),)
    return tuple(_provider(path, name, entry, home) for name, entry in table.items())


def _provider(path: Path, name: str, entry: Document, home: Path) -> ProviderSettings:
    key = f"llmGateway.providers.{name}"
    base_url: str = entry["baseUrl"]
    _check_url(path, f"{key}.baseUrl", base_url)
    ref: str = entry.get("apiKeyRef", "")
    if ref.startswith("file:"):
        ref = f"file:{home / Path(ref.removeprefix('file:')).expanduser()}"
    headers = tuple(sorted(entry.get("headers", {}).items()))
    for header, value in headers:
        if not (f"{header}{value}".isascii() and f"{header}{value}".isprintable() and header):
            raise ConfigError(path, "is not a header", key=f"{key}.headers.{header}")
    return ProviderSettings(
        name=name,
        type=entry["providerType"],
        base_url=base_url,
        api_key_ref=ref or None,
        timeout_s=entry.get("timeoutSecs", 300),
        headers=headers,
        enabled=entry.get("enabled", True),
    )


def _check_url(path: Path, key: str, url: str) -> None:
    fix = "write http://HOST[:PORT] or https://HOST[:PORT]"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise ConfigError(path, f"{url!r} is not a URL: {error}", key=key, fix=fix) from error
    if not usable or parts.query or parts.fragment or parts.username is not None:
        # The value itself stays out of the message: a user name in it comes with a password.
        raise ConfigError(path, "is not a plain base URL", key=key, fix=fix)


def _routing(
    path: Path, table: Document, providers: tuple[ProviderSettings, ...]
) -> RoutingSettings:
    key = "llmGateway.routing.defaultProvider"
    by_name = {provider.name: provider for provider in providers}
    name = table.get("defaultProvider")
    if name is None:
        name = DEFAULT_PROVIDER if len(by_name) > 1 else next(iter(by_name))
    if name not in by_name:
        choices = ", ".join(sorted(by_name))
        raise ConfigError(path, f'names "{name}", which is not configured', key=key, fix=choices)
    if not by_name[name].enabled:
        raise ConfigError(path, f'names "{name}", which is disabled', key=key, fix="enable it")
    kind = by_name[name].type
    if kind not in SUPPORTED_TYPES:
        problem = f'names "{name}", whose type "{kind}" this version does not speak'
        raise ConfigError(path, problem, key=key, fix=", ".join(sorted(SUPPORTED_TYPES)))
    return RoutingSettings(name)


def _unused(providers: tuple[ProviderSettings, ...], default: str) -> Iterator[str]:
    for provider in providers:
        if provider.enabled and provider.name != default:
            key = f"llmGateway.providers.{provider.name}"
            yield f"{key}: gets no requests in this version, only the default provider does"


def _audit(table: Document, home: Path) -> AuditSettings:
    path = Path(table.get("dbPath", "ledger.db")).expanduser()
    return AuditSettings(enabled=table.get("enabled", True), db_path=home / path)
