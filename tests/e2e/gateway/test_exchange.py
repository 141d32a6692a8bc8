"""The application behind the real server, a scripted provider on loopback, real clients."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import pytest

from gateway.app import Application
from gateway.config import Settings, load
from gateway.serve.http_server import HttpServer, Limits
from gateway.wire.workers import ReloadOutcome, WorkerIdentity, WorkerRecord, WorkerState

SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
BODY = b'{ "stream" : false,\n "model":"%s" , "x":[1.0e0, "\\u00e9\xc3\xa9"],"max_tokens":5 }'
PLAIN = BODY % SONNET.encode()
MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"%s","content":[{"type":"text",'
    b'"text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,\n "usage":{"input_tokens":1000,'
    b'"output_tokens":500}}'
)
JSON = (b"content-type", b"application/json")
SSE = (b"content-type", b"text/event-stream; charset=utf-8")

Json = Any  # a parsed document whose shape the assertions state
Headers = tuple[tuple[bytes, bytes], ...]


def sse(name: str, document: Json) -> bytes:
    return f"event: {name}\ndata: {json.dumps(document)}\n\n".encode()


def start_event(model: str = SONNET) -> bytes:
    usage = {"input_tokens": 1000, "output_tokens": 1, "cache_read_input_tokens": 10}
    message: dict[str, Json] = {"id": "msg_1", "type": "message", "role": "assistant"}
    message |= {"model": model, "usage": usage, "stop_reason": None, "stop_sequence": None}
    message |= {"content": []}
    return sse("message_start", {"type": "message_start", "message": message})


def delta_event(text: str) -> bytes:
    delta = {"type": "text_delta", "text": text}
    return sse("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta})


BLOCK_START = sse(
    "content_block_start",
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": "", "citations": None},
    },
)
ENDING = (
    sse("content_block_stop", {"type": "content_block_stop", "index": 0})
    + sse(
        "message_delta",
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 500},
        },
    )
    + sse("message_stop", {"type": "message_stop"})
)


@dataclass(slots=True)
class Seen:
    """One request as the provider received it."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes


