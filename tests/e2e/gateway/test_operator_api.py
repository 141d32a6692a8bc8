"""The operator API of a real worker's application: its answers, refusals and live stream."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.store.ledger import Ledger
from gateway.store.records import AuditRecord, Endpoint
from tests.e2e.gateway.in_process import DEADLINE_S, MESSAGES, before_one, open_gateway
from tests.e2e.gateway.scripted import Answer, answering, garbage
from tests.e2e.gateway.spoken import HAIKU, MESSAGE, PLAIN, SONNET


def test_provider_is_up_when_it_answers_anything_and_is_asked_rarely(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_gateway(tmp_path, before_one(answering(Answer(404)))) as gateway:
            found = await asyncio.gather(*(gateway.get("/gateway/health") for _ in range(5)))
            assert {health["status"] for health in found} == {"healthy"}
            (row,) = (await gateway.get("/gateway/providers"))["providers"]
            assert (row["name"], row["healthy"], row["enabled"]) == ("anthropic", True, True)
            asked = [(seen.method, seen.target) for seen in gateway.provider.seen]
            assert asked == [(b"GET", b"/")]

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
        ("/gateway/workers", "supervisor workers reload"),
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
        async with open_gateway(
            tmp_path, before_one(answering(Answer(body=MESSAGE % HAIKU.encode())))
        ) as gateway:
            await gateway.call("POST", MESSAGES, PLAIN)
            reply = await gateway.call("GET", path)
            assert reply.status == 200
            assert set(reply.json()) == set(keys.split())
            assert reply.header(b"x-gateway-request-id")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("POST", "/health", {}, 405),
        ("GET", MESSAGES, {}, 405),
        ("GET", "/gateway/audit?limit=x", {}, 400),
        ("GET", "/gateway/audit?success=maybe", {}, 400),
        ("GET", "/gateway/audit?start_time=yesterday", {}, 400),
        ("GET", "/gateway/audit?start_time=2026-01-01", {}, 400),
        ("GET", "/gateway/audit?include_bodies=true", {}, 401),
        ("POST", "/gateway/metrics/reset", {}, 401),
        ("POST", "/api/shutdown", {b"authorization": b"Bearer x"}, 401),
        ("GET", "/api/shutdown", {}, 405),
        ("GET", "/gateway/audit", {b"origin": b"https://evil.example"}, 403),
        ("HEAD", "/", {}, 200),
        ("GET", "/", {b"accept": b"text/html"}, 200),
    ],
)
def test_operator_api_answers_with_status(
    tmp_path: Path, method: str, path: str, headers: dict[bytes, bytes], status: int
) -> None:
    async def main() -> None:
        async with open_gateway(tmp_path, before_one(garbage)) as gateway:
            reply = await gateway.call(method, path, b"", headers)
            assert reply.status == status
            if status >= 400:
                assert reply.json()["type"] == "error"
            if method == "HEAD":
                assert reply.body == b""
            assert gateway.supervisor.stopped == 0

    asyncio.run(main())


def test_foreign_host_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_gateway(tmp_path, before_one(garbage)) as gateway:
            foreign = {b"host": b"evil.example"}
            assert (await gateway.call("GET", "/gateway/audit", headers=foreign)).status == 403

    asyncio.run(main())


def test_draining_worker_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_gateway(tmp_path, before_one(garbage)) as gateway:
            gateway.app.begin_draining()
            health = await gateway.call("GET", "/health")
            assert (health.status, health.json()["status"]) == (503, "draining")
            assert (await gateway.call("GET", "/ready")).status == 503

    asyncio.run(main())


def test_live_stream_shows_figures_and_overrides(tmp_path: Path) -> None:
    async def main() -> None:
        answer = answering(Answer(body=MESSAGE % HAIKU.encode()))
        async with (
            open_gateway(tmp_path, before_one(answer, [SONNET, HAIKU])) as gateway,
            asyncio.timeout(DEADLINE_S),
            gateway.connect("GET", "/api/stream") as (reader, _),
        ):
            first = await reader.readuntil(b"event: analytics\n")
            assert b"text/event-stream" in first
            document = json.loads((await reader.readline()).removeprefix(b"data: "))
            assert document["overrides"]["total_overrides"] == 0
            assert document["summary"]["total_requests"] == 0
            await gateway.call("POST", MESSAGES, PLAIN)
            await reader.readuntil(b"event: model_override\n")
            override = json.loads((await reader.readline()).removeprefix(b"data: "))
            assert override["override_to"] == HAIKU
            gateway.app.begin_draining()
            await reader.read()

    asyncio.run(main())


FAILED = AuditRecord(
    request_id="r",
    boot_id="boot",
    seq=1,
    at_us=1_763_700_000_123_456,
    endpoint=Endpoint.MESSAGES,
    provider="anthropic",
    model=HAIKU,
    requested_model=HAIKU,
    status=500,
    success=False,
    partial=False,
    stream=False,
    overridden=False,
    latency_us=1,
)


def test_live_stream_leaves_nothing_out_when_much_happens_at_once(tmp_path: Path) -> None:
    count = 1000

    async def main() -> None:
        async with (
            open_gateway(tmp_path, before_one(garbage)) as gateway,
            asyncio.timeout(DEADLINE_S),
            gateway.connect("GET", "/api/stream") as (reader, _),
        ):
            await reader.readuntil(b"event: analytics\n")
            other = Ledger(gateway.settings.audit.db_path, keep_entries=True)  # of another worker
            for number in range(count):
                other.record(replace(FAILED, request_id=f"r{number}"))
            await other.close()
            told = []
            for _ in range(count):
                await reader.readuntil(b"event: error\n")
                event = json.loads((await reader.readline()).removeprefix(b"data: "))
                told.append(event["request_id"])
            assert told == [f"r{number}" for number in range(count)]

    asyncio.run(main())
