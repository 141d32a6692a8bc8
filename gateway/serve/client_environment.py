"""Work out the environment a client is started with: gateway, legacy proxy, or neither. Pure.

A proxy variable that is left over sends even loopback requests to the proxy it names, so a client
of the gateway gets none that leads to the old proxy, and loopback in NO_PROXY beside all others.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

BASE_URL = "ANTHROPIC_BASE_URL"
HINT_HEADERS = "CLAUDE_CODE_GATEWAY_HINT_HEADERS"
LEGACY_BASE_URL = "ANTHROPIC_API_BASE_URL"

_PROXY_NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
_ALL_PROXY_NAMES = (*_PROXY_NAMES, "ALL_PROXY", "all_proxy")
_NO_PROXY_NAMES = ("NO_PROXY", "no_proxy")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class ClientEnvironment:
    """What a client is started with.

    Attributes:
        values: The whole environment.
        notes: One sentence for each variable that was changed, or that misleads.
    """

    values: Mapping[str, str]
    notes: tuple[str, ...]


def through_gateway(
    environ: Mapping[str, str], url: str, old_proxies: Collection[int]
) -> ClientEnvironment:
    """Send the client to the gateway; proxies stay in force for other hosts.

    Args:
        url: The gateway's, without a path.
        old_proxies: Ports on loopback that were the legacy proxy's, or that nobody serves.
    """
    before = environ.get(BASE_URL, url)
    replaced = () if before == url else (f"{BASE_URL} was {_shown(before)}: replaced",)
    kept, removed = _without_proxies(environ, old_proxies)
    values = {**kept, BASE_URL: url, HINT_HEADERS: "1"}
    if any(values.get(name) for name in _ALL_PROXY_NAMES):
        bypass = _with_loopback(values, urlsplit(url).hostname)
        values |= dict.fromkeys(_NO_PROXY_NAMES, bypass)
    return ClientEnvironment(values, (*_legacy_notes(environ), *replaced, *removed))


def through_proxy(environ: Mapping[str, str], url: str) -> ClientEnvironment:
    """Send the client's traffic through the legacy proxy; it asks the provider itself."""
    kept, removed = _without_own_gateway(environ)
    replaced = tuple(
        f"{name} was {_shown(environ[name])}: replaced, the old proxy does not use it"
        for name in _PROXY_NAMES
        if environ.get(name) and environ[name] != url
    )
    values = {**kept, **dict.fromkeys(_PROXY_NAMES, url)}
    return ClientEnvironment(values, (*_legacy_notes(environ), *removed, *replaced))


def direct(environ: Mapping[str, str], old_proxies: Collection[int]) -> ClientEnvironment:
    """Leave the client to itself, without what would lead it to a gateway that is not there."""
    kept, gateway = _without_own_gateway(environ)
    values, proxies = _without_proxies(kept, old_proxies)
    return ClientEnvironment(values, (*_legacy_notes(environ), *gateway, *proxies))


def loopback_proxy_ports(environ: Mapping[str, str]) -> frozenset[int]:
    """Return the ports on loopback that proxy variables name."""
    found = (_loopback_port(environ.get(name, "")) for name in _ALL_PROXY_NAMES)
    return frozenset(port for port in found if port is not None)


def _legacy_notes(environ: Mapping[str, str]) -> tuple[str, ...]:
    value = environ.get(LEGACY_BASE_URL)
    if not value:
        return ()
    note = f"{LEGACY_BASE_URL} is set to {_shown(value)}; no client reads it: unset it"
    if value.rstrip("/").endswith("/v1"):
        note += f", and do not copy it to {BASE_URL}: its /v1 would stand twice in every path"
    return (note,)


def _without_proxies(
    environ: Mapping[str, str], old_proxies: Collection[int]
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return the environment without the variables that lead to an old proxy, and notes."""
    gone = [n for n in _ALL_PROXY_NAMES if _loopback_port(environ.get(n, "")) in old_proxies]
    notes = tuple(f"{name} led to the old proxy {_shown(environ[name])}: removed" for name in gone)
    return {name: value for name, value in environ.items() if name not in gone}, notes


def _without_own_gateway(
    environ: Mapping[str, str],
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return the environment without a base URL on loopback; somebody else's stays."""
    value = environ.get(BASE_URL, "")
    if _loopback_port(value) is None:
        return environ, ()
    values = {name: kept for name, kept in environ.items() if name != BASE_URL}
    return values, (f"{BASE_URL} led to the gateway {_shown(value)}: removed",)


def _with_loopback(environ: Mapping[str, str], host: str | None) -> str:
    """Return NO_PROXY with loopback; clients differ in which spelling of the name they heed."""
    entries = [
        entry.strip() for name in _NO_PROXY_NAMES for entry in environ.get(name, "").split(",")
    ]
    wanted = [entry for entry in entries if entry] + list(_LOOPBACK) + ([host] if host else [])
    return ",".join(dict.fromkeys(wanted))


def _loopback_port(text: str) -> int | None:
    """Return the port of a URL on loopback; None for any other."""
    parts = _parts(text)
    if parts is None or not _is_loopback(parts.hostname or ""):
        return None
    try:
        port = parts.port
    except ValueError:
        return None
    return 80 if port is None else port


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def _shown(text: str) -> str:
    """Return host and port only: what stands before them may be a password."""
    parts = _parts(text)
    return "(no URL)" if parts is None else parts.netloc.rpartition("@")[2] or "(no URL)"


def _parts(text: str) -> SplitResult | None:
    try:
        return urlsplit(text if "://" in text else f"http://{text}")
    except ValueError:
        return None
