"""Answers whose bodies say what they cost, where `responseAnnotations` asks for it."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.gateway.in_process import (
    CHAT,
    COUNT,
    MESSAGES,
    OPENAI,
    Gateway,
    Setup,
    before_one,
    run,
)
from tests.e2e.gateway.reply import Reply
from tests.e2e.gateway.scripted import JSON, SSE, Answer, Json, answering
from tests.e2e.gateway.spoken import (
    BLOCK_START,
    CHAT_USAGE,
    ENDING,
    MESSAGE,
    PLAIN,
    SONNET,
    asking,
    start_event,
)

ON = "responseAnnotations = true\n"
WHOLE = MESSAGE % SONNET.encode()
SAID = Answer(body=WHOLE)


def members(reply: Reply) -> Json:
    """Return what was added to an answer, and look at its framing."""
    assert reply.whole
    assert reply.header(b"content-length") == b"%d" % len(reply.body)
    document = json.loads(reply.body, parse_float=Decimal)
    return {name: document[name] for name in list(document)[-3:]}


def test_answer_says_in_its_body_what_its_headers_say(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("POST", MESSAGES, PLAIN)
        added = members(reply)
        assert list(added) == ["provider", "latency_ms", "cost_usd"]
        assert (added["provider"], added["cost_usd"]) == ("anthropic", Decimal("0.0105"))
        assert added["latency_ms"] >= int(reply.headers[b"x-gateway-latency-ms"])
        assert reply.header(b"x-gateway-cost-usd") == b"0.0105"
        assert reply.body.startswith(WHOLE[:-1] + b',"provider":"anthropic","latency_ms":')
        (entry,) = await gateway.audit()
        assert entry["cost_usd"] == 0.0105

    run(tmp_path, before_one(answering(SAID), own=ON), scenario)


def test_cost_that_is_not_known_is_null(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking("unheard-of"))
        assert members(reply)["cost_usd"] is None
        assert b"x-gateway-cost-usd" not in reply.headers

    answer = Answer(body=MESSAGE % b"unheard-of")
    run(tmp_path, before_one(answering(answer), own=ON), scenario)


GZIPPED = Answer(body=gzip.compress(WHOLE), headers=(JSON, (b"content-encoding", b"gzip")))
STREAM = Answer(body=start_event() + BLOCK_START + ENDING, headers=(SSE,))
LARGE = Answer(body=b'{"a":"' + b"x" * (9 << 20) + b'"}')


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (MESSAGES, GZIPPED),
        (MESSAGES, STREAM),
        (MESSAGES, LARGE),
        (MESSAGES, Answer(201, WHOLE)),
        (MESSAGES, Answer(400, b'{"error":{"message":"no"}}')),
        (MESSAGES, Answer(body=b"[]")),
        (MESSAGES, Answer(body=b"{", headers=((b"content-type", b"text/plain"),))),
        (MESSAGES, Answer(body=b'{"provider":"own"}')),
        (COUNT, Answer(body=b'{"input_tokens":7}')),
    ],
    ids=["encoded", "stream", "large", "created", "error", "array", "text", "taken", "count"],
)
def test_all_other_answers_stay_as_they_are(tmp_path: Path, path: str, answer: Answer) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("POST", path, PLAIN)
        assert (reply.status, reply.body, reply.whole) == (answer.status, answer.body, True)

    run(tmp_path, before_one(answering(answer), own=ON), scenario)


@pytest.mark.parametrize("own", ["", "responseAnnotations = false\n"])
def test_nothing_is_added_unasked(tmp_path: Path, own: str) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.call("POST", MESSAGES, PLAIN)).body == WHOLE

    run(tmp_path, before_one(answering(SAID), own=own), scenario)


def test_replayed_answer_is_annotated_anew(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        asked = [await gateway.post(asking(temperature=0)) for _ in range(2)]
        assert [reply.header(b"x-gateway-cache") for reply in asked] == [None, b"hit"]
        assert [members(reply)["cost_usd"] for reply in asked] == [Decimal("0.0105"), 0]
        assert all(reply.body.count(b'"provider"') == 1 for reply in asked)
        assert len(gateway.provider.seen) == 1

    own = f"{ON}[cache]\nenabled = true\n"
    run(tmp_path, before_one(answering(SAID), own=own), scenario)


@pytest.mark.usefixtures("own_keys")
def test_translated_answer_is_annotated(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        translated = await gateway.post(asking())
        assert translated.json()["type"] == "message"
        for reply in (translated, await gateway.post(asking("gpt-x"), CHAT)):
            assert members(reply)["provider"] == "o"

    spoken = {"role": "assistant", "content": "hi"}
    choice = {"index": 0, "message": spoken, "finish_reason": "stop"}
    document = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-x"}
    answer = Answer(body=json.dumps(document | {"choices": [choice], "usage": CHAT_USAGE}).encode())
    provider = (OPENAI | {"defaultModel": "gpt-x"}, answering(answer))
    run(tmp_path, Setup({"o": provider}, files={"gateway.toml": ON}), scenario)
