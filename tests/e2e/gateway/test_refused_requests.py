"""Requests that are refused before anybody is asked: each at a client path has its record."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.access.limits import RateLimiter, Share, cells_needed
from gateway.app import ENDPOINTS
from gateway.config.settings import LimitSettings
from gateway.serve.http_server import Limits
from gateway.service import Service
from tests.e2e.gateway.in_process import CHAT, MESSAGES, Gateway, before_one, run
from tests.e2e.gateway.reply import Reply
from tests.e2e.gateway.scripted import Json, garbage

LIMITS = Limits(
    head_bytes=600,
    target_bytes=100,
    body_bytes=50,
    head_timeout_s=0.1,
    body_idle_timeout_s=0.1,
    sweep_s=0.02,
)
HOST = "Host: a\r\n"


@dataclass(frozen=True, slots=True)
class Bad:
    """A request that is refused; `PATH` stands for where it is sent."""

    text: str
    status: int


BAD = {
    "no host": Bad("POST PATH HTTP/1.1\r\n\r\n", 400),
    "two lengths": Bad(
        f"POST PATH HTTP/1.1\r\n{HOST}Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400
    ),
    "bad header": Bad(f"POST PATH HTTP/1.1\r\n{HOST}X : a\r\n\r\n", 400),
    "bad chunk": Bad(f"POST PATH HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    "another host": Bad(f"POST http://b:3000PATH HTTP/1.1\r\n{HOST}\r\n", 400),
    "another method": Bad(f"PUT PATH HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n", 405),
    "reading": Bad(f"GET PATH?a=b HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n", 405),
    "preflight": Bad(f"OPTIONS PATH HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n", 405),
    "slow head": Bad(f"POST PATH HTTP/1.1\r\n{HOST}", 408),
    "slow body": Bad(f"POST PATH HTTP/1.1\r\n{HOST}Content-Length: 2\r\n\r\na", 408),
    "large": Bad(f"POST PATH?a=b HTTP/1.1\r\n{HOST}Content-Length: 51\r\n\r\n", 413),
    "large, absolute": Bad(f"POST http://aPATH HTTP/1.1\r\n{HOST}Content-Length: 51\r\n\r\n", 413),
    "large chunk": Bad(
        f"POST PATH HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n33\r\n{'a' * 51}\r\n", 413
    ),
    "long query": Bad(f"POST PATH?{'a' * 100} HTTP/1.1\r\n{HOST}", 414),
    "expectation": Bad(f"POST PATH HTTP/1.1\r\n{HOST}Expect: tea\r\n\r\n", 417),
    "long head": Bad(f"POST PATH HTTP/1.1\r\n{HOST}X: {'a' * 700}", 431),
    "coding": Bad(f"POST PATH HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip\r\n\r\n", 501),
    "version": Bad(f"POST PATH HTTP/2.0\r\n{HOST}\r\n", 505),
}


def message(reply: Reply) -> Json:
    return reply.json()["error"]["message"]


@pytest.mark.parametrize("path", [*(path.decode() for path in ENDPOINTS), f"/v1{CHAT}"])
def test_every_refusal_at_a_client_path_has_one_record(tmp_path: Path, path: str) -> None:
    async def scenario(gateway: Gateway) -> None:
        asked = [gateway.send(bad.text.replace("PATH", path).encode()) for bad in BAD.values()]
        replies = await asyncio.gather(*asked)
        assert [reply.status for reply in replies] == [bad.status for bad in BAD.values()]
        entries = {entry["request_id"]: entry for entry in await gateway.audit(len(BAD))}
        assert entries.keys() == {reply.request_id for reply in replies}
        for reply in replies:
            entry = entries[reply.request_id]
            assert entry["error_message"] == message(reply)
            found = (entry["status"], entry["success"], entry["partial"], entry["stream"])
            assert found == (reply.status, False, False, False)
            assert (entry["model"], entry["user"]) == (None, None)
            assert not entry["cost_usd"]
        assert sorted(entry["seq"] for entry in entries.values()) == list(range(1, len(BAD) + 1))
        summary = (await gateway.get("/gateway/metrics"))["summary"]
        assert (summary["total_requests"], summary["failed_requests"]) == (len(BAD), len(BAD))
        assert (await gateway.get("/api/machine/stats"))["totalCalls"] == len(BAD)
        told = (await gateway.call("GET", "/metrics")).body.decode().splitlines()
        sums = [line for line in told if line.startswith("gateway_requests_total{")]
        assert sum(int(line.rpartition(" ")[2]) for line in sums) == len(BAD)

    run(tmp_path, before_one(garbage), scenario, LIMITS)


@pytest.mark.parametrize("path", ["/", "/v1/models", "/v1/messages/batches", "/v1/messages/"])
def test_refusal_elsewhere_has_no_record(tmp_path: Path, path: str) -> None:
    async def scenario(gateway: Gateway) -> None:
        framed = [bad for bad in BAD.values() if bad.status != 405]
        asked = [gateway.send(bad.text.replace("PATH", path).encode()) for bad in framed]
        replies = await asyncio.gather(*asked, gateway.send(b"\x16\x03\x01 hello\r\n\r\n"))
        assert [reply.status for reply in replies] == [*(bad.status for bad in framed), 400]
        assert await gateway.audit(0) == []

    run(tmp_path, before_one(garbage), scenario, LIMITS)


def test_refusal_for_want_of_memory_has_its_record(tmp_path: Path) -> None:
    limits = Limits(buffered_bytes=500_000, memory_wait_s=0.1, sweep_s=0.02)
    body = b"a" * 299_999
    upload = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" % MESSAGES.encode()

    async def scenario(gateway: Gateway) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(upload + body)
        reply = await gateway.send(upload + body)
        writer.close()
        assert reply.status == 503
        (entry,) = await gateway.audit()
        found = (entry["request_id"], entry["status"], entry["error_message"])
        assert found == (reply.request_id, 503, message(reply))

    run(tmp_path, before_one(garbage), scenario, limits)


def test_refusal_is_in_the_ledger_before_it_is_answered(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        for bad in (BAD["large"], BAD["no host"], BAD["preflight"]):
            reply = await gateway.send(bad.text.replace("PATH", MESSAGES).encode())
            (entry,) = await gateway.audit(0, f"request_id={reply.request_id}")
            assert entry["status"] == bad.status

    run(tmp_path, before_one(garbage), scenario, LIMITS)


def test_slow_request_has_the_time_it_took(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        await gateway.send(BAD["slow body"].text.replace("PATH", MESSAGES).encode())
        (entry,) = await gateway.audit()
        assert entry["latency_ms"] >= 100

    run(tmp_path, before_one(garbage), scenario, LIMITS)


def test_client_that_leaves_before_it_is_refused_takes_nothing_along(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(BAD["large"].text.replace("PATH", MESSAGES).encode())
        writer.close()
        assert [entry["status"] for entry in await gateway.audit()] == [413]

    run(tmp_path, before_one(garbage), scenario, LIMITS)


def broken_clock() -> int:
    raise RuntimeError("boom")


def with_a_fault(service: Service) -> Service:
    """Return a service that fails on each request that it lets in."""
    limits: dict[str | None, LimitSettings] = {None: LimitSettings(requests_per_minute=1)}
    share = Share([0] * cells_needed(1, 1), 0, 1)
    return replace(service, limiter=RateLimiter(limits, share, broken_clock))


def test_failure_of_the_gateways_own_is_answered_by_the_name_of_its_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(gateway: Gateway) -> None:
        for number, (path, member) in enumerate([(MESSAGES, "type"), (CHAT, "code")], 1):
            reply = await gateway.call("POST", path, b"{}")
            assert (reply.status, reply.json()["error"][member]) == (500, "api_error")
            entry = (await gateway.audit(number))[-1]
            assert (entry["request_id"], entry["status"]) == (reply.request_id, 500)
            assert entry["error_message"] == "internal error: RuntimeError"
        assert gateway.server.handler_errors == 2
        assert "boom" in caplog.text

    run(tmp_path, before_one(garbage), scenario, change=with_a_fault)
