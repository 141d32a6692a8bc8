"""The launcher: what a client's environment becomes, and when there is none to be had."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.config.settings import DaemonSettings
from gateway.errors import GatewayError
from gateway.serve import client_environment, last_ports, launcher, pidfile, salt_file, timestamps
from gateway.serve.canary import KnownBy, SessionKey, Way
from gateway.serve.last_ports import LastPorts
from gateway.serve.launcher import OnMissing
from gateway.serve.pidfile import PidRecord

Serve = Callable[[Mapping[str, Any]], int]

URL = "http://127.0.0.1:4000"
GATEWAY = {"ANTHROPIC_BASE_URL": URL, "CLAUDE_CODE_GATEWAY_HINT_HEADERS": "1"}
CORPORATE = "http://someone:secret@proxy.example:8080"
BYPASS = "127.0.0.1,localhost,::1"
OLD = 4001
PROXY = f"http://127.0.0.1:{OLD}"
ALL_FOUR = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), PROXY)


@pytest.mark.parametrize(
    ("environ", "values", "notes"),
    [
        ({}, {}, []),
        ({"PATH": "/bin", "NO_PROXY": "x"}, {"PATH": "/bin", "NO_PROXY": "x"}, []),
        # what leads to the old proxy is removed, in both cases and in any spelling
        (
            {"HTTP_PROXY": PROXY, "https_proxy": f"localhost:{OLD}", "ALL_PROXY": f"[::1]:{OLD}"},
            {},
            [
                f"HTTP_PROXY led to the old proxy 127.0.0.1:{OLD}: removed",
                f"https_proxy led to the old proxy localhost:{OLD}: removed",
                f"ALL_PROXY led to the old proxy [::1]:{OLD}: removed",
            ],
        ),
        # the user's own proxy keeps working for other hosts
        (
            {"HTTPS_PROXY": CORPORATE},
            {"HTTPS_PROXY": CORPORATE, "NO_PROXY": BYPASS, "no_proxy": BYPASS},
            [],
        ),
        (
            {"http_proxy": CORPORATE, "no_proxy": "a.example, localhost", "NO_PROXY": "b.example"},
            {
                "http_proxy": CORPORATE,
                "NO_PROXY": "b.example,a.example,localhost,127.0.0.1,::1",
                "no_proxy": "b.example,a.example,localhost,127.0.0.1,::1",
            },
            [],
        ),
        # a proxy on loopback that is not ours is the user's own way out
        (
            {"HTTP_PROXY": "http://127.0.0.1:3128", "HTTPS_PROXY": PROXY},
            {"HTTP_PROXY": "http://127.0.0.1:3128", "NO_PROXY": BYPASS, "no_proxy": BYPASS},
            [f"HTTPS_PROXY led to the old proxy 127.0.0.1:{OLD}: removed"],
        ),
        (
            {"HTTP_PROXY": "not a: url", "HTTPS_PROXY": "http://127.0.0.1:port"},
            {
                "HTTP_PROXY": "not a: url",
                "HTTPS_PROXY": "http://127.0.0.1:port",
                "NO_PROXY": BYPASS,
                "no_proxy": BYPASS,
            },
            [],
        ),
        # base URLs
        ({"ANTHROPIC_BASE_URL": URL}, {}, []),
        (
            {"ANTHROPIC_BASE_URL": "https://u:secret@llm.example/v1"},
            {},
            ["ANTHROPIC_BASE_URL was llm.example: replaced"],
        ),
        (
            {"ANTHROPIC_API_BASE_URL": "http://localhost:3000"},
            {"ANTHROPIC_API_BASE_URL": "http://localhost:3000"},
            [
                "ANTHROPIC_API_BASE_URL is set to localhost:3000; no client reads it: unset it",
            ],
        ),
        (
            {"ANTHROPIC_API_BASE_URL": "http://localhost:3000/v1/"},
            {"ANTHROPIC_API_BASE_URL": "http://localhost:3000/v1/"},
            [
                "ANTHROPIC_API_BASE_URL is set to localhost:3000; no client reads it: unset it, "
                "and do not copy it to ANTHROPIC_BASE_URL: its /v1 would stand twice in every path",
            ],
        ),
    ],
)
def test_client_of_the_gateway_reaches_it_past_any_proxy(
    environ: dict[str, str], values: dict[str, str], notes: list[str]
) -> None:
    made = client_environment.through_gateway(environ, URL, {OLD})
    assert made.values == values | GATEWAY
    assert list(made.notes) == notes
    assert "secret" not in " ".join(made.notes)


def test_gateway_on_another_loopback_address_is_bypassed_too() -> None:
    environ = {"HTTP_PROXY": CORPORATE}
    made = client_environment.through_gateway(environ, "http://127.9.9.9:4000", ())
    assert made.values["NO_PROXY"] == f"{BYPASS},127.9.9.9"


@pytest.mark.parametrize(
    ("environ", "values", "notes"),
    [
        ({}, ALL_FOUR, []),
        (ALL_FOUR, ALL_FOUR, []),
        (
            {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9/x"},
            ALL_FOUR,
            ["ANTHROPIC_BASE_URL led to the gateway 127.0.0.1:9: removed"],
        ),
        (
            {"ANTHROPIC_BASE_URL": "https://llm.example"},
            {**ALL_FOUR, "ANTHROPIC_BASE_URL": "https://llm.example"},
            [],
        ),
        (
            {"https_proxy": CORPORATE},
            ALL_FOUR,
            ["https_proxy was proxy.example:8080: replaced, the old proxy does not use it"],
        ),
    ],
)
def test_client_of_the_proxy_goes_through_it(
    environ: dict[str, str], values: dict[str, str], notes: list[str]
) -> None:
    made = client_environment.through_proxy(environ, PROXY)
    assert (made.values, list(made.notes)) == (values, notes)


def test_direct_client_is_led_to_neither() -> None:
    environ = {"ANTHROPIC_BASE_URL": URL, "HTTP_PROXY": PROXY, "HTTPS_PROXY": CORPORATE}
    made = client_environment.direct(environ, {OLD})
    assert made.values == {"HTTPS_PROXY": CORPORATE}
    assert [note.split()[0] for note in made.notes] == ["ANTHROPIC_BASE_URL", "HTTP_PROXY"]


# -- what is there


BOTH = DaemonSettings(gateway_enabled=True, proxy_enabled=True)
GATEWAY_ONLY = DaemonSettings()
PROXY_ONLY = DaemonSettings(gateway_enabled=False, proxy_enabled=True)
NEITHER = DaemonSettings(gateway_enabled=False)
HEALTHY = {"/gateway/health": {"status": "healthy", "providers": {"anthropic": True}}}
SICK = {"/gateway/health": {"status": "unhealthy", "providers": {"anthropic": False}}}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose home folder is empty."""
    return {"HOME": str(tmp_path / "user"), "CCO_HOME": str(tmp_path)}


