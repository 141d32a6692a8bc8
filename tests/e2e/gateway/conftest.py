"""What several tests need: gateways as real processes, and providers that follow a script."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 20.0
Json = Any  # a parsed document whose shape the assertions state


def until(condition: Callable[[], Any]) -> Any:  # Any: whatever truth the condition finds
    """Return the condition's first true value; other processes offer nothing to wait on."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)
    return value


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as a provider received it; names of headers in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    def json(self) -> Json:
        return json.loads(self.body)


@dataclass(slots=True)
class Connection:
    """A gateway's connection, as a provider's script has it."""

    reader: BufferedIOBase
    writer: BufferedIOBase
    keep: bool = True

    def reply(self, status: int, document: Json, **headers: str) -> None:
        """Answer with JSON; underscores in the names of headers are hyphens."""
        data = json.dumps(document).encode()
        lines = [f"HTTP/1.1 {status} Scripted", "content-type: application/json"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += [f"content-length: {len(data)}", "", ""]
        self.writer.write("\r\n".join(lines).encode() + data)

    def begin_stream(self) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        self.writer.write(head + b"transfer-encoding: chunked\r\n\r\n")

    def event(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self) -> None:
        self.writer.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """End the connection in the middle of what is being said."""
        self.keep = False

    def wait_until_left(self) -> None:
        """Return once the other side has ended the connection."""
        with suppress(ConnectionError):
            while self.reader.read(1):
                pass
        self.keep = False


Script = Callable[[Seen, Connection], None]


class Provider(socketserver.ThreadingTCPServer):
    """Does with each request what `script` says, and remembers it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[Seen] = []
        self.script: Script = _unscripted

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Provider)
        connection = Connection(self.rfile, self.wfile)
        with suppress(ConnectionError):
            while connection.keep and (line := self.rfile.readline()):
                seen = _read(line, self.rfile)
                self.server.seen.append(seen)
                self.server.script(seen, connection)


def _read(line: bytes, reader: BufferedIOBase) -> Seen:
    method, target, _ = line.decode().split(" ")
    headers = []
    while (row := reader.readline()) not in (b"\r\n", b""):
        name, _, value = row.decode().partition(":")
        headers.append((name.lower(), value.strip()))
    length = int(dict(headers).get("content-length", "0"))
    return Seen(method, target, tuple(headers), reader.read(length))


def _unscripted(seen: Seen, connection: Connection) -> None:
    connection.reply(500, {"error": {"message": f"nobody wrote a script for {seen.target}"}})


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """A running gateway."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    def get(self, path: str) -> Json:
        """Return a JSON answer of the operator API."""
        return json.loads(self.text(path))

    def text(self, path: str) -> str:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
            assert answer.status == 200, body
            return body
        finally:
            connection.close()

    def record(self, request_id: str) -> Json:
        """Return the audit record of a request, once it is written."""

        def found() -> Json:
            entries = self.get("/gateway/audit?limit=1000")["entries"]
            return next((one for one in entries if one["request_id"] == request_id), None)

        return until(found)


StartGateway = Callable[..., GatewayProcess]


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
            stack.callback(_end, process)
            return GatewayProcess(home, _port(home, process), process)

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
        _end(process)


def _port(home: Path, process: subprocess.Popen[bytes]) -> int:
    log = home / "log"
    until(lambda: "Override rules loaded" in log.read_text() or process.poll() is not None)
    assert process.poll() is None, log.read_text()
    return int(json.loads((home / "daemon.pid").read_text())["gateway_port"])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(DEADLINE_S)
    finally:
        process.kill()
        process.wait()


# -- the SDKs' stage


WORDS = ("It ", "is ", "sünny.")
CALLS = (("call_1", "get_weather", {"town": "Ulm"}), ("call_2", "get_time", {"zone": "UTC+1"}))


@dataclass(frozen=True, slots=True)
class Stage:
    """One gateway before a provider of each format; which one is asked is said by the model.

    `own-claude` and `own-gpt` are paid with the client's own key, which only its own vendor is
    sent; `claude-…`, `gpt-…` and `demo` with one of the gateway's.
    """

    gateway: GatewayProcess
    messages: Provider
    chat: Provider
    words: tuple[str, ...] = WORDS
    calls: tuple[tuple[str, str, Json], ...] = CALLS

    def speak(self) -> None:
        """Let both providers answer as they should."""
        self.messages.script, self.chat.script = speak_messages, speak_chat


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
    keyed: Json = {"apiKeyRef": "env:STAGE_KEY", "maxRetries": 0, "timeoutSecs": 10}
    own: Json = {"maxRetries": 0, "timeoutSecs": 10}
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


# -- what the stage's providers say


def speak_messages(seen: Seen, connection: Connection) -> None:
    """Answer as the Anthropic API: with calls when tools are there and no results yet."""
    body = seen.json()
    calling = "tools" in body
    blocks: list[Json] = [{"type": "text", "text": "".join(WORDS)}]
    if calling:
        blocks += ({"type": "tool_use", "id": i, "name": n, "input": v} for i, n, v in CALLS)
    stop = "tool_use" if calling else "end_turn"
    message: Json = {"id": "msg_1", "type": "message", "role": "assistant", "content": blocks}
    message |= {"model": body["model"], "stop_reason": stop, "stop_sequence": None}
    message |= {"usage": {"input_tokens": 12, "output_tokens": 7}}
    if not body.get("stream"):
        connection.reply(200, message)
        return
    connection.begin_stream()
    for event in _message_events(message, blocks):
        connection.event(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    connection.end_stream()


def _message_events(message: Json, blocks: Sequence[Json]) -> Iterator[Json]:
    begun: Json = message | {"content": [], "stop_reason": None}
    begun["usage"] = {"input_tokens": 12, "output_tokens": 1}
    yield {"type": "message_start", "message": begun}
    yield {"type": "ping"}
    for index, block in enumerate(blocks):
        at = {"index": index}
        if block["type"] == "text":
            start: Json = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": word} for word in WORDS]
        else:
            start = block | {"input": {}}
            parts = _cut(json.dumps(block["input"]))
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
        yield {"type": "content_block_start", "content_block": start} | at
        yield from ({"type": "content_block_delta", "delta": delta} | at for delta in deltas)
        yield {"type": "content_block_stop"} | at
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}}
    yield {"type": "message_stop"}


