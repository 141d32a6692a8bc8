"""The operator's side of one worker: metrics, cache, bodies, access; over real connections."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.gateway.in_process import ANTHROPIC, KEY, Gateway, Setup, before_one, open_gateway
from tests.e2e.gateway.reply import Reply
from tests.e2e.gateway.scripted import LAST_CHUNK, Answer, Json, Seen, chunk, sse, stream_head
from tests.e2e.gateway.spoken import HAIKU, SONNET


@dataclass(slots=True)
class Upstream:
    """Answers messages, whole or streamed; counts; a stream breaks off when told to."""

    calls: int = 0
    status: int = 200
    cut: bool = False

    async def answer(
        self, seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        body = seen.json()
        self.calls += 1
        if not body.get("stream"):
            self._whole(body["model"]).write(writer)
            return
        writer.write(stream_head())
        for event in the_stream(body["model"])[: 3 if self.cut else None]:
            writer.write(chunk(event))
        writer.write(LAST_CHUNK)

    def _whole(self, model: str) -> Answer:
        usage = {"input_tokens": 10, "output_tokens": 5}
        text = f"answer {self.calls} token=abcdefgh12345678"
        answer = {"id": "m", "type": "message", "model": model, "usage": usage, "text": text}
        return Answer(self.status, json.dumps(answer).encode())


def the_stream(model: str) -> list[bytes]:
    usage = {"input_tokens": 10, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": model, "usage": usage}
    block, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": "hi"}
    end = {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}
    return [
        sse({"type": "message_start", "message": message}),
        sse({"type": "content_block_start", "index": 0, "content_block": block}),
        sse({"type": "content_block_delta", "index": 0, "delta": delta}),
        sse({"type": "content_block_stop", "index": 0}),
        sse({"type": "message_delta", **end}),
        sse({"type": "message_stop"}),
    ]


def requesting(**change: Json) -> Json:
    """Return a request whose answer may be cached."""
    return {"model": SONNET, "max_tokens": 5, "temperature": 0, "messages": []} | change


async def ask(gateway: Gateway, **change: Json) -> Reply:
    return await gateway.post(requesting(**change))


async def figures(gateway: Gateway) -> dict[str, float]:
    """Return what the gateway measured, by metric and labels."""
    text = (await gateway.call("GET", "/metrics")).body.decode()
    pairs = (line.rpartition(" ") for line in text.splitlines() if line[0] != "#")
    return {name: float(value) for name, _, value in pairs}


CACHE = "[cache]\nenabled = true\n"
REQUESTS = 'gateway_requests_total{{provider="anthropic",model="{}",status="{}",stream="{}"}}'


def test_metrics_count_requests_overrides_and_times(tmp_path: Path) -> None:
    async def main() -> None:
        provider = Upstream()
        async with open_gateway(tmp_path, before_one(provider.answer, [SONNET, HAIKU])) as gateway:
            before = await figures(gateway)
            assert before[REQUESTS.format("other", 200, "true")] == 0
            await ask(gateway)
            await ask(gateway, stream=True)
            provider.status = 404
            await ask(gateway, model="unheard-of")
            provider.cut = True
            await ask(gateway, stream=True)
            await gateway.audit(4)
            found = await figures(gateway)
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
        provider = Upstream()
        async with open_gateway(tmp_path, before_one(provider.answer)) as gateway:
            plain = await gateway.call("GET", "/metrics")
            assert plain.headers[b"content-type"].startswith(b"text/plain; version=0.0.4")
            accept = {b"accept": b"application/openmetrics-text; version=1.0.0"}
            rich = await gateway.call("GET", "/metrics", headers=accept)
            assert rich.headers[b"content-type"].startswith(b"application/openmetrics-text")
            assert rich.body.endswith(b"\n# EOF\n")

    asyncio.run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_cached_answer_is_the_first_one(tmp_path: Path, stream: bool) -> None:
    async def main() -> None:
        provider = Upstream()
        async with open_gateway(tmp_path, before_one(provider.answer, own=CACHE)) as gateway:
            first = await ask(gateway, stream=stream)
            again = await ask(gateway, stream=stream, metadata={"user_id": "someone"})
            assert provider.calls == 1
            assert again.body == first.body
            assert again.headers[b"content-type"] == first.headers[b"content-type"]
            assert again.headers[b"x-gateway-cache"] == b"hit"
            ids = {reply.request_id for reply in (first, again)}
            entries = await gateway.audit(2)
            assert {entry["request_id"] for entry in entries} == ids
            assert [entry["cache"] for entry in entries] == ["miss", "hit"]
            assert [entry["success"] for entry in entries] == [True, True]
            assert [entry["stream"] for entry in entries] == [stream, stream]
            assert entries[1]["cost_usd"] == 0
            stats = await gateway.get("/api/cache/stats")
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
            health = await gateway.get("/health")
            assert (health["cache_hits"], health["cache_misses"]) == (1, 1)

    asyncio.run(main())


def test_replayed_stream_is_whole(tmp_path: Path) -> None:
    async def main() -> None:
        provider = Upstream()
        async with open_gateway(tmp_path, before_one(provider.answer, own=CACHE)) as gateway:
            await ask(gateway, stream=True)
            again = await ask(gateway, stream=True)
            assert again.body == b"".join(the_stream(SONNET))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("own", "change", "headers"),
    [
        ("", {}, {}),
        (CACHE, {"temperature": 1}, {}),
        (CACHE, {"tools": [{"name": "t", "input_schema": {}}]}, {}),
        (CACHE, {}, {b"x-api-key": b"sk-ant-somebody-else"}),
        (CACHE, {}, {b"anthropic-beta": b"other"}),
    ],
)
def test_answers_are_not_shared_beyond_the_same_request(
    tmp_path: Path, own: str, change: Json, headers: dict[bytes, bytes]
) -> None:
    async def main() -> None:
        provider = Upstream()
        async with open_gateway(tmp_path, before_one(provider.answer, own=own)) as gateway:
            await ask(gateway, **change)
            reply = await gateway.post(requesting(**change), headers=KEY | headers)
            assert provider.calls == 2
            assert b"x-gateway-cache" not in reply.headers

    asyncio.run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_failed_and_broken_answers_are_not_kept(tmp_path: Path, stream: bool) -> None:
    async def main() -> None:
        provider = Upstream()
        async with open_gateway(tmp_path, before_one(provider.answer, own=CACHE)) as gateway:
            provider.status, provider.cut = 404, True
            await ask(gateway, stream=stream)
            provider.status, provider.cut = 200, False
            reply = await ask(gateway, stream=stream)
            assert reply.status == 200
            assert provider.calls == 2

    asyncio.run(main())


BODIES = "include_bodies=true"


def keeping_bodies(provider: Upstream, own: str = "") -> Setup:
    return Setup(
        {"anthropic": (ANTHROPIC, provider.answer)},
        files={"gateway.toml": own},
        audit={"logRequestBodies": True, "logResponseBodies": True},
    )


@pytest.mark.parametrize("stream", [False, True])
def test_bodies_are_kept_when_asked_for_and_shown_to_the_admin(
    tmp_path: Path, stream: bool
) -> None:
    async def main() -> None:
        provider = Upstream()
        async with open_gateway(tmp_path, keeping_bodies(provider)) as gateway:
            await ask(gateway, stream=stream, note=f"my key is {KEY[b'x-api-key'].decode()}")
            assert (await gateway.call("GET", f"/gateway/audit?{BODIES}")).status == 401
            (entry,) = await gateway.audit(1, BODIES, gateway.admin)
            assert '"note": "my key is ***' in entry["request_body"]
            assert ("event: message_stop" if stream else "answer 1") in entry["response_body"]
            assert "abcdefgh12345678" not in entry["response_body"]
            (plain,) = await gateway.audit()
            assert "request_body" not in plain
            health = (await gateway.get("/gateway/health"))["audit"]
            assert (health["log_request_bodies"], health["log_response_bodies"]) == (True, True)

    asyncio.run(main())
    for file in tmp_path.glob("ledger.db*"):
        assert KEY[b"x-api-key"] not in file.read_bytes()


def test_bodies_are_kept_of_the_named_projects_only(tmp_path: Path) -> None:
    async def main() -> None:
        provider = Upstream()
        own = '[bodies]\nprojects = ["apollo"]\n'
        async with open_gateway(tmp_path, keeping_bodies(provider, own)) as gateway:
            for project in ("apollo", "gemini"):
                await ask(gateway, project_id=project)
            await ask(gateway)
            entries = await gateway.audit(3, BODIES, gateway.admin)
            kept = {
                one["project_id"]: (one["request_body"], one["response_body"]) for one in entries
            }
            assert all(kept.pop("apollo"))
            assert kept == {"gemini": (None, None), None: (None, None)}

    asyncio.run(main())


def test_bodies_are_not_kept_unasked(tmp_path: Path) -> None:
    async def main() -> None:
        provider = Upstream()
        async with open_gateway(tmp_path, before_one(provider.answer)) as gateway:
            await ask(gateway, note="a private matter")
            (entry,) = await gateway.audit(1, BODIES, gateway.admin)
            assert (entry["request_body"], entry["response_body"]) == (None, None)

    asyncio.run(main())
    for file in tmp_path.glob("ledger.db*"):
        assert b"a private matter" not in file.read_bytes()


def test_reset_lets_metrics_begin_anew_and_keeps_the_records(tmp_path: Path) -> None:
    async def main() -> None:
        provider = Upstream()
        async with open_gateway(tmp_path, before_one(provider.answer)) as gateway:
            await ask(gateway)
            await gateway.audit()
            reply = await gateway.call("POST", "/gateway/metrics/reset", headers=gateway.admin)
            assert (reply.status, reply.json()["status"]) == (200, "ok")
            summary = (await gateway.get("/gateway/metrics"))["summary"]
            assert summary["total_requests"] == 0
            assert (await gateway.get("/gateway/audit"))["total"] == 1
            assert (await gateway.get("/api/machine/stats"))["totalCalls"] == 1
            assert (await figures(gateway))["gateway_audit_records_total"] == 1

    asyncio.run(main())


@pytest.mark.parametrize("headers", [{}, {b"authorization": b"Bearer wrong"}])
@pytest.mark.parametrize("path", ["/gateway/metrics/reset", "/api/shutdown"])
def test_changes_need_the_admin_token(
    tmp_path: Path, path: str, headers: dict[bytes, bytes]
) -> None:
    async def main() -> None:
        provider = Upstream()
        async with open_gateway(tmp_path, before_one(provider.answer)) as gateway:
            assert (await gateway.call("POST", path, headers=headers)).status == 401
            assert (await gateway.call("GET", path, headers=gateway.admin)).status == 405
            foreign = gateway.admin | {b"origin": b"https://evil.example"}
            assert (await gateway.call("POST", path, headers=foreign)).status == 403
            assert gateway.supervisor.stopped == 0

    asyncio.run(main())


def test_shutdown_asks_the_supervisor(tmp_path: Path) -> None:
    async def main() -> None:
        provider = Upstream()
        async with open_gateway(tmp_path, before_one(provider.answer)) as gateway:
            reply = await gateway.call("POST", "/api/shutdown", headers=gateway.admin)
            assert reply.json()["status"] == "shutdown_initiated"
            assert gateway.supervisor.stopped == 1

    asyncio.run(main())
