"""Start a client behind the gateway: find it, prove it, set the environment, become the client."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from gateway.config.settings import DaemonSettings
from gateway.errors import GatewayError

from . import canary, client_environment, discovery, last_ports, other_daemons, salt_file
from .canary import SessionKey, Way
from .client_environment import ClientEnvironment
from .discovery import Found, FoundProxy, Missing

_WAIT_S = 10.0  # for a daemon that is just starting
_NAMES = {Way.GATEWAY: "LLM Gateway", Way.PROXY: "HTTP proxy"}
_FIND: Mapping[Way, Callable[[Path, float], Found | FoundProxy | Missing]] = {
    Way.GATEWAY: discovery.find,
    Way.PROXY: discovery.find_proxy,
}


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


@dataclass(frozen=True, slots=True)
class Drawn:
    """Which way a launch was drawn to go.

    Attributes:
        lines: Why, for the user; a warning first when it was drawn without a salt.
    """

    way: Way
    lines: tuple[str, ...]


def draw(share: int, home: Path, key: SessionKey) -> Drawn:
    """Return which way a session goes while so many of a hundred go to the gateway."""
    salt, warnings = salt_of(home)
    way = canary.way(key, salt, share)
    line = f"   Canary {share} %: drawn for the {way.value} by its {key.known_by.value}"
    return Drawn(way, (*_warned(warnings), line))


def salt_of(home: Path) -> tuple[bytes, tuple[str, ...]]:
    """Return what this state root draws with, and a warning when it cannot be kept there.

    A client is worth more than an independent share: without a salt it is drawn all the same.
    """
    try:
        return salt_file.ensure(home), ()
    except OSError as error:
        path = salt_file.path_in(home)
        return b"", (f"{path}: {error.strerror}: drawn without a salt, as on other machines",)


def prepare(
    switches: DaemonSettings,
    home: Path,
    environ: Mapping[str, str],
    on_missing: OnMissing = OnMissing.FAIL,
    wait_s: float = _WAIT_S,
    drawn: Drawn | None = None,
) -> Launch:
    """Return how to start a client.

    Both switched on: the way it was drawn for, without a draw the gateway, and the other one only
    when that is not there.

    Args:
        wait_s: How long a daemon that is just starting is waited for, seconds.
        drawn: None while launches are not divided.

    Raises GatewayError when there is nothing to send the client through.
    """
    ways = _ways(switches, drawn)
    if not ways:
        raise GatewayError(
            "No LLM routing mechanism enabled: gatewayEnabled and proxyEnabled are false\n"
            "   Set one of them to true in daemon-config.json, then: cco-gateway daemon restart"
        )
    told = () if drawn is None else drawn.lines
    missing: list[str] = []
    for way in ways:
        found = _FIND[way](home, wait_s)
        if not isinstance(found, Missing):
            made = _through(found, home, environ)
            return Launch(made.environ, (*_warned(missing), *told, *made.lines))
        missing.append(f"{_NAMES[way]} not available: {found.text}")
    if on_missing is OnMissing.FAIL:
        raise GatewayError("\n   ".join((*missing, f"Try: {_restart(home, environ)}")))
    direct = client_environment.direct(environ, _old_proxies(home, environ))
    return _launch(direct, "   API: Direct to Anthropic (gateway not available)", missing)


def become(client: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by the client: its signals and its exit code are its own.

    Raises OSError when it cannot be executed.
    """
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a child inherits it
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(client[0], list(client), dict(environ))  # noqa: S606 - the user's own command


def _ways(switches: DaemonSettings, drawn: Drawn | None) -> tuple[Way, ...]:
    """Return the ways that are switched on, the one to be tried first before the other."""
    on = {Way.GATEWAY: switches.gateway_enabled, Way.PROXY: switches.proxy_enabled}
    ways = tuple(way for way, enabled in on.items() if enabled)
    return ways[::-1] if drawn is not None and drawn.way is Way.PROXY else ways


def _through(found: Found | FoundProxy, home: Path, environ: Mapping[str, str]) -> Launch:
    if isinstance(found, Found):
        return _through_gateway(found, home, environ)
    made = client_environment.through_proxy(environ, found.url)
    return _launch(made, f"   Proxy: {found.url} (HTTP proxy mode)", ())


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
    return _launch(made, f"   Gateway: {gateway.url} (LLM routing enabled)", warnings)


def _launch(made: ClientEnvironment, line: str, warnings: Sequence[str]) -> Launch:
    return Launch(made.values, (*_warned((*warnings, *made.notes)), line))


def _warned(texts: Iterable[str]) -> Iterator[str]:
    return (f"Warning: {text}" for text in texts)


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
