"""What several tests need: gateways as real processes, their providers, the SDKs' stage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.gateway.process import DEADLINE_S, GatewayProcess, StartGateway, end, port_of, until
from tests.e2e.gateway.sdk_stage import Stage
from tests.e2e.gateway.threaded import Json, Provider


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an application in this process wait for its ledger and its providers: it is no fault
    of theirs when the machine has something else to do."""
    monkeypatch.setattr("gateway.sub_agents.COMMIT_WAIT_S", DEADLINE_S)
    monkeypatch.setattr("gateway.sessions.LOOK_UP_S", DEADLINE_S)
    monkeypatch.setattr("gateway.operator.health.DEADLINE_S", DEADLINE_S)
    monkeypatch.setattr("gateway.breakers.FIRST_OPEN_S", DEADLINE_S)


@pytest.fixture
def own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the gateway keys of its own."""
    monkeypatch.setenv("OPENAI_KEY", "sk-openai-own")
    monkeypatch.setenv("OWN_KEY", "sk-ant-own")


@pytest.fixture(scope="module")
def provider_factory() -> Iterator[Callable[[], Provider]]:
    """Return a function that starts a provider on a port of its own."""
    with ExitStack() as stack:

        def make() -> Provider:
            provider = stack.enter_context(Provider())
            thread = threading.Thread(target=provider.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(provider.shutdown)
            return provider

        yield make


@pytest.fixture(scope="module")
def start_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartGateway]:
    """Return a function that starts a gateway with these configuration files, by their names."""
    with ExitStack() as stack:

        def start(files: dict[str, str], workers: int = 1, **environ: str) -> GatewayProcess:
            home = tmp_path_factory.mktemp("home")
            (home / "config").mkdir()
            for name, text in files.items():
                (home / "config" / name).write_text(text)
            argv = [sys.executable, "-m", "gateway", "run", "--home", str(home)]
            argv += ["--port", "0", "--workers", str(workers)]
            with (home / "log").open("wb") as log:
                process = subprocess.Popen(argv, stderr=log, env={**os.environ, **environ})
            stack.callback(end, process)
            return GatewayProcess(home, port_of(home, process), process)

        yield start


@pytest.fixture(scope="module")
def demo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a demo upstream."""
    ready = tmp_path_factory.mktemp("demo") / "ready.json"
    argv = [sys.executable, "-m", "gateway", "demo-upstream", "--delay-ms", "0"]
    process = subprocess.Popen([*argv, "--ready-file", str(ready)], stderr=subprocess.DEVNULL)
    try:
        until(lambda: ready.exists() or process.poll() is not None)
        yield f"http://127.0.0.1:{json.loads(ready.read_text())['port']}"
    finally:
        end(process)


_STAGE_TOML = """
[server]
max_body_bytes = 65536
linger_s = 0.1
"""


@pytest.fixture(scope="module")
def stage(
    provider_factory: Callable[[], Provider], start_gateway: StartGateway, demo_url: str
) -> Stage:
    messages, chat = provider_factory(), provider_factory()
    keyed: Json = {"apiKeyRef": "env:STAGE_KEY", "maxRetries": 0, "timeoutSecs": DEADLINE_S}
    own: Json = {"maxRetries": 0, "timeoutSecs": DEADLINE_S}
    providers = {
        "messages": {"providerType": "anthropic", "baseUrl": messages.url} | own,
        "chat": {"providerType": "openai", "baseUrl": chat.url} | own,
        "keyed-messages": {"providerType": "anthropic", "baseUrl": messages.url} | keyed,
        "keyed-chat": {"providerType": "openai", "baseUrl": chat.url} | keyed,
        "demo": {"providerType": "anthropic", "baseUrl": demo_url} | keyed,
        "dead": {"providerType": "anthropic", "baseUrl": "http://127.0.0.1:1"} | own,
        "keyless": {"providerType": "openai", "baseUrl": chat.url, "apiKeyRef": "env:NOT_SET"},
    }
    providers["demo"]["modelAliases"] = {"demo": "claude-haiku-4-5-20251001"}
    patterns = [["^own-claude", "messages"], ["^own-gpt", "chat"]]
    patterns += [["^claude-", "keyed-messages"], ["^gpt-", "keyed-chat"]]
    patterns += ([f"^{name}$", name] for name in ("demo", "dead", "keyless"))
    routing = {"defaultProvider": "messages", "modelPatterns": patterns}
    document = {"llmGateway": {"providers": providers, "routing": routing}}
    files = {"orchestra-config.json": json.dumps(document), "gateway.toml": _STAGE_TOML}
    return Stage(start_gateway(files, STAGE_KEY="sk-stage-0123456789"), messages, chat)