def write_record(home: Path, **ports: int | None) -> None:
    document = {"pid": os.getpid(), "started_at": pidfile.own_start(), "port": 1, "version": "1"}
    pidfile.path_in(home).write_text(json.dumps(document | ports))


@pytest.mark.parametrize("switches", [GATEWAY_ONLY, BOTH])
def test_gateway_is_preferred(
    tmp_path: Path, environ: dict[str, str], serve: Serve, switches: DaemonSettings
) -> None:
    port = serve(HEALTHY)
    write_record(tmp_path, gateway_port=port, proxy_port=serve({}))
    launch = launcher.prepare(switches, tmp_path, environ, wait_s=0)
    assert launch.lines == (f"   Gateway: http://127.0.0.1:{port} (LLM routing enabled)",)
    assert launch.environ["ANTHROPIC_BASE_URL"] == f"http://127.0.0.1:{port}"


def test_sick_gateway_and_other_daemons_are_warned_about(
    tmp_path: Path, environ: dict[str, str], serve: Serve
) -> None:
    write_record(tmp_path, gateway_port=serve(SICK))
    elsewhere = tmp_path / "user" / ".cco"
    elsewhere.mkdir(parents=True)
    started = pidfile.start_time(os.getppid())
    assert started is not None
    other = PidRecord(os.getppid(), timestamps.time_text(started), 7, None, None, "1")
    pidfile.write(pidfile.path_in(elsewhere), other)
    launch = launcher.prepare(GATEWAY_ONLY, tmp_path, environ, wait_s=0)
    assert launch.lines[:-1] == (
        "Warning: the gateway is unhealthy: it cannot reach anthropic",
        f"Warning: several daemons run: also pid {os.getppid()} of {elsewhere}/daemon.pid",
    )


def test_proxy_mode_sends_through_the_proxy(
    tmp_path: Path, environ: dict[str, str], serve: Serve
) -> None:
    port = serve({})
    write_record(tmp_path, proxy_port=port)
    launch = launcher.prepare(PROXY_ONLY, tmp_path, environ, wait_s=0)
    assert launch.lines == (f"   Proxy: http://127.0.0.1:{port} (HTTP proxy mode)",)
    assert launch.environ["HTTPS_PROXY"] == f"http://127.0.0.1:{port}"


def test_standby_proxy_is_used_when_there_is_no_gateway(
    tmp_path: Path, environ: dict[str, str], serve: Serve
) -> None:
    port = serve({})
    write_record(tmp_path, proxy_port=port)
    launch = launcher.prepare(BOTH, tmp_path, environ, wait_s=0)
    assert launch.lines[0].startswith("Warning: LLM Gateway not available: pid ")
    assert launch.lines[1] == f"   Proxy: http://127.0.0.1:{port} (HTTP proxy mode)"


