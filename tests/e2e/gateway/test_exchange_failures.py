"""A provider that refuses, fails or says nothing, behind a real worker's application."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.gateway.in_process import DEADLINE_S, MESSAGES, before_one, open_gateway
from tests.e2e.gateway.scripted import JSON, Answer, Pairs, Script, Seen, answering, garbage
from tests.e2e.gateway.spoken import MESSAGE, PLAIN


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503, 529])
def test_upstream_errors_pass_untouched(tmp_path: Path, status: int) -> None:
    body = b'{"type":"error", "error":{"type":"any","message":"no sk-ant-api03-abcdef for you"}}'
    headers: Pairs = ((b"retry-after", b"7"), (b"request-id", b"req_9"))
    headers += ((b"anthropic-ratelimit-requests-remaining", b"0"),)

    async def main() -> None:
        async with open_gateway(
            tmp_path, before_one(answering(Answer(status, body, (JSON, *headers))))
        ) as gateway:
            reply = await gateway.call("POST", MESSAGES, PLAIN)
            assert (reply.status, reply.body) == (status, body)
            assert set(headers) <= set(reply.pairs)
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
        script = answering(Answer(401, b'{"error":{"message":"invalid key"}}'))
        async with open_gateway(
            tmp_path, before_one(script, apiKeyRef="env:TEST_GATEWAY_KEY")
        ) as gateway:
            reply = await gateway.call("POST", MESSAGES, PLAIN)
            assert reply.status == 503
            assert "invalid key" in reply.json()["error"]["message"]
            assert gateway.provider.seen[0].headers[b"x-api-key"] == b"sk-ant-own"

    asyncio.run(main())


def test_unresolved_key_is_503_and_the_clients_key_stays_home(tmp_path: Path) -> None:
    async def main() -> None:
        script = answering(Answer(body=MESSAGE % b"x"))
        async with open_gateway(
            tmp_path, before_one(script, apiKeyRef="env:NOT_SET_ANYWHERE")
        ) as gateway:
            reply = await gateway.call("POST", MESSAGES, PLAIN)
            assert reply.status == 503
            assert "NOT_SET_ANYWHERE" in reply.json()["error"]["message"]
            assert gateway.provider.seen == []
            assert (await gateway.get("/gateway/health"))["status"] == "unhealthy"

    asyncio.run(main())


async def _say_nothing(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await reader.read()


async def _cut_json(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
    )
    writer.close()


@pytest.mark.parametrize(
    ("script", "status"),
    [(_say_nothing, 504), (_cut_json, 502), (garbage, 502)],
    ids=["silent", "cut", "garbage"],
)
def test_provider_that_fails_before_an_answer_is_a_gateway_error(
    tmp_path: Path, script: Script, status: int
) -> None:
    patience_s = 0.2 if status == 504 else DEADLINE_S

    async def main() -> None:
        async with open_gateway(tmp_path, before_one(script, timeoutSecs=patience_s)) as gateway:
            reply = await gateway.call("POST", MESSAGES, PLAIN)
            document = reply.json()
            assert (reply.status, document["type"]) == (status, "error")
            assert document["error"]["type"] == "api_error"
            assert document["request_id"] == reply.request_id
            (entry,) = await gateway.audit()
            assert (entry["status"], entry["success"]) == (status, False)

    asyncio.run(main())


def test_dead_provider_is_502_and_unhealthy(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_gateway(
            tmp_path, before_one(garbage, baseUrl="http://127.0.0.1:1")
        ) as gateway:
            assert (await gateway.call("POST", MESSAGES, PLAIN)).status == 502
            assert (await gateway.get("/gateway/health"))["providers"] == {"anthropic": False}
            assert (await gateway.get("/health"))["status"] == "ok"

    asyncio.run(main())
