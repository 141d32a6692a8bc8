"""The launcher with real clients: the anthropic SDK, `env`, signals and exit codes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.daemon.conftest import Cco, Home, Until

DEADLINE_S = 120.0
CLIENT = """
import anthropic, sys
with anthropic.Anthropic(api_key="demo-key", max_retries=0) as client:
    question = {"role": "user", "content": "Say something."}
    asked = {"model": "claude-haiku-4-5", "max_tokens": 500, "messages": [question]}
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
print(whole.stop_reason, streamed.stop_reason, bool(streamed.content[0].text))
sys.exit(7)
"""
FETCH = """
import sys, urllib.request
asked = urllib.request.Request(sys.argv[1], headers={"x-api-key": "demo-key"})
print(urllib.request.urlopen(asked, timeout=20).status)
"""


def variables(printed: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in printed.splitlines())


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory, until: Until) -> Iterator[str]:
    """Run the demo provider; return its URL."""
    ready = tmp_path_factory.mktemp("upstream") / "ready.json"
    argv = [sys.executable, "-m", "gateway", "demo-upstream", "--ready-file", str(ready)]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as process:
        try:
            until(ready.exists)
            yield f"http://127.0.0.1:{json.loads(ready.read_text())['port']}"
        finally:
            process.kill()


@pytest.fixture
def daemon(home: Home, cco: Cco, upstream: str) -> int:
    """Start the daemon before the demo provider; return its port."""
    home.provide(upstream)
    started = cco("daemon", "start")
    assert started.returncode == 0, started.stderr
    port: int = home.record["gateway_port"]
    return port


def test_sdk_client_talks_to_the_gateway_past_a_leftover_proxy(
    home: Home, cco: Cco, daemon: int
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # ours, and nobody listens: where the old proxy was
        old = f"http://127.0.0.1:{held.getsockname()[1]}"
        ended = cco(
            *("launch", "--", sys.executable, "-Wignore", "-c", CLIENT),
            HTTP_PROXY=old,
            HTTPS_PROXY="http://user:secret@proxy.invalid:8080",
            ANTHROPIC_API_BASE_URL="http://localhost:3000/v1",
        )
    assert (ended.returncode, ended.stdout) == (7, "end_turn end_turn True\n"), ended.stderr
    assert ended.stderr.splitlines() == [
        "Warning: ANTHROPIC_API_BASE_URL is set to localhost:3000; no client reads it: unset it, "
        "and do not copy it to ANTHROPIC_BASE_URL: its /v1 would stand twice in every path",
        f"Warning: HTTP_PROXY led to the old proxy {old.removeprefix('http://')}: removed",
        f"   Gateway: http://127.0.0.1:{daemon} (LLM routing enabled)",
    ]
    assert "secret" not in ended.stderr
    assert home.log.count("Forwarding to provider: anthropic") == 2


def test_client_is_given_the_environment_of_the_contract(cco: Cco, daemon: int) -> None:
    ended = cco("launch", "--", "env", NO_PROXY="corp.example", https_proxy="http://proxy.invalid")
    assert ended.returncode == 0
    found = variables(ended.stdout)
    assert found["ANTHROPIC_BASE_URL"] == f"http://127.0.0.1:{daemon}"
    assert found["CLAUDE_CODE_GATEWAY_HINT_HEADERS"] == "1"
    assert found["https_proxy"] == "http://proxy.invalid"
    assert found["NO_PROXY"] == found["no_proxy"] == "corp.example,127.0.0.1,localhost,::1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGPIPE])
def test_signals_are_the_clients(cco: Cco, daemon: int, number: signal.Signals) -> None:
    assert daemon > 0
    ended = cco("launch", "--", "sh", "-c", f"kill -{number.value} $$; sleep 60")
    assert ended.returncode == -number


def test_client_that_does_not_exist_is_answered_as_by_a_shell(
    cco: Cco, daemon: int, tmp_path: Path
) -> None:
    assert daemon > 0
    (tmp_path / "data").write_text("no program")
    for name, code in (("no-such-client", 127), (str(tmp_path / "data"), 126)):
        ended = cco("launch", "--", name)
        assert ended.returncode == code
        assert f"Error: {name} cannot be started: " in ended.stderr
    assert cco("launch").returncode == 2
    assert cco("launch", "--").returncode == 2


def test_proxy_mode_sends_the_client_through_the_proxy(home: Home, cco: Cco, upstream: str) -> None:
    home.switch(gateway=False, proxy=True)
    assert cco("daemon", "start").returncode == 0
    proxy = f"http://127.0.0.1:{home.record['proxy_port']}"
    ended = cco("launch", "--", sys.executable, "-c", FETCH, f"{upstream}/v1/models")
    assert (ended.returncode, ended.stdout) == (0, "200\n"), ended.stderr
    assert ended.stderr == f"   Proxy: {proxy} (HTTP proxy mode)\n"
    target = upstream.removeprefix("http://")
    assert f"Proxy request: GET {target}" in home.log
    found = variables(cco("launch", "--", "env").stdout)
    assert (found["HTTPS_PROXY"], found["HTTP_PROXY"]) == (proxy, proxy)
    assert "ANTHROPIC_BASE_URL" not in found


def test_missing_gateway_is_an_error_unless_direct_is_allowed(home: Home, cco: Cco) -> None:
    ended = cco("launch", "--", "env")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines() == [
        "Error: LLM Gateway not available: no daemon runs: "
        f"there is no PID file {home.path}/daemon.pid",
        "   Try: cco-gateway daemon restart",
    ]
    direct = cco("launch", "--on-missing=direct", "--", "env")
    assert direct.returncode == 0
    assert "ANTHROPIC_BASE_URL" not in variables(direct.stdout)
    assert "Warning: LLM Gateway not available: " in direct.stderr


@pytest.mark.parametrize("on_missing", ["fail", "direct"])
def test_both_switched_off_starts_no_client(home: Home, cco: Cco, on_missing: str) -> None:
    home.switch(gateway=False, proxy=False)
    ended = cco("launch", f"--on-missing={on_missing}", "--", "env")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Error: No LLM routing mechanism enabled" in ended.stderr


def test_share_of_the_launches_goes_to_the_gateway_and_each_session_stays(
    home: Home, cco: Cco, upstream: str
) -> None:
    home.provide(upstream)
    home.switch(gateway=True, proxy=True, gatewayShare=50)
    assert cco("daemon", "start").returncode == 0
    ids = [str(number) for number in range(40)]
    told = cco("canary", *ids)
    assert told.returncode == 0, told.stderr
    head, *lines = told.stdout.splitlines()
    ways = {words[0]: words[2:] for words in map(str.split, lines)}
    assert head == "canary 50 %"
    assert sorted(ways["gateway"] + ways["proxy"], key=int) == ids
    (one, *_), (other, *_) = ways["gateway"], ways["proxy"]
    for session, way, line in ((one, "gateway", "Gateway"), (other, "proxy", "Proxy")):
        ended = cco("launch", "--", "sh", "-c", ":", f"--session-id={session}")
        assert ended.stderr.startswith(f"   Canary 50 %: drawn for the {way} by its session id\n")
        assert f"   {line}: http://127.0.0.1:" in ended.stderr
    home.switch(gateway=True, proxy=True, gatewayShare=100)
    assert cco("canary").stdout == "no canary: launches are not divided\n"
    assert "Canary" not in cco("launch", "--", "env").stderr