def speak_chat(seen: Seen, connection: Connection) -> None:
    """Answer as the OpenAI API does."""
    body = seen.json()
    calling = "tools" in body
    calls = [
        {"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(given)}}
        for i, n, given in CALLS
    ]
    message: Json = {"role": "assistant", "content": "".join(WORDS)}
    message |= {"tool_calls": calls} if calling else {}
    stop = "tool_calls" if calling else "stop"
    base: Json = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
    usage = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": stop}
        document = base | {"object": "chat.completion", "choices": [choice], "usage": usage}
        connection.reply(200, document)
        return
    connection.begin_stream()
    for delta, reason in _chat_deltas(calls if calling else (), stop):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        connection.event(_data(base | {"object": "chat.completion.chunk", "choices": [choice]}))
    if body.get("stream_options", {}).get("include_usage"):
        last = {"object": "chat.completion.chunk", "choices": [], "usage": usage}
        connection.event(_data(base | last))
    connection.event(b"data: [DONE]\n\n")
    connection.end_stream()


def _chat_deltas(calls: Iterable[Json], stop: str) -> Iterator[tuple[Json, str | None]]:
    yield {"role": "assistant", "content": ""}, None
    yield from (({"content": word}, None) for word in WORDS)
    for index, call in enumerate(calls):
        function = call["function"]
        opening = call | {"index": index, "function": function | {"arguments": ""}}
        yield {"tool_calls": [opening]}, None
        for part in _cut(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}, None
    yield {}, stop


def _data(document: Json) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()


def _cut(text: str) -> list[str]:
    return [text[at : at + 5] for at in range(0, len(text), 5)]