@pytest.mark.parametrize(
    ("switches", "words"),
    [
        (GATEWAY_ONLY, "LLM Gateway not available: no daemon runs"),
        (PROXY_ONLY, "HTTP proxy not available: no daemon runs"),
        (BOTH, "LLM Gateway not available: no daemon runs"),
    ],
)
def test_nothing_to_send_the_client_through_is_an_error_with_the_next_step(
    tmp_path: Path, environ: dict[str, str], switches: DaemonSettings, words: str
) -> None:
    with pytest.raises(GatewayError) as caught:
        launcher.prepare(switches, tmp_path, environ, wait_s=0)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(words)
    assert lines[-1] == "   Try: cco-gateway daemon restart"
    elsewhere = {**environ, "CCO_HOME": "/elsewhere"}
    with pytest.raises(GatewayError, match=f"daemon restart --home {tmp_path}$"):
        launcher.prepare(switches, tmp_path, elsewhere, wait_s=0)


@pytest.mark.parametrize("on_missing", OnMissing)
def test_both_switched_off_is_an_error_always(
    tmp_path: Path, environ: dict[str, str], on_missing: OnMissing
) -> None:
    with pytest.raises(GatewayError, match="No LLM routing mechanism enabled"):
        launcher.prepare(NEITHER, tmp_path, environ, on_missing, wait_s=0)


def test_missing_gateway_can_mean_direct(tmp_path: Path, environ: dict[str, str]) -> None:
    environ |= {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
    launch = launcher.prepare(GATEWAY_ONLY, tmp_path, environ, OnMissing.DIRECT, wait_s=0)
    assert "ANTHROPIC_BASE_URL" not in launch.environ
    assert launch.lines[0].startswith("Warning: LLM Gateway not available: ")
    assert launch.lines[-1] == "   API: Direct to Anthropic (gateway not available)"


def test_proxies_on_loopback_are_removed_when_ours_or_dead(
    tmp_path: Path, environ: dict[str, str], serve: Serve
) -> None:
    theirs, ours, before = serve({}), serve({}), serve({})
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        dead = held.getsockname()[1]
        write_record(tmp_path, gateway_port=serve(HEALTHY), proxy_port=ours)
        last_ports.remember(tmp_path, LastPorts(1, before))
        names = {"HTTP_PROXY": theirs, "HTTPS_PROXY": ours, "ALL_PROXY": before, "http_proxy": dead}
        environ |= {name: f"http://127.0.0.1:{port}" for name, port in names.items()}
        launch = launcher.prepare(GATEWAY_ONLY, tmp_path, environ, wait_s=0)
    assert {name for name in names if name in launch.environ} == {"HTTP_PROXY"}
    assert launch.environ["NO_PROXY"] == BYPASS


# -- a share of the launches


SESSION = SessionKey(KnownBy.ID, "s-1")
FOR_THE_PROXY = launcher.Drawn(Way.PROXY, ("   Canary 25 %: drawn for the proxy by its folder",))
FOR_THE_GATEWAY = launcher.Drawn(Way.GATEWAY, ("   Canary 25 %: drawn for the gateway by its id",))


@pytest.mark.parametrize(
    ("drawn", "there", "lines"),
    [
        (FOR_THE_GATEWAY, {"gateway", "proxy"}, ["   Canary 25 %: drawn for the ga", "   Gateway"]),
        (FOR_THE_PROXY, {"gateway", "proxy"}, ["   Canary 25 %: drawn for the pr", "   Proxy: h"]),
        (
            FOR_THE_GATEWAY,
            {"proxy"},
            [
                "Warning: LLM Gateway not available",
                "   Canary 25 %: drawn for the g",
                "   Proxy: h",
            ],
        ),
        (
            FOR_THE_PROXY,
            {"gateway"},
            ["Warning: HTTP proxy not available", "   Canary 25 %: drawn for the p", "   Gateway"],
        ),
    ],
)
def test_launch_takes_the_way_it_was_drawn_for_while_that_is_there(
    tmp_path: Path,
    environ: dict[str, str],
    serve: Serve,
    drawn: launcher.Drawn,
    there: set[str],
    lines: list[str],
) -> None:
    ports = {
        "gateway_port": serve(HEALTHY) if "gateway" in there else None,
        "proxy_port": serve({}) if "proxy" in there else None,
    }
    write_record(tmp_path, **ports)
    launch = launcher.prepare(BOTH, tmp_path, environ, wait_s=0, drawn=drawn)
    assert len(launch.lines) == len(lines)
    for line, begins in zip(launch.lines, lines, strict=True):
        assert line.startswith(begins)
    assert ("ANTHROPIC_BASE_URL" in launch.environ) == ("Gateway" in lines[-1])
    assert ("HTTPS_PROXY" in launch.environ) == ("Proxy" in lines[-1])


def test_draw_says_which_way_and_why(tmp_path: Path) -> None:
    salt_file.path_in(tmp_path).write_bytes(b"salt")
    for share, way in ((0, Way.PROXY), (100, Way.GATEWAY)):
        line = f"   Canary {share} %: drawn for the {way.value} by its session id"
        assert launcher.draw(share, tmp_path, SESSION) == launcher.Drawn(way, (line,))


def test_state_root_without_room_for_a_salt_is_warned_about_and_draws_all_the_same(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    drawn = [launcher.draw(50, tmp_path / "file", SESSION) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0].lines[0].startswith(f"Warning: {tmp_path}/file/launch-salt: ")