Script = Callable[[Seen, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(status: int, headers: Headers, body: bytes) -> Script:
    async def script(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = [b"HTTP/1.1 %d Any" % status, *(b"%b: %b" % header for header in headers)]
        lines += [b"content-length: %d" % len(body), b"", b""]
        writer.write(b"\r\n".join(lines) + body)

    return script


def streaming(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> Script:
    async def script(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(stream_head())
        for piece in pieces:
            writer.write(chunk(piece))
            await writer.drain()
        writer.write(end)
        if not end:
            writer.close()

    return script


def stream_head(*more: tuple[bytes, bytes]) -> bytes:
    lines = [b"%b: %b" % header for header in (SSE, *more)]
    return b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"transfer-encoding: chunked", b"", b""])


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


@dataclass(slots=True)
class Provider:
    """An HTTP server that does what its script says, byte for byte."""

    script: Script
    port: int = 0
    seen: list[Seen] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
                method, target, _ = head[0].split(b" ")
                headers = tuple(_pair(line) for line in head[1:-2])
                length = int(dict(headers).get(b"content-length", b"0"))
                request = Seen(method, target, headers, await reader.readexactly(length))
                self.seen.append(request)
                await self.script(request, reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as a client received it; `whole` is false when the framing was cut."""

    status: int
    headers: Headers
    body: bytes
    whole: bool

    def header(self, name: bytes) -> bytes:
        return dict(self.headers)[name]

    def json(self) -> Json:
        return json.loads(self.body)


class OneWorker:
    """A supervisor with one worker."""

    async def workers(self) -> tuple[WorkerRecord, ...]:
        return (WorkerRecord(0, 1, "boot", "f" * 16, WorkerState.SERVING, "2026-01-01T00:00:00Z"),)

    async def last_reload(self) -> ReloadOutcome | None:
        return None

    def shut_down(self) -> None:
        raise AssertionError("nobody asked for the end")


@dataclass(slots=True)
class Gateway:
    """A running application and its provider."""

    app: Application
    provider: Provider
    port: int
    settings: Settings

    async def call(
        self, path: str, body: bytes = b"", method: str = "POST", headers: Headers = ()
    ) -> Reply:
        reader, writer = await self.connect(path, body, method, headers)
        raw = await reader.read()
        writer.close()
        return parse(raw)

    async def connect(
        self, path: str, body: bytes = b"", method: str = "POST", headers: Headers = ()
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: 127.0.0.1", b"Connection: close"]
        lines += [b"%b: %b" % header for header in headers]
        lines += [b"Content-Length: %d" % len(body), b"", b""]
        writer.write(b"\r\n".join(lines) + body)
        return reader, writer

    async def get(self, path: str) -> Json:
        return (await self.call(path, method="GET")).json()

    async def audit(self, query: str = "") -> list[Json]:
        found = await self.get(f"/gateway/audit?limit=1000&{query}")
        entries: list[Json] = found["entries"]
        assert found["total"] >= len(entries)
        return entries


def parse(raw: bytes) -> Reply:
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    headers = tuple(_pair(line) for line in lines[1:])
    names = dict(headers)
    whole = True
    if names.get(b"transfer-encoding") == b"chunked":
        rest, whole = unchunk(rest)
    elif b"content-length" in names:
        whole = len(rest) == int(names[b"content-length"])
    return Reply(int(lines[0].split()[1]), headers, rest, whole)


def unchunk(data: bytes) -> tuple[bytes, bool]:
    body = b""
    while True:
        size, found, data = data.partition(b"\r\n")
        if not found:
            return body, False
        length = int(size, 16)
        body += data[:length]
        if length == 0:
            return body, data == b"\r\n"
        data = data[length + 2 :]


def _pair(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip()


def write_config(
    folder: Path, base_url: str, rules: list[list[str]] | None, provider: dict[str, Any]
) -> None:  # Any: JSON values
    folder.mkdir(parents=True, exist_ok=True)
    if rules is not None:
        text = f"[overrides]\nenabled = true\nrules = {json.dumps(rules)}\n"
        (folder / "model-overrides.toml").write_text(text)
    entry = {"providerType": "anthropic", "baseUrl": base_url, "timeoutSecs": 5, "maxRetries": 0}
    entry |= provider
    document = {"llmGateway": {"providers": {"anthropic": entry}}}
    (folder / "orchestra-config.json").write_text(json.dumps(document))


@asynccontextmanager
async def running(
    home: Path,
    script: Script,
    *,
    rules: list[list[str]] | None = None,
    **provider_settings: object,
) -> AsyncIterator[Gateway]:
    provider = Provider(script)
    upstream = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.port = upstream.sockets[0].getsockname()[1]
    base_url = f"http://127.0.0.1:{provider.port}"
    write_config(home / "config", base_url, rules, dict(provider_settings))
    settings = load(home / "config", home)
    identity = WorkerIdentity(0, 1, "boot", "127.0.0.1:0")
    app = await Application.open(settings, identity, OneWorker())
    server = HttpServer(app.handle, Limits())
    listener = await asyncio.get_running_loop().create_server(server.protocol, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield Gateway(app, provider, port, settings)
    finally:
        listener.close()
        app.begin_draining()
        assert await server.drain(0, 5)
        await app.close()
        upstream.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Poll a condition for at most five seconds."""
    async with asyncio.timeout(5):
        while not await condition():  # the state is behind a socket: no event
            await asyncio.sleep(0.01)


CLIENT_HEADERS: Headers = (
    (b"X-Api-Key", b"sk-ant-client"),
    (b"anthropic-version", b"2023-06-01"),
    (b"anthropic-beta", b"a,b"),
    (b"X-Stainless-Retry-Count", b"0"),
    (b"X-Agent-Type", b"reviewer"),
    (b"Accept-Encoding", b"gzip, br"),
)


def test_request_without_rule_is_forwarded_byte_for_byte(tmp_path: Path) -> None:
    async def main() -> None:
        answer = answering(200, (JSON, (b"request-id", b"req_1")), MESSAGE % SONNET.encode())
        async with running(tmp_path, answer) as gateway:
            reply = await gateway.call(
                "/v1/messages?beta=true&x=%41", PLAIN, "POST", CLIENT_HEADERS
            )
            seen = gateway.provider.seen[0]
            assert (seen.method, seen.target, seen.body) == (
                b"POST",
                b"/v1/messages?beta=true&x=%41",
                PLAIN,
            )
            kept = [header for header in seen.headers if header[0] != b"host"]
            assert kept == [
                (b"x-api-key", b"sk-ant-client"),
                (b"anthropic-version", b"2023-06-01"),
                (b"anthropic-beta", b"a,b"),
                (b"x-stainless-retry-count", b"0"),
                (b"accept-encoding", b"identity"),
                (b"content-length", b"%d" % len(PLAIN)),
            ]
            assert reply.body == MESSAGE % SONNET.encode()
            assert reply.whole
            assert reply.header(b"request-id") == b"req_1"
            assert reply.header(b"x-gateway-cost-usd") == b"0.0105"
            assert reply.header(b"x-gateway-model") == SONNET.encode()
            assert b"x-gateway-override" not in dict(reply.headers)
            (entry,) = await gateway.audit()
            assert entry["request_id"].encode() == reply.header(b"x-gateway-request-id")
            assert (entry["success"], entry["cost_usd"], entry["seq"]) == (True, 0.0105, 1)
            assert (entry["agent_type"], entry["agent_source"]) == ("reviewer", "header")
            assert entry["upstream_request_id"] == "req_1"
            assert entry["request_shape"]["max_tokens"] == 5

    asyncio.run(main())


def test_override_changes_the_model_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        answer = answering(200, (JSON,), MESSAGE % HAIKU.encode())
        async with running(tmp_path, answer, rules=[[SONNET, HAIKU]]) as gateway:
            reply = await gateway.call("/v1/messages", PLAIN)
            assert gateway.provider.seen[0].body == BODY % HAIKU.encode()
            assert reply.header(b"x-gateway-override") == f"{SONNET}=>{HAIKU}".encode()
            assert reply.header(b"x-gateway-cost-usd") == b"0.0035"
            other = await gateway.call("/v1/messages", BODY % b"claude-opus-4-5")
            assert b"x-gateway-override" not in dict(other.headers)
            stats = await gateway.get("/api/overrides/stats")
            (recent,) = stats.pop("recent_overrides")
            assert (recent["original_model"], recent["override_to"]) == (SONNET, HAIKU)
            assert stats == {
                "total_overrides": 1,
                "overrides_enabled": True,
                "total_requests": 2,
                "unmatched_requests": 1,
                "overrides_by_model": {
                    SONNET: {
                        "overridden_to": HAIKU,
                        "count": 1,
                        "percentage": 100.0,
                        "cost_saved": "$0.01",
                        "cost_saved_usd": 0.007,
                    }
                },
            }

    with caplog.at_level(logging.INFO):
        asyncio.run(main())
    lines = [record.getMessage() for record in caplog.records]
    assert lines.count(f"Model override: {SONNET} → {HAIKU}") == 1
    assert lines.count("Override count: 1") == 1
    assert lines.count("Forwarding to provider: anthropic") == 2
    assert "Routing request: agent_type=main, provider=anthropic, reason=default" in lines


def test_stream_arrives_event_by_event_and_is_metered(tmp_path: Path) -> None:
    async def main() -> None:
        received = asyncio.Event()

        async def script(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(stream_head() + chunk(start_event()) + chunk(BLOCK_START))
            await received.wait()  # nothing more comes before the client has seen the first events
            for cut in range(0, len(ENDING), 7):
                writer.write(chunk(ENDING[cut : cut + 7]))
                await writer.drain()
            writer.write(b"0\r\n\r\n")

        async with running(tmp_path, script) as gateway:
            body = PLAIN.replace(b"false", b"true")
            reader, writer = await gateway.connect("/v1/messages", body)
            first = await reader.readuntil(b'"content_block_start"')
            received.set()
            reply = parse(first + await reader.read())
            writer.close()
            assert reply.body == start_event() + BLOCK_START + ENDING
            assert reply.whole
            (entry,) = await gateway.audit()
            assert (entry["success"], entry["partial"], entry["stream"]) == (True, False, True)
            assert (entry["input_tokens"], entry["output_tokens"]) == (1000, 500)
            assert entry["cache_read_tokens"] == 10
            assert entry["ttft_ms"] <= entry["latency_ms"]

    asyncio.run(main())


def test_held_end_of_a_stream_does_not_wait_for_a_slow_provider_to_close(tmp_path: Path) -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def script(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(stream_head() + chunk(start_event() + ENDING))
            await ended.wait()
            writer.write(b"0\r\n\r\n")

        async with running(tmp_path, script) as gateway:
            reader, writer = await gateway.connect("/v1/messages", PLAIN)
            async with asyncio.timeout(5):
                await reader.readuntil(b'data: {"type": "message_stop"}\n\n')
            assert len(await gateway.audit()) == 1
            ended.set()
            await reader.read()
            writer.close()

    asyncio.run(main())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503, 529])
def test_upstream_errors_pass_untouched(tmp_path: Path, status: int) -> None:
    body = b'{"type":"error", "error":{"type":"any","message":"no sk-ant-api03-abcdef for you"}}'
    headers: Headers = ((b"retry-after", b"7"), (b"request-id", b"req_9"))
    headers += ((b"anthropic-ratelimit-requests-remaining", b"0"),)

    async def main() -> None:
        async with running(tmp_path, answering(status, (JSON, *headers), body)) as gateway:
            reply = await gateway.call("/v1/messages", PLAIN)
            assert (reply.status, reply.body) == (status, body)
            assert set(headers) <= set(reply.headers)
            (entry,) = await gateway.audit()
            assert (entry["status"], entry["success"], entry["cost_usd"]) == (status, False, None)
            assert entry["error_message"].startswith(f"HTTP {status}: no ***")
            assert "abcdef" not in entry["error_message"]

    asyncio.run(main())


def test_refusal_of_the_gateways_own_key_is_503(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_GATEWAY_KEY", "sk-ant-own")

    async def main() -> None:
        script = answering(401, (JSON,), b'{"error":{"message":"invalid key"}}')
        async with running(tmp_path, script, apiKeyRef="env:TEST_GATEWAY_KEY") as gateway:
            reply = await gateway.call("/v1/messages", PLAIN, "POST", CLIENT_HEADERS)
            assert reply.status == 503
            assert "invalid key" in reply.json()["error"]["message"]
            sent = dict(gateway.provider.seen[0].headers)
            assert sent[b"x-api-key"] == b"sk-ant-own"

    asyncio.run(main())


def test_unresolved_key_is_503_and_the_clients_key_stays_home(tmp_path: Path) -> None:
    async def main() -> None:
        script = answering(200, (JSON,), MESSAGE % b"x")
        async with running(tmp_path, script, apiKeyRef="env:NOT_SET_ANYWHERE") as gateway:
            reply = await gateway.call("/v1/messages", PLAIN, "POST", CLIENT_HEADERS)
            assert reply.status == 503
            assert "NOT_SET_ANYWHERE" in reply.json()["error"]["message"]
            assert gateway.provider.seen == []
            assert (await gateway.get("/gateway/health"))["status"] == "unhealthy"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("pieces", "end", "told"),
    [
        ((start_event(), delta_event("a")), b"", False),
        ((start_event(), delta_event("a")[:-30]), b"", False),
        ((start_event(), delta_event("a")), b"0\r\n\r\n", False),
        (
            (start_event(), sse("error", {"type": "error", "error": {"type": "overloaded_error"}})),
            b"0\r\n\r\n",
            True,
        ),
    ],
    ids=["cut", "cut-mid-line", "no-message-stop", "error-event"],
)
def test_broken_stream_ends_in_one_error_event(
    tmp_path: Path, pieces: tuple[bytes, ...], end: bytes, *, told: bool
) -> None:
    async def main() -> None:
        async with running(tmp_path, streaming(*pieces, end=end)) as gateway:
            reply = await gateway.call("/v1/messages", PLAIN)
            assert reply.body.startswith(b"".join(pieces))
            assert reply.whole
            assert reply.body.count(b"event: error") == 1
            last = reply.body.rstrip().rpartition(b"\n")[2]
            if not told:
                document = json.loads(last.removeprefix(b"data: "))
                assert document["error"]["type"] == "api_error"
                assert document["request_id"].encode() == reply.header(b"x-gateway-request-id")
            (entry,) = await gateway.audit()
            assert (entry["success"], entry["partial"], entry["status"]) == (False, True, 200)
            assert entry["input_tokens"] == 1000
            assert entry["error_message"]

    asyncio.run(main())


def test_client_that_leaves_cancels_the_provider_and_is_recorded(tmp_path: Path) -> None:
    async def main() -> None:
        cancelled = asyncio.Event()

        async def script(
            _: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(stream_head() + chunk(start_event() + delta_event("a") + delta_event("b")))
            try:
                await reader.read()
            finally:
                cancelled.set()

        async with running(tmp_path, script) as gateway:
            reader, writer = await gateway.connect("/v1/messages", PLAIN)
            await reader.readuntil(b'"b"')
            writer.close()
            async with asyncio.timeout(5):
                await cancelled.wait()

            async def recorded() -> bool:
                return bool(await gateway.audit())

            await until(recorded)
            (entry,) = await gateway.audit()
            assert (entry["success"], entry["partial"]) == (False, True)
            assert entry["output_tokens"] == 2, "one token a delta at least"
            assert entry["cost_usd"] is not None

    asyncio.run(main())


def test_client_that_leaves_before_the_answer_is_recorded_as_499(tmp_path: Path) -> None:
    async def main() -> None:
        asked = asyncio.Event()

        async def script(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
            asked.set()
            await reader.read()

        async with running(tmp_path, script) as gateway:
            _, writer = await gateway.connect("/v1/messages", PLAIN)
            await asked.wait()
            writer.close()

            async def recorded() -> bool:
                return bool(await gateway.audit())

            await until(recorded)
            (entry,) = await gateway.audit()
            assert (entry["status"], entry["success"], entry["partial"]) == (499, False, False)

    asyncio.run(main())


async def _say_nothing(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await reader.read()


async def _cut_json(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
    )
    writer.close()


async def _garbage(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-none\r\n\r\n")
    writer.close()


@pytest.mark.parametrize(
    ("script", "status"),
    [(_say_nothing, 504), (_cut_json, 502), (_garbage, 502)],
    ids=["silent", "cut", "garbage"],
)
def test_provider_that_fails_before_an_answer_is_a_gateway_error(
    tmp_path: Path, script: Script, status: int
) -> None:
    async def main() -> None:
        async with running(tmp_path, script, timeoutSecs=0.2) as gateway:
            reply = await gateway.call("/v1/messages", PLAIN)
            document = reply.json()
            assert (reply.status, document["type"]) == (status, "error")
            assert document["error"]["type"] == "api_error"
            assert document["request_id"].encode() == reply.header(b"x-gateway-request-id")
            (entry,) = await gateway.audit()
            assert (entry["status"], entry["success"]) == (status, False)

    asyncio.run(main())


def test_dead_provider_is_502_and_unhealthy(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, _garbage, baseUrl="http://127.0.0.1:1") as gateway:
            assert (await gateway.call("/v1/messages", PLAIN)).status == 502
            assert (await gateway.get("/gateway/health"))["providers"] == {"anthropic": False}
            assert (await gateway.get("/health"))["status"] == "ok"

    asyncio.run(main())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"{}",
        b'{"model":1}',
        b'{"model":""}',
        b'{"model":"a","model":"b"}',
        b'{"stream":true,"model":"a","str\\u0065am":false}',
        b'{"model":"a","x":"\xff"}',
        b'{"model":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=range(10),
)
def test_bad_body_is_400_and_recorded(tmp_path: Path, body: bytes) -> None:
    async def main() -> None:
        async with running(tmp_path, _garbage) as gateway:
            reply = await gateway.call("/v1/messages", body)
            assert reply.status == 400
            assert reply.json()["error"]["type"] == "invalid_request_error"
            assert gateway.provider.seen == []
            (entry,) = await gateway.audit()
            assert entry["request_id"].encode() == reply.header(b"x-gateway-request-id")
            assert (entry["status"], entry["model"]) == (400, None)

    asyncio.run(main())


def test_token_count_is_overridden_but_not_counted(tmp_path: Path) -> None:
    async def main() -> None:
        answer = answering(200, (JSON,), b'{"input_tokens":7}')
        async with running(tmp_path, answer, rules=[[SONNET, HAIKU]]) as gateway:
            reply = await gateway.call("/v1/messages/count_tokens?beta=true", PLAIN)
            assert reply.body == b'{"input_tokens":7}'
            assert gateway.provider.seen[0].body == BODY % HAIKU.encode()
            stats = await gateway.get("/api/overrides/stats")
            assert (stats["total_overrides"], stats["total_requests"]) == (0, 0)
            (entry,) = await gateway.audit()
            assert (entry["endpoint"], entry["cost_usd"]) == ("count_tokens", 0)

    asyncio.run(main())


def test_encoded_answer_passes_untouched_and_is_not_metered(tmp_path: Path) -> None:
    async def main() -> None:
        body = bytes(range(256))
        script = answering(200, (JSON, (b"content-encoding", b"gzip")), body)
        async with running(tmp_path, script) as gateway:
            reply = await gateway.call("/v1/messages", PLAIN)
            assert (reply.body, reply.header(b"content-encoding")) == (body, b"gzip")
            (entry,) = await gateway.audit()
            assert (entry["success"], entry["input_tokens"], entry["cost_usd"]) == (
                True,
                None,
                None,
            )

    asyncio.run(main())


def test_large_answer_is_streamed_without_cost_headers(tmp_path: Path) -> None:
    async def main() -> None:
        body = b'{"a":"' + b"x" * (9 << 20) + b'"}'
        async with running(tmp_path, answering(200, (JSON,), body)) as gateway:
            reply = await gateway.call("/v1/messages", PLAIN)
            assert reply.body == body
            assert reply.whole
            assert b"x-gateway-cost-usd" not in dict(reply.headers)
            assert len(await gateway.audit()) == 1

    asyncio.run(main())


def test_every_answer_has_one_record_and_the_sums_agree(tmp_path: Path) -> None:
    async def main() -> None:
        async def script(
            seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            stream = b'"stream":true' in seen.body
            kind = streaming(start_event(), ENDING) if stream else answering(200, (JSON,), MESSAGE)
            await kind(seen, reader, writer)

        async with running(tmp_path, script, rules=[[SONNET, HAIKU]]) as gateway:
            bodies = [
                json.dumps({"model": model, "stream": stream}, separators=(",", ":")).encode()
                for model in (SONNET, "claude-opus-4-5", "unknown-model")
                for stream in (True, False)
            ] + [b"broken"]
            replies = await asyncio.gather(
                *(gateway.call("/v1/messages", body) for body in bodies * 20)
            )
            ids = {reply.header(b"x-gateway-request-id").decode() for reply in replies}
            entries = await gateway.audit()
            assert len(ids) == len(entries) == 140
            assert {entry["request_id"] for entry in entries} == ids
            assert sorted(entry["seq"] for entry in entries) == list(range(1, 141))
            summary = (await gateway.get("/gateway/metrics"))["summary"]
            assert (summary["total_requests"], summary["failed_requests"]) == (140, 20)
            stats = await gateway.get("/api/overrides/stats")
            assert (stats["total_overrides"], stats["unmatched_requests"]) == (40, 100)
            some = sorted(ids)[:3]
            found = await gateway.get(f"/gateway/audit?request_id={some[0]},{some[1]}&limit=1")
            assert (found["total"], len(found["entries"])) == (2, 1)
            repeated = "&".join(f"request_id={name}" for name in some)
            assert (await gateway.get(f"/gateway/audit?{repeated}"))["total"] == 3

    asyncio.run(main())


def test_statistics_survive_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        answer = answering(200, (JSON,), MESSAGE % HAIKU.encode())
        for expected in (1, 2):
            async with running(tmp_path, answer, rules=[[SONNET, HAIKU]]) as gateway:
                await gateway.call("/v1/messages", PLAIN)
                stats = await gateway.get("/api/overrides/stats")
                assert stats["total_overrides"] == expected

    asyncio.run(main())


def test_locked_ledger_delays_no_answer_for_long(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, streaming(start_event(), ENDING)) as gateway:
            other = sqlite3.connect(gateway.settings.audit.db_path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            reply = await gateway.call("/v1/messages", PLAIN)
            assert reply.body == start_event() + ENDING
            health = await gateway.get("/gateway/health")
            assert health["audit"]["late_commits"] == 1
            other.execute("ROLLBACK")
            other.close()

            async def recorded() -> bool:
                return bool(await gateway.audit())

            await until(recorded)

    asyncio.run(main())


def test_broken_ledger_degrades_health_and_fails_no_request(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, answering(200, (JSON,), MESSAGE % HAIKU.encode())) as gateway:
            other = sqlite3.connect(gateway.settings.audit.db_path)
            other.execute("DROP TABLE totals")
            other.close()
            assert (await gateway.call("/v1/messages", PLAIN)).status == 200
            health = await gateway.get("/gateway/health")
            assert (health["status"], health["audit"]["write_failures"]) == ("degraded", 1)
            assert (await gateway.call("/ready", method="GET")).status == 200
            assert (await gateway.call("/gateway/metrics", method="GET")).status == 503

    asyncio.run(main())


def test_provider_is_up_when_it_answers_anything_and_is_asked_rarely(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, answering(404, (JSON,), b"{}")) as gateway:
            found = await asyncio.gather(*(gateway.get("/gateway/health") for _ in range(5)))
            assert {health["status"] for health in found} == {"healthy"}
            (row,) = (await gateway.get("/gateway/providers"))["providers"]
            assert (row["name"], row["healthy"], row["enabled"]) == ("anthropic", True, True)
            asked = [(seen.method, seen.target) for seen in gateway.provider.seen]
            assert asked == [(b"GET", b"/")]

    asyncio.run(main())


def test_encoded_stream_is_passed_on_as_it_comes(tmp_path: Path) -> None:
    async def main() -> None:
        received = asyncio.Event()

        async def script(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(stream_head((b"content-encoding", b"gzip")) + chunk(b"first"))
            await received.wait()
            writer.write(chunk(b"second") + b"0\r\n\r\n")

        async with running(tmp_path, script) as gateway:
            reader, writer = await gateway.connect("/v1/messages", PLAIN)
            first = await reader.readuntil(b"first")
            received.set()
            reply = parse(first + await reader.read())
            writer.close()
            assert (reply.body, reply.whole) == (b"firstsecond", True)
            (entry,) = await gateway.audit()
            assert (entry["success"], entry["output_tokens"]) == (True, None)

    asyncio.run(main())


def test_agent_named_in_the_body_is_recorded_and_not_forwarded(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, answering(200, (JSON,), MESSAGE % b"m")) as gateway:
            await gateway.call("/v1/messages", b'{"agent_type":"qa","model":"m"}')
            assert gateway.provider.seen[0].body == b'{"model":"m"}'
            (entry,) = await gateway.audit("agent_type=qa")
            assert entry["agent_source"] == "body"

    asyncio.run(main())


def test_no_credential_reaches_log_or_ledger(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = (b"sk-ant-client-0123456789", b"c00kie-0123456789")

    async def main() -> None:
        echo = b'{"error":{"message":"bad x-api-key: %b in Cookie: %b"}}' % secrets
        headers = ((b"x-api-key", secrets[0]), (b"cookie", secrets[1]), (b"user-agent", secrets[0]))
        async with running(tmp_path, answering(401, (JSON,), echo)) as gateway:
            assert (await gateway.call("/v1/messages", PLAIN, "POST", headers)).body == echo
            assert len(await gateway.audit()) == 1

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert b"HTTP 401" in kept
    for secret in secrets:
        assert secret not in kept
        assert secret.decode() not in caplog.text


def test_doubled_v1_and_models_are_served(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, answering(200, (JSON,), b'{"data":[]}')) as gateway:
            assert (await gateway.call("/v1/v1/messages?a=b", PLAIN)).status == 200
            assert (await gateway.call("/v1/models?limit=1000", method="GET")).status == 200
            assert (await gateway.call("/v1/models/x", method="GET")).body == b'{"data":[]}'
            targets = [seen.target for seen in gateway.provider.seen]
            assert targets == [b"/v1/messages?a=b", b"/v1/models?limit=1000", b"/v1/models/x"]
            assert len(await gateway.audit()) == 1

    asyncio.run(main())


HEALTH_KEYS = (
    "status version uptime uptime_seconds overrides_enabled override_rules cache_hits cache_misses"
    " config_fingerprint instance worker workers boot_id"
)
METRIC_KEYS = "summary by_agent by_provider by_model recent"
MACHINE_KEYS = "totalCost activeProjects totalCalls totalTokens projects models chartData"


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/health", HEALTH_KEYS),
        ("/ready", "ready version timestamp"),
        ("/gateway/workers", "workers reload"),
        ("/gateway/health", "status providers routing audit config_fingerprint"),
        ("/gateway/metrics", METRIC_KEYS),
        ("/gateway/metrics?include_agent=false&include_project=true", "by_project "
         + METRIC_KEYS.replace("by_agent", "")),
        ("/gateway/providers", "providers"),
        ("/gateway/audit?success=true&start_time=2026-01-01T00:00:00%2B01:00", "entries total"),
        ("/api/machine/stats", MACHINE_KEYS),
    ],
)  # fmt: skip
def test_operator_answers_have_all_their_keys(tmp_path: Path, path: str, keys: str) -> None:
    async def main() -> None:
        async with running(tmp_path, answering(200, (JSON,), MESSAGE % HAIKU.encode())) as gateway:
            await gateway.call("/v1/messages", PLAIN)
            reply = await gateway.call(path, method="GET")
            assert reply.status == 200
            assert set(reply.json()) == set(keys.split())
            assert reply.header(b"x-gateway-request-id")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", (), 404),
        ("POST", "/health", (), 405),
        ("GET", "/v1/messages", (), 405),
        ("GET", "/gateway/audit?limit=x", (), 400),
        ("GET", "/gateway/audit?success=maybe", (), 400),
        ("GET", "/gateway/audit?start_time=yesterday", (), 400),
        ("GET", "/gateway/audit?start_time=2026-01-01", (), 400),
        ("GET", "/gateway/audit?include_bodies=true", (), 401),
        ("POST", "/gateway/metrics/reset", (), 401),
        ("POST", "/api/shutdown", ((b"authorization", b"Bearer x"),), 401),
        ("GET", "/api/shutdown", (), 405),
        ("GET", "/gateway/audit", ((b"origin", b"https://evil.example"),), 403),
        ("HEAD", "/", (), 200),
        ("GET", "/", ((b"accept", b"text/html"),), 200),
    ],
)
def test_operator_api_answers_with_status(
    tmp_path: Path, method: str, path: str, headers: Headers, status: int
) -> None:
    async def main() -> None:
        async with running(tmp_path, _garbage) as gateway:
            reply = await gateway.call(path, b"", method, headers)
            assert reply.status == status
            if status >= 400:
                assert reply.json()["type"] == "error"
            if method == "HEAD":
                assert reply.body == b""

    asyncio.run(main())


def test_foreign_host_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, _garbage) as gateway:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(b"GET /gateway/audit HTTP/1.1\r\nHost: evil.example\r\n")
            writer.write(b"Connection: close\r\n\r\n")
            assert parse(await reader.read()).status == 403
            writer.close()

    asyncio.run(main())


def test_draining_worker_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, _garbage) as gateway:
            gateway.app.begin_draining()
            health = await gateway.call("/health", method="GET")
            assert (health.status, health.json()["status"]) == (503, "draining")
            assert (await gateway.call("/ready", method="GET")).status == 503

    asyncio.run(main())


def test_live_stream_shows_figures_and_overrides(tmp_path: Path) -> None:
    async def main() -> None:
        answer = answering(200, (JSON,), MESSAGE % HAIKU.encode())
        async with running(tmp_path, answer, rules=[[SONNET, HAIKU]]) as gateway:
            reader, writer = await gateway.connect("/api/stream", method="GET")
            first = await reader.readuntil(b"event: analytics\n")
            assert b"text/event-stream" in first
            document = json.loads((await reader.readline()).removeprefix(b"data: "))
            assert document["overrides"]["total_overrides"] == 0
            assert document["summary"]["total_requests"] == 0
            await gateway.call("/v1/messages", PLAIN)
            async with asyncio.timeout(5):
                await reader.readuntil(b"event: model_override\n")
            override = json.loads((await reader.readline()).removeprefix(b"data: "))
            assert override["override_to"] == HAIKU
            gateway.app.begin_draining()
            async with asyncio.timeout(5):
                await reader.read()
            writer.close()

    asyncio.run(main())


ASKED: Json = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "hi"}],
}


def test_sdk_reads_messages_and_streams_through_an_override(tmp_path: Path) -> None:
    async def main() -> None:
        async def script(
            seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            stream = json.loads(seen.body).get("stream")
            pieces = (
                start_event(HAIKU),
                BLOCK_START,
                delta_event("hé"),
                delta_event("llo"),
                ENDING,
            )
            kind = streaming(*pieces) if stream else answering(200, (JSON,), MESSAGE % b"m")
            await kind(seen, reader, writer)

        async with running(tmp_path, script, rules=[["claude-sonnet-5-5", HAIKU]]) as gateway:
            url = f"http://127.0.0.1:{gateway.port}"
            async with anthropic.AsyncAnthropic(base_url=url, api_key="sk-ant-test") as client:
                message = await client.messages.create(**ASKED)
                assert message.usage.output_tokens == 500
                async with client.messages.stream(**ASKED) as stream:
                    text = "".join([piece async for piece in stream.text_stream])
                    final = await stream.get_final_message()
                assert (text, final.usage.output_tokens) == ("héllo", 500)
            sent = [json.loads(seen.body)["model"] for seen in gateway.provider.seen]
            assert sent == [HAIKU, HAIKU]
            assert [entry["success"] for entry in await gateway.audit()] == [True, True]

    asyncio.run(main())


def test_sdk_sees_a_cut_stream_as_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        cut = streaming(start_event(), BLOCK_START, delta_event("a")[:-20], end=b"")
        async with running(tmp_path, cut) as gateway:
            url = f"http://127.0.0.1:{gateway.port}"
            async with anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client:
                with pytest.raises(anthropic.APIError):
                    async with client.messages.stream(**ASKED) as stream:
                        await stream.get_final_message()

    asyncio.run(main())
