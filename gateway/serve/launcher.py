"""Start a client behind the gateway: find it, prove it, set the environment, become the client."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from gateway.config.settings import DaemonSettings
from gateway.errors import GatewayError

from . import client_environment, discovery, last_ports, other_daemons
from .client_environment import ClientEnvironment
from .discovery import Found, FoundProxy, Missing

_WAIT_S = 10.0  # for a daemon that is just starting


class OnMissing(StrEnum):
    """What becomes of a client when there is no gateway for it."""

    FAIL = "fail"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Launch:
    """How a client is started.

    Attributes:
        lines: What the user is told first.
    """

    environ: Mapping[str, str]
    lines: tuple[str, ...]


def prepare(
    switches: DaemonSettings,
    home: Path,
    environ: Mapping[str, str],
    on_missing: OnMissing = OnMissing.FAIL,
    wait_s: float = _WAIT_S,
) -> Launch:
    """Return how to start a client.

    Both switched on: the gateway, and the proxy only when there is no gateway.

    Args:
        wait_s: How long a daemon that is just starting is waited for, seconds.

    Raises GatewayError when there is nothing to send the client through.
    """
    if not (switches.gateway_enabled or switches.proxy_enabled):
        raise GatewayError(
            "No LLM routing mechanism enabled: gatewayEnabled and proxyEnabled are false\n"
            "   Set one of them to true in daemon-config.json, then: cco-gateway daemon restart"
        )
    warnings: tuple[str, ...] = ()
    if switches.gateway_enabled:
        gateway = discovery.find(home, wait_s)
        if isinstance(gateway, Found):
            return _through_gateway(gateway, home, environ)
        warnings += (f"LLM Gateway not available: {gateway.text}",)
    if switches.proxy_enabled:
        proxy = discovery.find_proxy(home, wait_s)
        if isinstance(proxy, FoundProxy):
            line = f"   Proxy: {proxy.url} (HTTP proxy mode)"
            return _launch(client_environment.through_proxy(environ, proxy.url), line, warnings)
        warnings += (f"HTTP proxy not available: {proxy.text}",)
    if on_missing is OnMissing.FAIL:
        raise GatewayError("\n   ".join((*warnings, f"Try: {_restart(home, environ)}")))
    made = client_environment.direct(environ, _old_proxies(home, environ))
    return _launch(made, "   API: Direct to Anthropic (gateway not available)", warnings)


def become(client: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by the client: its signals and its exit code are its own.

    Raises OSError when it cannot be executed.
    """
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a child inherits it
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(client[0], list(client), dict(environ))  # noqa: S606 - the user's own command


def _through_gateway(gateway: Found, home: Path, environ: Mapping[str, str]) -> Launch:
    old = _old_proxies(home, environ)
    made = client_environment.through_gateway(environ, gateway.url, old)
    warnings = []
    if gateway.status != "healthy":
        down = ", ".join(gateway.down) or "a provider"
        warnings.append(f"the gateway is {gateway.status}: it cannot reach {down}")
    warnings += (
        f"several daemons run: also pid {other.record.pid} of {other.pid_file}"
        for other in other_daemons.others(home, environ)
        if other.record.pid != gateway.record.pid
    )
    return _launch(made, f"   Gateway: {gateway.url} (LLM routing enabled)", tuple(warnings))


def _launch(made: ClientEnvironment, line: str, warnings: tuple[str, ...]) -> Launch:
    told = (f"Warning: {text}" for text in (*warnings, *made.notes))
    return Launch(made.values, (*told, line))


def _old_proxies(home: Path, environ: Mapping[str, str]) -> frozenset[int]:
    """Return which proxies on loopback that variables name are ours, or are served by nobody.

    Another proxy on loopback is the user's own way out, and stays.
    """
    named = client_environment.loopback_proxy_ports(environ)
    found = discovery.find_proxy(home)
    ours = {last_ports.recall(home).proxy_port}
    if not isinstance(found, Missing):
        ours.add(found.record.proxy_port)
    return frozenset(port for port in named if port in ours or not discovery.is_served(port))


def _restart(home: Path, environ: Mapping[str, str]) -> str:
    default = Path(environ.get("CCO_HOME") or Path.home() / ".cco").expanduser().absolute()
    return "cco-gateway daemon restart" + ("" if home == default else f" --home {home}")
