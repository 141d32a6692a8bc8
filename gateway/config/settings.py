"""What configuration files say, as data. Pure, but for keys read from files and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from gateway.cost.tariffs import CostSettings
from gateway.overrides.rollout import Rollout

DEFAULT_PROVIDER = "anthropic"
DEFAULT_BASE_URL = "https://api.anthropic.com"
ANTHROPIC_DOMAIN, OPENAI_DOMAIN = "anthropic.com", "openai.com"
NETWORK_NAMES = (
    ".corp", ".home", ".home.arpa", ".internal", ".intranet", ".lan", ".local", ".localdomain",
    ".localhost", ".svc", ".test",
)  # fmt: skip
"""Ends of host names that no site has: reserved (RFC 6761, RFC 8375, ICANN), or of no top-level
domain there is; the last but one is Kubernetes' within a cluster."""

KEY_HEADERS = frozenset({"authorization", "x-api-key", "api-key"})


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the gateway listens and stops.

    Attributes:
        port: 0 takes a free one; None when no file asks for any.
        names: Names by which browsers may call the gateway, beside `localhost` and `host`.
        workers: 0 is one for each CPU this process may use.
        drain_s: Longest time a stopping worker waits for open answers, seconds.
        linger_s: How long an idle connection stays open while draining, seconds.
        max_body_bytes: Largest request body accepted.
        max_buffered_bytes: What request bodies and buffered answers may take in all, a worker.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    names: tuple[str, ...] = ()
    workers: int = 1
    drain_s: float = 600
    linger_s: float = 5
    max_body_bytes: int = 32 * 1024 * 1024
    max_buffered_bytes: int = 256 * 1024 * 1024


class Credentials(StrEnum):
    """Whose key pays a provider that has none of the gateway's."""

    CLIENT = "client"  # the one the request carries, where it fits
    GATEWAY = "gateway"  # nobody's: what clients carry is never forwarded


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """Where clients are sent.

    Attributes:
        gateway_enabled: False: not here; the gateway's port passes on unchanged what still comes.
        proxy_enabled: Whether the legacy HTTP proxy runs.
        gateway_share: How many of a hundred launches go to the gateway while both are switched on.
    """

    gateway_enabled: bool = True
    proxy_enabled: bool = False
    gateway_share: int = 100

    @property
    def is_canary(self) -> bool:
        """Whether launches are divided between the gateway and the proxy."""
        return self.gateway_enabled and self.proxy_enabled and self.gateway_share < 100


class OnTargetDown(StrEnum):
    """What becomes of an overridden request whose target is in trouble."""

    ORIGINAL = "original"
    FAIL = "fail"


class ReportFormat(StrEnum):
    """The form of the report on overrides in the log."""

    JSON = "json"
    TEXT = "text"
    SILENT = "silent"  # no report


