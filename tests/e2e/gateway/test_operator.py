"""The operator's side of one worker: metrics, cache, bodies, access; over real connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Application
from gateway.config import load
from gateway.serve.http_server import HttpServer, Limits
from gateway.wire.workers import ReloadOutcome, WorkerIdentity, WorkerRecord, WorkerState

SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
KEY = "sk-ant-client-0123456789"
Json = Any  # a parsed document whose shape the assertions state


def sse(name: str, **rest: Json) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **rest})}\n\n".encode()


def the_stream(model: str) -> list[bytes]:
    usage = {"input_tokens": 10, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": model, "usage": usage}
    return [
        sse("message_start", message=message),
        sse("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        sse("content_block_delta", index=0, delta={"type": "text_delta", "text": "hi"}),
        sse("content_block_stop", index=0),
        sse("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}),
        sse("message_stop"),
    ]


@dataclass(slots=True)
class Provider:
    """Answers messages, whole or streamed; counts; a stream breaks off when told to."""

    calls: int = 0
    status: int = 200
    cut: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                body = json.loads(await reader.readexactly(length) or b"{}")
                self.calls += 1
                if body.get("stream"):
                    self._stream(writer, body["model"])
                else:
                    self._whole(writer, body.get("model", ""))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _whole(self, writer: asyncio.StreamWriter, model: str) -> None:
        usage = {"input_tokens": 10, "output_tokens": 5}
        text = f"answer {self.calls} token=abcdefgh12345678"
        answer = {"id": "m", "type": "message", "model": model, "usage": usage, "text": text}
        data = json.dumps(answer).encode()
        head = f"HTTP/1.1 {self.status} X\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)

    def _stream(self, writer: asyncio.StreamWriter, model: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        events = the_stream(model)[: 3 if self.cut else None]
        for event in events:
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        writer.write(b"0\r\n\r\n")


@dataclass(slots=True)
class Supervisor:
    """Knows one worker."""

    stopped: int = 0

    async def workers(self) -> tuple[WorkerRecord, ...]:
        return (WorkerRecord(0, 1, "boot", "f" * 16, WorkerState.SERVING, "2026-01-01T00:00:00Z"),)

    async def last_reload(self) -> ReloadOutcome | None:
        return None

    def shut_down(self) -> None:
        self.stopped += 1


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Json:
        return json.loads(self.body)


@dataclass(slots=True)
class Gateway:
    """A running worker."""

    home: Path
    port: int
    provider: Provider
    supervisor: Supervisor = field(default_factory=Supervisor)

    async def call(
        self, method: str, path: str, body: Json = None, headers: dict[str, str] | None = None
    ) -> Reply:
        data = b"" if body is None else json.dumps(body).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "connection: close"]
        sent = {"x-api-key": KEY} | (headers or {})
        lines += [f"{name}: {value}" for name, value in sent.items()]
        lines += [f"content-length: {len(data)}", "", ""]
        writer.write("\r\n".join(lines).encode() + data)
        async with asyncio.timeout(10):
            head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        status, *fields = head.decode().split("\r\n")
        found = dict(line.split(": ", 1) for line in fields)
        if found.get("transfer-encoding") == "chunked":
            rest = unchunk(rest)
        return Reply(int(status.split()[1]), found, rest)

    async def ask(self, **change: Json) -> Reply:
        body = {"model": SONNET, "max_tokens": 5, "temperature": 0, "messages": []} | change
        return await self.call("POST", "/v1/messages", body)

    async def metrics(self) -> dict[str, float]:
        text = (await self.call("GET", "/metrics")).body.decode()
        pairs = (line.rpartition(" ") for line in text.splitlines() if line[0] != "#")
        return {name: float(value) for name, _, value in pairs}

    @property
    def admin(self) -> dict[str, str]:
        return {"authorization": f"Bearer {(self.home / 'admin-token').read_text().strip()}"}


def unchunk(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        body += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return body


@asynccontextmanager
async def running(
    home: Path, *, own: str = "", audit: Json = None, rules: Json = ()
) -> AsyncIterator[Gateway]:
    provider = Provider()
    upstream = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}"
    config = home / "config"
    config.mkdir(exist_ok=True)
    entry = {"providerType": "anthropic", "baseUrl": url, "timeoutSecs": 5, "maxRetries": 0}
    document = {"llmGateway": {"providers": {"anthropic": entry}, "audit": audit or {}}}
    (config / "orchestra-config.json").write_text(json.dumps(document))
    (config / "gateway.toml").write_text(own)
    text = f"[overrides]\nenabled = true\nrules = {json.dumps(list(rules))}\n"
    (config / "model-overrides.toml").write_text(text)
    supervisor = Supervisor()
    identity = WorkerIdentity(0, 1, "boot", "127.0.0.1:0")
    app = await Application.open(load(config, home), identity, supervisor)
    server = HttpServer(app.handle, Limits())
    listener = await asyncio.get_running_loop().create_server(server.protocol, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield Gateway(home, port, provider, supervisor)
    finally:
        listener.close()
        app.begin_draining()
        assert await server.drain(0, 5)
        await app.close()
        upstream.close()


CACHE = "[cache]\nenabled = true\n"
REQUESTS = 'gateway_requests_total{{provider="anthropic",model="{}",status="{}",stream="{}"}}'


def test_metrics_count_requests_overrides_and_times(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, rules=[[SONNET, HAIKU]]) as gateway:
            before = await gateway.metrics()
            assert before[REQUESTS.format("other", 200, "true")] == 0
            await gateway.ask()
            await gateway.ask(stream=True)
            gateway.provider.status = 404
            await gateway.ask(model="unheard-of")
            gateway.provider.cut = True
            await gateway.ask(stream=True)
            found = await gateway.metrics()
            assert found[REQUESTS.format(HAIKU, 200, "false")] == 1
            assert found[REQUESTS.format(HAIKU, 200, "true")] == 2
            assert found[REQUESTS.format("other", 404, "false")] == 1
            rule = f'{{from="{SONNET}",to="{HAIKU}"}}'
            assert found[f"cco_overrides_total{rule}"] == 3
            assert found['gateway_streams_broken_total{cause="provider"}'] == 1
            assert found["gateway_streams_active"] == 0
            assert found["gateway_audit_records_total"] == 4
            assert found["cco_api_latency_count"] == 4
            assert found["gateway_ttft_seconds_count"] == 4
            assert found["gateway_overhead_seconds_count"] == 4
            assert found["gateway_cost_usd_total"] > 0
            assert found["cco_overrides_enabled"] == 1

    asyncio.run(main())


def test_metrics_come_in_the_format_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as gateway:
            plain = await gateway.call("GET", "/metrics")
            assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
            accept = {"accept": "application/openmetrics-text; version=1.0.0"}
            rich = await gateway.call("GET", "/metrics", None, accept)
            assert rich.headers["content-type"].startswith("application/openmetrics-text")
            assert rich.body.endswith(b"\n# EOF\n")

    asyncio.run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_cached_answer_is_the_first_one(tmp_path: Path, stream: bool) -> None:
    async def main() -> None:
        async with running(tmp_path, own=CACHE) as gateway:
            first = await gateway.ask(stream=stream)
            again = await gateway.ask(stream=stream, metadata={"user_id": "someone"})
            assert gateway.provider.calls == 1
            assert again.body == first.body
            assert again.headers["content-type"] == first.headers["content-type"]
            assert again.headers["x-gateway-cache"] == "hit"
            ids = {reply.headers["x-gateway-request-id"] for reply in (first, again)}
            entries = (await gateway.call("GET", "/gateway/audit")).json()["entries"]
            assert {entry["request_id"] for entry in entries} == ids
            assert [entry["cache"] for entry in entries] == ["hit", "miss"]
            assert [entry["success"] for entry in entries] == [True, True]
            assert [entry["stream"] for entry in entries] == [stream, stream]
            assert entries[0]["cost_usd"] == 0
            stats = (await gateway.call("GET", "/api/cache/stats")).json()
            held = stats.pop("memory_usage_bytes")
            assert held > len(first.body)
            assert stats == {
                "cache_hits": 1,
                "cache_misses": 1,
                "hit_rate": 0.5,
                "hit_rate_percent": 50.0,
                "total_requests": 2,
                "cached_items": 1,
                "redis": None,
            }
            health = (await gateway.call("GET", "/health")).json()
            assert (health["cache_hits"], health["cache_misses"]) == (1, 1)

    asyncio.run(main())


def test_replayed_stream_is_whole(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, own=CACHE) as gateway:
            await gateway.ask(stream=True)
            again = await gateway.ask(stream=True)
            assert again.body == b"".join(the_stream(SONNET))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("own", "change", "headers"),
    [
        ("", {}, {}),
        (CACHE, {"temperature": 1}, {}),
        (CACHE, {"tools": [{"name": "t", "input_schema": {}}]}, {}),
        (CACHE, {}, {"x-api-key": "sk-ant-somebody-else"}),
        (CACHE, {}, {"anthropic-beta": "other"}),
    ],
)
def test_answers_are_not_shared_beyond_the_same_request(
    tmp_path: Path, own: str, change: Json, headers: dict[str, str]
) -> None:
    async def main() -> None:
        body = {"model": SONNET, "max_tokens": 5, "temperature": 0, "messages": []} | change
        async with running(tmp_path, own=own) as gateway:
            await gateway.call("POST", "/v1/messages", body)
            reply = await gateway.call("POST", "/v1/messages", body, headers)
            assert gateway.provider.calls == 2
            assert "x-gateway-cache" not in reply.headers

    asyncio.run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_failed_and_broken_answers_are_not_kept(tmp_path: Path, stream: bool) -> None:
    async def main() -> None:
        async with running(tmp_path, own=CACHE) as gateway:
            gateway.provider.status, gateway.provider.cut = 404, True
            await gateway.ask(stream=stream)
            gateway.provider.status, gateway.provider.cut = 200, False
            reply = await gateway.ask(stream=stream)
            assert reply.status == 200
            assert gateway.provider.calls == 2

    asyncio.run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_bodies_are_kept_when_asked_for_and_shown_to_the_admin(
    tmp_path: Path, stream: bool
) -> None:
    async def main() -> None:
        audit = {"logRequestBodies": True, "logResponseBodies": True}
        async with running(tmp_path, audit=audit) as gateway:
            await gateway.ask(stream=stream, note=f"my key is {KEY}")
            path = "/gateway/audit?include_bodies=true"
            assert (await gateway.call("GET", path)).status == 401
            (entry,) = (await gateway.call("GET", path, None, gateway.admin)).json()["entries"]
            assert '"note": "my key is ***' in entry["request_body"]
            assert ("event: message_stop" if stream else "answer 1") in entry["response_body"]
            assert "abcdefgh12345678" not in entry["response_body"]
            plain = (await gateway.call("GET", "/gateway/audit")).json()["entries"][0]
            assert "request_body" not in plain
            health = (await gateway.call("GET", "/gateway/health")).json()["audit"]
            assert (health["log_request_bodies"], health["log_response_bodies"]) == (True, True)

    asyncio.run(main())
    for file in tmp_path.glob("ledger.db*"):
        assert KEY.encode() not in file.read_bytes()


def test_bodies_are_kept_of_the_named_projects_only(tmp_path: Path) -> None:
    async def main() -> None:
        audit = {"logRequestBodies": True, "logResponseBodies": True}
        own = '[bodies]\nprojects = ["apollo"]\n'
        async with running(tmp_path, own=own, audit=audit) as gateway:
            for project in ("apollo", "gemini"):
                await gateway.ask(project_id=project)
            await gateway.ask()
            path = "/gateway/audit?include_bodies=true"
            entries = (await gateway.call("GET", path, None, gateway.admin)).json()["entries"]
            kept = {
                one["project_id"]: (one["request_body"], one["response_body"]) for one in entries
            }
            assert all(kept.pop("apollo"))
            assert kept == {"gemini": (None, None), None: (None, None)}

    asyncio.run(main())


def test_bodies_are_not_kept_unasked(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as gateway:
            await gateway.ask(note="a private matter")
            path = "/gateway/audit?include_bodies=true"
            (entry,) = (await gateway.call("GET", path, None, gateway.admin)).json()["entries"]
            assert (entry["request_body"], entry["response_body"]) == (None, None)

    asyncio.run(main())
    for file in tmp_path.glob("ledger.db*"):
        assert b"a private matter" not in file.read_bytes()


def test_reset_lets_metrics_begin_anew_and_keeps_the_records(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as gateway:
            await gateway.ask()
            reply = await gateway.call("POST", "/gateway/metrics/reset", None, gateway.admin)
            assert (reply.status, reply.json()["status"]) == (200, "ok")
            summary = (await gateway.call("GET", "/gateway/metrics")).json()["summary"]
            assert summary["total_requests"] == 0
            assert (await gateway.call("GET", "/gateway/audit")).json()["total"] == 1
            assert (await gateway.call("GET", "/api/machine/stats")).json()["totalCalls"] == 1
            assert (await gateway.metrics())["gateway_audit_records_total"] == 1

    asyncio.run(main())


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}])
@pytest.mark.parametrize("path", ["/gateway/metrics/reset", "/api/shutdown"])
def test_changes_need_the_admin_token(tmp_path: Path, path: str, headers: dict[str, str]) -> None:
    async def main() -> None:
        async with running(tmp_path) as gateway:
            assert (await gateway.call("POST", path, None, headers)).status == 401
            assert (await gateway.call("GET", path, None, gateway.admin)).status == 405
            foreign = gateway.admin | {"origin": "https://evil.example"}
            assert (await gateway.call("POST", path, None, foreign)).status == 403
            assert gateway.supervisor.stopped == 0

    asyncio.run(main())


def test_shutdown_asks_the_supervisor(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as gateway:
            reply = await gateway.call("POST", "/api/shutdown", None, gateway.admin)
            assert reply.json()["status"] == "shutdown_initiated"
            assert gateway.supervisor.stopped == 1

    asyncio.run(main())
