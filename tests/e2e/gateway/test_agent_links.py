"""Real workers know each other's sub-agents: the parent asks one of them, its child another."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateway.store.opening import connect
from tests.e2e.gateway.in_process import open_application
from tests.e2e.gateway.process import DEADLINE_S, end, port_of, until
from tests.e2e.gateway.threaded import Json

pytestmark = pytest.mark.process

MODEL = "claude-sonnet-4-5-20250929"
AGENT_TOOL = [{"name": "Agent", "input_schema": {}}]


def event(kind: str, **fields: Json) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n".encode()


class Provider(ThreadingHTTPServer):
    """Starts the sub-agent that a parent's prompt names, and ends that answer only when told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.finish = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not body.get("stream"):
            usage = {"input_tokens": 1, "output_tokens": 1}
            message = {"type": "message", "model": MODEL, "content": [], "usage": usage}
            self._begin("application/json")
            self._send(json.dumps(message).encode())
        else:
            self._start_agent(body["messages"][0]["content"])
        self._send(b"")

    def _start_agent(self, prompt: str) -> None:
        assert isinstance(self.server, Provider)
        block = {"type": "tool_use", "id": "t", "name": "Agent", "input": {}}
        given = json.dumps({"prompt": prompt, "subagent_type": "digger"})
        delta = {"type": "input_json_delta", "partial_json": given}
        self._begin("text/event-stream")
        self._send(
            event("message_start", message={"model": MODEL, "usage": {"input_tokens": 1}})
            + event("content_block_start", index=0, content_block=block)
            + event("content_block_delta", index=0, delta=delta)
            + event("content_block_stop", index=0)
        )
        assert self.server.finish.wait(DEADLINE_S)
        self._send(event("message_delta", delta={}, usage={"output_tokens": 1}))
        self._send(event("message_stop"))

    def _begin(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def _send(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A gateway with two workers, and its provider."""

    port: int
    process: subprocess.Popen[bytes]
    provider: Provider

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)

    def get(self, path: str) -> Json:
        with closing(self.connect()) as connection:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())

    def one_to_each_worker(self, stack: ExitStack) -> list[http.client.HTTPConnection]:
        """Return a connection to each worker; the kernel deals them out as it likes."""
        found: dict[int, http.client.HTTPConnection] = {}

        def dealt() -> bool:
            connection = stack.enter_context(closing(self.connect()))
            connection.request("GET", "/health")
            found.setdefault(json.loads(connection.getresponse().read())["worker"], connection)
            return len(found) == 2

        until(dealt)
        return [found[0], found[1]]

    def reload(self) -> None:
        before = self.get("/gateway/workers")["reload"]
        os.kill(self.process.pid, signal.SIGHUP)

        def replaced() -> bool:
            answer = self.get("/gateway/workers")
            states = [row["state"] for row in answer["workers"]]
            return answer["reload"] != before and states == ["serving", "serving"]

        until(replaced)

    def named(self, session: str, records: int) -> list[tuple[str, str]]:
        """Return who asked in a session, once there are so many records."""

        def found() -> list[Json] | None:
            entries = self.get("/gateway/audit?limit=1000")["entries"]
            mine = [entry for entry in entries if entry["session_id"] == session]
            return mine if len(mine) >= records else None

        mine: list[Json] = until(found)
        mine.sort(key=lambda entry: str(entry["timestamp"]))
        return [(entry["agent_type"], entry["agent_source"]) for entry in mine]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def configure(home: Path, provider: Provider) -> None:
    (home / "config").mkdir()
    url = f"http://127.0.0.1:{provider.server_address[1]}"
    providers = {"anthropic": {"providerType": "anthropic", "baseUrl": url}}
    document = json.dumps({"llmGateway": {"providers": providers}})
    (home / "config" / "orchestra-config.json").write_text(document)
    (home / "config" / "gateway.toml").write_text("[server]\nlinger_s = 0.1\n")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("home")
    configure(home, provider)
    argv = [sys.executable, "-m", "gateway", "run", "--home", str(home)]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([*argv, "--port", "0", "--workers", "2"], stderr=log)
    try:
        yield Daemon(port_of(home, process), process, provider)
    finally:
        end(process)


def ask(
    connection: http.client.HTTPConnection,
    session: str,
    prompt: str,
    agent_id: str | None = None,
    **fields: Json,
) -> http.client.HTTPResponse:
    headers = {"x-api-key": "k", "x-claude-code-session-id": session}
    if agent_id is not None:
        headers["x-claude-code-agent-id"] = agent_id
    messages = [{"role": "user", "content": prompt}]
    body = {"model": MODEL, "max_tokens": 5, "messages": messages} | fields
    connection.request("POST", "/v1/messages", json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.status == 200
    return answer


def test_child_asks_another_worker_than_its_parent_while_that_still_answers(
    daemon: Daemon,
) -> None:
    daemon.provider.finish.clear()
    with ExitStack() as stack:
        parents, childs = daemon.one_to_each_worker(stack)
        parent = ask(parents, "s1", "dig here", stream=True, tools=AGENT_TOOL)
        lines = iter(parent.readline, b"")
        assert any(b"content_block_stop" in line for line in lines)
        ask(childs, "s1", "dig here", "a1").read()
        ask(childs, "s1", "dig here", "a2").read()
        daemon.provider.finish.set()
        assert any(b"message_stop" in line for line in lines)
        parent.read()
        ask(parents, "s1", "its next turn", "a1").read()
    digger = ("digger", "parent")
    assert sorted(daemon.named("s1", 4)) == sorted(
        [digger, ("subagent", "thread"), ("main", "thread"), digger]
    )


def test_call_and_name_outlive_reloads(daemon: Daemon) -> None:
    daemon.provider.finish.set()
    with closing(daemon.connect()) as connection:
        ask(connection, "s2", "dig there", stream=True, tools=AGENT_TOOL).read()
    for prompt in ("dig there", "its next turn"):
        daemon.reload()
        with closing(daemon.connect()) as connection:
            ask(connection, "s2", prompt, "a1").read()
    digger = ("digger", "parent")
    assert daemon.named("s2", 3) == [("main", "thread"), digger, digger]


def test_end_of_a_call_is_sent_once_the_call_is_committed(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A slow machine is no fault.
    monkeypatch.setattr("gateway.spawn_gate.COMMIT_WAIT_S", DEADLINE_S)
    provider.finish.set()
    configure(tmp_path, provider)
    body = json.dumps(
        {
            "model": MODEL,
            "max_tokens": 5,
            "stream": True,
            "tools": AGENT_TOOL,
            "messages": [{"role": "user", "content": "dig"}],
        }
    ).encode()
    session = {b"x-api-key": b"k", b"x-claude-code-session-id": b"s"}

    async def main() -> None:
        async with (
            asyncio.timeout(2 * DEADLINE_S),
            open_application(tmp_path) as gateway,
            gateway.connect("POST", "/v1/messages", body, session) as (reader, _),
        ):
            with closing(connect(tmp_path / "ledger.db")) as file:
                file.execute("BEGIN IMMEDIATE")
                data = b""
                while b"input_json_delta" not in data:
                    data += await reader.read(65536)
                assert b"content_block_stop" not in data, "it came in one piece with the delta"
                file.execute("ROLLBACK")
                while b"content_block_stop" not in data:
                    data += await reader.read(65536)
                assert file.execute("SELECT count(*) FROM spawns").fetchone() == (1,)
                data += await reader.read()
                assert b"message_stop" in data

    asyncio.run(main())