@dataclass(frozen=True, slots=True)
class OverrideSettings:
    """Which models are replaced by which.

    Attributes:
        rules: Pairs (requested model, model sent instead); the first match wins.
        agent_rules: Pairs (agent type, model); they come before the rules.
        log_overrides: Whether each override is logged.
        track_statistics: Whether overrides are counted in the ledger.
        report_format: How the log tells, when a worker ends, what was counted.
        rollout: The part of the traffic that the rules apply to.
    """

    enabled: bool = False
    rules: tuple[tuple[str, str], ...] = ()
    agent_rules: tuple[tuple[str, str], ...] = ()
    log_overrides: bool = True
    track_statistics: bool = True
    report_format: ReportFormat = ReportFormat.JSON
    on_target_down: OnTargetDown = OnTargetDown.ORIGINAL
    rollout: Rollout = field(default_factory=Rollout)


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One upstream.

    Attributes:
        type: A key of `gateway.providers.PROVIDERS`.
        api_key_ref: `env:NAME`, `$NAME`, `NAME` or `file:PATH` (absolute); None when the provider
            needs no key, or is sent the client's credential.
        timeout_s: Longest silence of the provider, before and between bytes, seconds.
        headers: Sent with every request, replacing the client's header of the same name.
        max_retries: Attempts after the first.
        default_model: Asked for when the requested model is another vendor's; None leaves it.
        model_aliases: Pairs (requested model or tier, the provider's own id).
        deployment: Azure's name for a deployed model; None takes the model's name.
        api_version: Azure's; None takes the dialect's default.
        api: Which API is spoken: "chat" or "responses" of OpenAI's, or Ollama's "native".
        stream_usage: Whether chat streams are asked for their usage although the client did not;
            None lets the dialect decide.
        client_keys: Whether it may be sent a client's own key, see `providers.with_key_scope`.
    """

    name: str = DEFAULT_PROVIDER
    type: str = "anthropic"
    base_url: str = DEFAULT_BASE_URL
    api_key_ref: str | None = None
    timeout_s: float = 300
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    enabled: bool = True
    max_retries: int = 2
    default_model: str | None = None
    model_aliases: tuple[tuple[str, str], ...] = ()
    deployment: str | None = None
    api_version: str | None = None
    api: str = "chat"
    stream_usage: bool | None = None
    client_keys: bool = True

    @property
    def has_key(self) -> bool:
        """Whether it is configured to be shown a key of the gateway's, in a header or by itself."""
        names = {name.lower() for name, _ in self.headers}
        return self.api_key_ref is not None or not KEY_HEADERS.isdisjoint(names)

    def is_at(self, domain: str) -> bool:
        """Return whether its host is of a domain."""
        return _is_at(self.base_url, domain)

    def resolve_key(self, environ: Mapping[str, str]) -> str | None:
        """Return the key; None when none is configured.

        Raises:
            LookupError: The reference leads nowhere.
        """
        return None if self.api_key_ref is None else resolve(self.api_key_ref, environ)


@lru_cache(256)  # asked for many a request
def _is_at(base_url: str, domain: str) -> bool:
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    return host == domain or host.endswith(f".{domain}")


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """Which provider serves a request.

    Attributes:
        agent_rules: Pairs (agent type, provider).
        tier_rules: Pairs (model tier, provider).
        patterns: Pairs (regular expression, provider); the first match wins.
        fallback_chain: Providers tried in this order when the chosen one fails.
        subscription_fallback: Whether a subscriber's request may fall back to a provider that is
            paid with a key of the gateway's.
    """

    default_provider: str = DEFAULT_PROVIDER
    agent_rules: tuple[tuple[str, str], ...] = ()
    tier_rules: tuple[tuple[str, str], ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()
    fallback_chain: tuple[str, ...] = ()
    subscription_fallback: bool = False


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Where requests are recorded.

    Attributes:
        enabled: Whether each request leaves an entry; the statistics are kept in any case.
        retention_days: Age at which an entry is deleted.
        log_request_bodies: Whether request bodies are kept, without their secrets.
        log_response_bodies: The same for answers.
    """

    enabled: bool
    db_path: Path
    retention_days: int = 30
    log_request_bodies: bool = False
    log_response_bodies: bool = False


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """The response cache: of each worker, or of all.

    Attributes:
        ttl_s: Age at which an answer is forgotten, seconds.
        max_bytes: What the answers kept may take in all, in the memory of a worker.
        max_answer_bytes: Larger answers are not kept.
        any_temperature: Whether answers to requests without `temperature: 0` are kept, too.
        redis_url: Where all workers keep them: a URL without password, or a reference to one, as
            `env:NAME` or `file:PATH` (absolute). None keeps them in the memory of each worker.
        redis_wait_s: Longest time a request waits for Redis, seconds.
    """

    enabled: bool = False
    ttl_s: float = 3600
    max_bytes: int = 64 * 1024 * 1024
    max_answer_bytes: int = 1024 * 1024
    any_temperature: bool = False
    redis_url: str | None = None
    redis_wait_s: float = 0.05

    def resolve_redis_url(self, environ: Mapping[str, str]) -> str | None:
        """Return the URL, with its password; None when none is configured.

        Raises:
            LookupError: The reference leads nowhere.
        """
        ref = self.redis_url
        if ref is None or not ref.startswith(("env:", "file:")):
            return ref
        return resolve(ref, environ)


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How much may be asked for; None is without limit.

    Attributes:
        concurrent_requests: How many requests may be under way at once.
        tokens_per_minute: Input and output, without what prompt caches gave.
    """

    requests_per_minute: int | None = None
    concurrent_requests: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """One client that may use the gateway.

    Attributes:
        token_sha256: Lower-case hex digest of its token.
        limits: Its own, and where it has none those for everybody.
    """

    name: str
    token_sha256: str = field(repr=False)
    limits: LimitSettings = field(default_factory=LimitSettings)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a worker is told by files.

    Attributes:
        fingerprint: Identifies the bytes that were parsed.
        warnings: One sentence each; for the log and `check-config`.
        agent_models: Pairs (agent type, model) of `llm-router-config.json`; empty unless enabled.
        agent_folders: Where agent definition files are.
        body_projects: The projects whose bodies are kept, where bodies are; empty for all.
        clients: Who may use the gateway; empty means everybody who reaches it.
        limits: For everybody together while there are no clients.
        capabilities: What models accept, by model; each row replaces what the table says of a key.
        models: What the list of models names; empty for what the default provider lists.
        response_annotations: Whether JSON answers get members for provider, latency and cost.
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
    cache: CacheSettings = field(default_factory=CacheSettings)
    costs: CostSettings = field(default_factory=CostSettings)
    agent_models: tuple[tuple[str, str], ...] = ()
    agent_folders: tuple[Path, ...] = ()
    body_projects: tuple[str, ...] = ()
    clients: tuple[ClientSettings, ...] = ()
    credentials: Credentials = Credentials.CLIENT
    limits: LimitSettings = field(default_factory=LimitSettings)
    daemon: DaemonSettings = field(default_factory=DaemonSettings)
    capabilities: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    response_annotations: bool = False


def resolve(ref: str, environ: Mapping[str, str]) -> str:
    """Return the secret that `env:NAME`, `$NAME`, `NAME` or `file:PATH` leads to.

    Raises:
        LookupError: It leads nowhere.
    """
    if ref.startswith("file:"):
        try:
            secret = Path(ref.removeprefix("file:")).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise LookupError(f"{ref} cannot be read") from error
    else:
        secret = environ.get(ref.removeprefix("env:").removeprefix("$"), "").strip()
    if not secret:
        raise LookupError(f"{ref} is empty or not set")
    if not (secret.isascii() and secret.isprintable()):
        raise LookupError(f"{ref} holds characters no key has")
    return secret
