"""One provider behind a real worker's application: what passes, changed and unchanged."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import anthropic
import pytest

from tests.e2e.gateway.in_process import MESSAGES, before_one, open_gateway
from tests.e2e.gateway.scripted import JSON, Answer, Seen, answering, garbage, streaming
from tests.e2e.gateway.spoken import (
    BLOCK_START,
    BODY,
    CURRENT,
    ENDING,
    HAIKU,
    MESSAGE,
    PLAIN,
    SONNET,
    asking,
    delta_event,
    start_event,
)

CLIENT_HEADERS = {
    b"X-Api-Key": b"sk-ant-client",
    b"anthropic-version": b"2023-06-01",
    b"anthropic-beta": b"a,b",
    b"X-Stainless-Retry-Count": b"0",
    b"X-Agent-Type": b"reviewer",
    b"Accept-Encoding": b"gzip, br",
}


def test_request_without_rule_is_forwarded_byte_for_byte(tmp_path: Path) -> None:
    async def main() -> None:
        answer = answering(
            Answer(headers=(JSON, (b"request-id", b"req_1")), body=MESSAGE % SONNET.encode())
        )
        async with open_gateway(tmp_path, before_one(answer)) as gateway:
            reply = await gateway.call(
                "POST", "/v1/messages?beta=true&x=%41", PLAIN, CLIENT_HEADERS
            )
            seen = gateway.provider.seen[0]
            assert (seen.method, seen.target, seen.body) == (
                b"POST",
                b"/v1/messages?beta=true&x=%41",
                PLAIN,
            )
            kept = [header for header in seen.pairs if header[0] != b"host"]
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
            assert b"x-gateway-override" not in reply.headers
            (entry,) = await gateway.audit()
            assert entry["request_id"] == reply.request_id
            assert (entry["success"], entry["cost_usd"], entry["seq"]) == (True, 0.0105, 1)
            assert (entry["agent_type"], entry["agent_source"]) == ("reviewer", "header")
            assert entry["upstream_request_id"] == "req_1"
            assert entry["request_shape"]["max_tokens"] == 5

    asyncio.run(main())


def test_override_changes_the_model_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        answer = answering(Answer(body=MESSAGE % HAIKU.encode()))
        async with open_gateway(tmp_path, before_one(answer, [SONNET, HAIKU])) as gateway:
            reply = await gateway.call("POST", MESSAGES, PLAIN)
            assert gateway.provider.seen[0].body == BODY % HAIKU.encode()
            assert reply.header(b"x-gateway-override") == f"{SONNET}=>{HAIKU}".encode()
            assert reply.header(b"x-gateway-cost-usd") == b"0.0035"
            other = await gateway.call("POST", MESSAGES, BODY % b"claude-opus-4-5")
            assert b"x-gateway-override" not in other.headers
            await gateway.audit(2)
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
    lines = "\n".join(caplog.messages).splitlines()
    assert lines.count(f"Model override: {SONNET} → {HAIKU}") == 1
    assert lines.count("Override count: 1") == 1
    assert lines.count("Forwarding to provider: anthropic") == 2
    assert "Routing request: agent_type=main, provider=anthropic, reason=default" in lines


def test_agent_named_in_the_body_is_recorded_and_not_forwarded(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_gateway(
            tmp_path, before_one(answering(Answer(body=MESSAGE % b"m")))
        ) as gateway:
            await gateway.call("POST", MESSAGES, b'{"agent_type":"qa","model":"m"}')
            assert gateway.provider.seen[0].body == b'{"model":"m"}'
            (entry,) = await gateway.audit(query="agent_type=qa")
            assert entry["agent_source"] == "body"

    asyncio.run(main())


def test_doubled_v1_and_models_are_served(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_gateway(
            tmp_path, before_one(answering(Answer(body=b'{"data":[]}')))
        ) as gateway:
            assert (await gateway.call("POST", "/v1/v1/messages?a=b", PLAIN)).status == 200
            assert (await gateway.call("GET", "/v1/models?limit=1000")).status == 200
            assert (await gateway.call("GET", "/v1/models/x")).body == b'{"data":[]}'
            targets = [seen.target for seen in gateway.provider.seen]
            assert targets == [b"/v1/messages?a=b", b"/v1/models?limit=1000", b"/v1/models/x"]
            assert len(await gateway.audit()) == 1

    asyncio.run(main())


def test_token_count_is_overridden_but_not_counted(tmp_path: Path) -> None:
    async def main() -> None:
        answer = answering(Answer(body=b'{"input_tokens":7}'))
        async with open_gateway(tmp_path, before_one(answer, [SONNET, HAIKU])) as gateway:
            reply = await gateway.call("POST", "/v1/messages/count_tokens?beta=true", PLAIN)
            assert reply.body == b'{"input_tokens":7}'
            assert gateway.provider.seen[0].body == BODY % HAIKU.encode()
            (entry,) = await gateway.audit()
            assert (entry["endpoint"], entry["cost_usd"]) == ("count_tokens", 0)
            stats = await gateway.get("/api/overrides/stats")
            assert (stats["total_overrides"], stats["total_requests"]) == (0, 0)

    asyncio.run(main())


def test_large_answer_is_streamed_without_cost_headers(tmp_path: Path) -> None:
    async def main() -> None:
        body = b'{"a":"' + b"x" * (9 << 20) + b'"}'
        async with open_gateway(tmp_path, before_one(answering(Answer(body=body)))) as gateway:
            reply = await gateway.call("POST", MESSAGES, PLAIN)
            assert reply.body == body
            assert reply.whole
            assert b"x-gateway-cost-usd" not in reply.headers
            assert len(await gateway.audit()) == 1

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
        async with open_gateway(tmp_path, before_one(garbage)) as gateway:
            reply = await gateway.call("POST", MESSAGES, body)
            assert reply.status == 400
            assert reply.json()["error"]["type"] == "invalid_request_error"
            assert gateway.provider.seen == []
            (entry,) = await gateway.audit()
            assert entry["request_id"] == reply.request_id
            assert (entry["status"], entry["model"]) == (400, None)

    asyncio.run(main())


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
            kind = streaming(*pieces) if stream else answering(Answer(body=MESSAGE % b"m"))
            await kind(seen, reader, writer)

        async with open_gateway(tmp_path, before_one(script, [CURRENT, HAIKU])) as gateway:
            url = gateway.url
            async with anthropic.AsyncAnthropic(base_url=url, api_key="sk-ant-test") as client:
                message = await client.messages.create(**asking(CURRENT))
                assert message.usage.output_tokens == 500
                async with client.messages.stream(**asking(CURRENT)) as stream:
                    text = "".join([piece async for piece in stream.text_stream])
                    final = await stream.get_final_message()
                assert (text, final.usage.output_tokens) == ("héllo", 500)
            sent = [json.loads(seen.body)["model"] for seen in gateway.provider.seen]
            assert sent == [HAIKU, HAIKU]
            assert [entry["success"] for entry in await gateway.audit()] == [True, True]

    asyncio.run(main())
