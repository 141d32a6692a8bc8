"""Turn the checked section `llmGateway` into providers and routing. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from gateway.config.documents import Document
from gateway.config.settings import (
    ANTHROPIC_DOMAIN,
    DEFAULT_PROVIDER,
    NETWORK_NAMES,
    OPENAI_DOMAIN,
    ProviderSettings,
    RoutingSettings,
)
from gateway.errors import ConfigError

SUPPORTED_TYPES = frozenset(
    {"anthropic", "openai", "azure", "deepseek", "ollama", "vllm", "tgi", "localai"}
)
"""Provider types this version speaks; a test holds them equal to the dialects there are."""

APIS: Mapping[str, frozenset[str]] = {
    "chat": SUPPORTED_TYPES,
    "responses": SUPPORTED_TYPES - {"anthropic"},
    "native": frozenset({"ollama"}),
}
"""The types that a value of `api` goes with; a test holds them equal to the dialects."""

AZURE_RESPONSES_SINCE = "2025-03-01"
"""Azure's versions before this one do not know the Responses API.
Source: Azure OpenAI, "API version lifecycle", changes between 2025-02-01-preview and
2025-03-01-preview."""

KEY_DOMAINS: Mapping[str, str] = {"anthropic": ANTHROPIC_DOMAIN, "openai": OPENAI_DOMAIN}
"""The domain of the vendor whose keys a type takes, where a client's may fit; a test holds the
types equal to the dialects."""

_MAX_PATTERN_CHARS = 200
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_providers(path: Path, table: Document, home: Path) -> tuple[ProviderSettings, ...]:
    """Return the providers; the built-in one when none is configured. Raises ConfigError."""
    if not table:
        return (ProviderSettings(),)
    return tuple(_provider(path, name, entry, home) for name, entry in table.items())


def with_key_scope(
    providers: tuple[ProviderSettings, ...], default_provider: str
) -> tuple[ProviderSettings, ...]:
    """Return the providers, each with whether it may be sent a client's own key.

    A key goes to the hosts of its vendor, to the default provider, and to hosts of the operator's
    own network. Any other may be another vendor's, who would be shown the key as soon as a rule or
    the fallback chain leads there.
    """
    return tuple(
        replace(one, client_keys=one.name == default_provider or _is_near(one)) for one in providers
    )


def without_key(providers: tuple[ProviderSettings, ...]) -> Iterator[str]:
    """Return one sentence for each provider that no key is sent to, the gateway's or a client's."""
    for one in providers:
        if one.enabled and not one.client_keys and not one.has_key:
            where = "neither the vendor's own, nor the default provider's, nor of the own network"
            name = f"llmGateway.providers.{one.name}"
            yield f"{name}: is sent no client's key, for its host is {where}; write apiKeyRef"


def parse_routing(
    path: Path, table: Document, providers: tuple[ProviderSettings, ...], gateway: Document
) -> RoutingSettings:
    """Return the routing. Raises ConfigError for a name that leads nowhere.

    A rule that leads to a disabled provider is left out; `without_effect` names it.

    Args:
        gateway: The section `[fallback]` of `gateway.toml`.
    """
    names = {provider.name for provider in providers}
    enabled = {provider.name for provider in providers if provider.enabled}
    for key, name in _targets(table):
        if name not in names:
            raise _unknown(path, f"llmGateway.routing.{key}", name, names)
    patterns = tuple((pattern, name) for pattern, name in table.get("modelPatterns", ()))
    for index, (pattern, _) in enumerate(patterns):
        _check_pattern(path, f"llmGateway.routing.modelPatterns.{index}", pattern)
    return RoutingSettings(
        default_provider=_default(path, table, providers),
        agent_rules=_kept(table.get("agentRules", {}).items(), enabled),
        tier_rules=_kept(table.get("modelTierRules", {}).items(), enabled),
        patterns=_kept(patterns, enabled),
        fallback_chain=tuple(
            name for name in dict.fromkeys(table.get("fallbackChain", ())) if name in enabled
        ),
        subscription_fallback=gateway.get("subscriptions", False),
    )


def without_effect(
    table: Document, providers: tuple[ProviderSettings, ...], routing: RoutingSettings
) -> Iterator[str]:
    """Return one sentence for each rule and each provider that changes nothing."""
    disabled = {provider.name for provider in providers if not provider.enabled}
    reached = {routing.default_provider}
    for key, name in _targets(table):
        reached.add(name)
        if name in disabled:
            yield f'llmGateway.routing.{key}: has no effect, provider "{name}" is disabled'
    for provider in providers:
        if provider.enabled and provider.name not in reached:
            yield f"llmGateway.providers.{provider.name}: gets no requests, no rule leads to it"


def _is_near(provider: ProviderSettings) -> bool:
    """Return whether a host is of the vendor whose keys it takes, or of the own network."""
    domain = KEY_DOMAINS.get(provider.type)
    if domain is None or provider.is_at(domain):
        return True
    host = (urlsplit(provider.base_url).hostname or "").rstrip(".")
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(NETWORK_NAMES)


def _targets(table: Document) -> Iterator[tuple[str, str]]:
    for section in ("agentRules", "modelTierRules"):
        for name, provider in table.get(section, {}).items():
            yield f"{section}.{name}", provider
    for index, (_, provider) in enumerate(table.get("modelPatterns", ())):
        yield f"modelPatterns.{index}", provider
    for index, provider in enumerate(table.get("fallbackChain", ())):
        yield f"fallbackChain.{index}", provider


def _kept(pairs: object, enabled: set[str]) -> tuple[tuple[str, str], ...]:
    found: tuple[tuple[str, str], ...] = tuple(pairs)  # type: ignore[arg-type]  # items or pairs, checked by the schema
    return tuple((name, provider) for name, provider in found if provider in enabled)


def _default(path: Path, table: Document, providers: tuple[ProviderSettings, ...]) -> str:
    key = "llmGateway.routing.defaultProvider"
    by_name = {provider.name: provider for provider in providers}
    found = table.get("defaultProvider")
    name: str = found or (DEFAULT_PROVIDER if len(by_name) > 1 else next(iter(by_name)))
    if name not in by_name:
        raise _unknown(path, key, name, set(by_name))
    if not by_name[name].enabled:
        raise ConfigError(path, f'names "{name}", which is disabled', key=key, fix="enable it")
    return name


def _unknown(path: Path, key: str, name: str, names: set[str]) -> ConfigError:
    choices = ", ".join(sorted(names))
    return ConfigError(path, f'names "{name}", which is not configured', key=key, fix=choices)


def _check_pattern(path: Path, key: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        text = f"{pattern!r} is not a regular expression: {error}"
        raise ConfigError(path, text, key=key) from error
    if len(pattern) > _MAX_PATTERN_CHARS:
        raise ConfigError(path, f"is longer than {_MAX_PATTERN_CHARS} characters", key=key)


def _provider(path: Path, name: str, entry: Document, home: Path) -> ProviderSettings:
    key = f"llmGateway.providers.{name}"
    base_url: str = entry["baseUrl"]
    _check_url(path, f"{key}.baseUrl", base_url)
    _check_api(path, key, entry)
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
        timeout_s=float(entry.get("timeoutSecs", 300)),
        headers=headers,
        enabled=entry.get("enabled", True),
        max_retries=entry.get("maxRetries", 2),
        default_model=entry.get("defaultModel") or None,
        model_aliases=tuple(entry.get("modelAliases", {}).items()),
        deployment=entry.get("deployment") or None,
        api_version=entry.get("apiVersion") or None,
        api=entry.get("api", "chat"),
        stream_usage=entry.get("streamUsage"),
    )


def _check_api(path: Path, key: str, entry: Document) -> None:
    kind, api = entry["providerType"], entry.get("api", "chat")
    if kind not in APIS[api]:
        known = ", ".join(f'"{name}"' for name, kinds in APIS.items() if kind in kinds)
        text = f'is "{api}", which a provider of type {kind} does not speak'
        raise ConfigError(path, text, key=f"{key}.api", fix=f"write {known}, or leave it out")
    if "streamUsage" in entry and (kind == "anthropic" or api != "chat"):
        text = "has no effect: only streams of chat completions have to be asked for their usage"
        raise ConfigError(path, text, key=f"{key}.streamUsage", fix="leave it out")
    version = entry.get("apiVersion", "")
    too_old = _DATED.match(version) is not None and version < AZURE_RESPONSES_SINCE
    if kind == "azure" and api == "responses" and too_old:
        text = f'is "{version}", which does not know the Responses API'
        fix = f'write {AZURE_RESPONSES_SINCE}-preview or later, or "api": "chat"'
        raise ConfigError(path, text, key=f"{key}.apiVersion", fix=fix)
    ending = urlsplit(entry["baseUrl"]).path.rstrip("/").rpartition("/")[2]
    if api == "native" and ending in {"v1", "api"}:
        text = f"ends in /{ending}, which Ollama's own API adds to it or does not have"
        raise ConfigError(path, text, key=f"{key}.baseUrl", fix=f"leave /{ending} out")


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
