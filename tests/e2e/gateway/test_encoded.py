"""Answers in an encoding that nobody asked for: passed on byte for byte, metered all the same."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.e2e.gateway.in_process import (
    ANTHROPIC,
    CHAT,
    MESSAGES,
    OPENAI,
    Gateway,
    Setup,
    before_one,
    run,
)
from tests.e2e.gateway.reply import Reply, parse
from tests.e2e.gateway.scripted import (
    JSON,
    LAST_CHUNK,
    SSE,
    Answer,
    Json,
    Pairs,
    Script,
    Seen,
    answering,
    chunk,
    data_event,
    sse,
    stream_head,
    streaming,
)
from tests.e2e.gateway.spoken import (
    BLOCK_START,
    CHAT_USAGE,
    ENDING,
    MESSAGE,
    PLAIN,
    SONNET,
    asking,
    delta_event,
    start_event,
)

GZIP = (b"content-encoding", b"gzip")
GZIPPED = (GZIP,)
WHOLE = MESSAGE % SONNET.encode()
EVENTS = (start_event(), BLOCK_START, delta_event("a"), delta_event("b"), ENDING)
STREAM = b"".join(EVENTS)
METERED = (True, False, 1000, 500)
UNKNOWN = (True, False, None, None)


def flushed(*pieces: bytes) -> list[bytes]:
    """Return what a provider sends that compresses event by event."""
    coder = zlib.compressobj(wbits=31)
    sent = [coder.compress(piece) + coder.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    return [*sent, coder.flush()]


async def metered(gateway: Gateway) -> tuple[bool, bool, int | None, int | None]:
    (entry,) = await gateway.audit()
    known = entry["input_tokens"], entry["output_tokens"]
    assert (entry["cost_usd"] is None) == (None in known)
    return entry["success"], entry["partial"], *known


def asked_with(
    tmp_path: Path, script: Script, check: Callable[[Gateway, Reply], Awaitable[None]]
) -> None:
    """Ask a provider that answers as the script says, and check what came of it."""

    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("POST", MESSAGES, PLAIN)
        seen = gateway.provider.seen[0]
        assert seen.headers[b"accept-encoding"] == b"identity"
        await check(gateway, reply)

    run(tmp_path, before_one(script), scenario)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzip.compress(WHOLE)),
        (b"GZIP", gzip.compress(WHOLE[:50]) + gzip.compress(WHOLE[50:])),
        (b"x-gzip", gzip.compress(WHOLE)),
        (b"deflate", zlib.compress(WHOLE)),
        (b"gzip", gzip.compress(b" " * (1 << 20) + WHOLE)),
    ],
    ids=["gzip", "several-members", "x-gzip", "deflate", "large"],
)
def test_encoded_answer_passes_untouched_and_is_metered(
    tmp_path: Path, coding: bytes, body: bytes
) -> None:
    async def check(gateway: Gateway, reply: Reply) -> None:
        assert (reply.body, reply.header(b"content-encoding")) == (body, coding)
        assert reply.header(b"x-gateway-cost-usd") == b"0.0105"
        assert await metered(gateway) == METERED

    answer = Answer(body=body, headers=(JSON, (b"content-encoding", coding)))
    asked_with(tmp_path, answering(answer), check)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", bytes(range(256))),
        (b"gzip", gzip.compress(WHOLE)[:-20]),
        (b"gzip", gzip.compress(WHOLE)[:-8] + bytes(8)),
        (b"gzip", gzip.compress(WHOLE[:-1] + b" " * (9 << 20) + b"}")),
        (b"gzip, gzip", gzip.compress(gzip.compress(WHOLE))),
        (b"compress", WHOLE),
    ],
    ids=["garbage", "truncated", "checksum", "too-large", "twice", "unknown"],
)
def test_answer_that_cannot_be_decoded_passes_untouched_and_is_not_metered(
    tmp_path: Path, coding: bytes, body: bytes
) -> None:
    async def check(gateway: Gateway, reply: Reply) -> None:
        assert (reply.body, reply.whole) == (body, True)
        assert b"x-gateway-cost-usd" not in reply.headers
        assert await metered(gateway) == UNKNOWN

    answer = Answer(body=body, headers=(JSON, (b"content-encoding", coding)))
    asked_with(tmp_path, answering(answer), check)


BYTES = [bytes((byte,)) for byte in gzip.compress(STREAM)]
MEMBERS = [gzip.compress(event) for event in EVENTS]


@pytest.mark.parametrize(
    "pieces",
    [[gzip.compress(STREAM)], flushed(*EVENTS), BYTES, MEMBERS],
    ids=["at-once", "by-event", "by-byte", "by-member"],
)
def test_encoded_stream_passes_untouched_and_is_metered(
    tmp_path: Path, pieces: list[bytes]
) -> None:
    async def check(gateway: Gateway, reply: Reply) -> None:
        assert (reply.body, reply.whole) == (b"".join(pieces), True)
        assert reply.header(b"content-encoding") == b"gzip"
        assert reply.header(b"x-gateway-provider") == b"anthropic"
        assert await metered(gateway) == METERED

    asked_with(tmp_path, streaming(*pieces, head=GZIPPED), check)


def test_encoded_stream_arrives_event_by_event(tmp_path: Path) -> None:
    first, *rest = flushed(*EVENTS)
    received = asyncio.Event()

    async def script(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(stream_head(GZIP) + chunk(first))
        await received.wait()  # nothing more comes before the client has seen the first event
        writer.write(b"".join(map(chunk, rest)) + LAST_CHUNK)

    async def scenario(gateway: Gateway) -> None:
        async with gateway.connect("POST", MESSAGES, PLAIN) as (reader, _):
            begun = await reader.readuntil(first)
            received.set()
            reply = parse(begun + await reader.read())
        assert reply.body == first + b"".join(rest)

    run(tmp_path, before_one(script), scenario)


@pytest.mark.parametrize(
    ("pieces", "end"),
    [
        (flushed(*EVENTS[:-1])[:-1], b""),
        (flushed(*EVENTS[:-1]), LAST_CHUNK),
        (flushed(*EVENTS[:-1])[:-1], LAST_CHUNK),
    ],
    ids=["cut", "no-message-stop", "truncated"],
)
def test_encoded_stream_without_its_terminal_event_is_visibly_broken(
    tmp_path: Path, pieces: list[bytes], end: bytes
) -> None:
    async def check(gateway: Gateway, reply: Reply) -> None:
        assert not reply.whole
        assert b"".join(pieces).startswith(reply.body)
        assert await metered(gateway) == (False, True, 1000, 2)
        text = (await gateway.call("GET", "/metrics")).body
        assert b'gateway_streams_broken_total{cause="provider"} 1' in text

    asked_with(tmp_path, streaming(*pieces, end=end, head=GZIPPED), check)


def test_error_in_an_encoded_stream_is_recorded(tmp_path: Path) -> None:
    async def check(gateway: Gateway, reply: Reply) -> None:
        assert (reply.body, reply.whole) == (body, True)
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["error_message"]) == (False, "overloaded_error: busy")

    error = {"type": "overloaded_error", "message": "busy"}
    body = gzip.compress(start_event() + sse({"type": "error", "error": error}))
    asked_with(tmp_path, streaming(body, head=GZIPPED), check)


@pytest.mark.parametrize(
    ("pieces", "head"),
    [
        ([b"first", b"second"], GZIPPED),
        ([gzip.compress(start_event()), b"no gzip"], GZIPPED),
        ([gzip.compress(start_event() + bytes(40 << 20))], GZIPPED),
        ([STREAM], ((b"content-encoding", b"compress"),)),
    ],
    ids=["garbage", "damaged", "bomb", "unknown"],
)
def test_stream_that_cannot_be_decoded_passes_untouched_and_is_not_metered(
    tmp_path: Path, pieces: list[bytes], head: Pairs
) -> None:
    async def check(gateway: Gateway, reply: Reply) -> None:
        assert (reply.body, reply.whole) == (b"".join(pieces), True)
        assert await metered(gateway) == UNKNOWN
        text = (await gateway.call("GET", "/metrics")).body
        assert b'gateway_streams_broken_total{cause="provider"} 0' in text
        assert b'gateway_answers_unread_total{provider="anthropic"} 1' in text

    asked_with(tmp_path, streaming(*pieces, head=head), check)


def test_encoded_error_passes_untouched_and_its_text_is_recorded(tmp_path: Path) -> None:
    async def check(gateway: Gateway, reply: Reply) -> None:
        assert (reply.status, reply.body) == (400, body)
        (entry,) = await gateway.audit()
        assert entry["error_message"] == "HTTP 400: no such field"

    body = gzip.compress(b'{"type":"error","error":{"message":"no such field"}}')
    asked_with(tmp_path, answering(Answer(400, body, (JSON, GZIP))), check)


@pytest.mark.parametrize("stream", [False, True])
def test_recorded_body_is_what_an_encoded_answer_says(tmp_path: Path, *, stream: bool) -> None:
    async def scenario(gateway: Gateway) -> None:
        await gateway.call("POST", MESSAGES, PLAIN)
        (entry,) = await gateway.audit(1, "include_bodies=true", gateway.admin)
        assert entry["response_body"] == (STREAM if stream else WHOLE).decode()

    answer = answering(Answer(body=gzip.compress(WHOLE), headers=(JSON, GZIP)))
    script = streaming(*flushed(*EVENTS), head=GZIPPED) if stream else answer
    run(tmp_path, Setup({"a": (ANTHROPIC, script)}, audit={"logResponseBodies": True}), scenario)


LARGE = gzip.compress(random.Random(7).randbytes(9 << 20), 1)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (Answer(body=b"sk-secret", headers=(JSON, (b"content-encoding", b"compress"))), ""),
        (Answer(body=LARGE, headers=(JSON, GZIP)), None),
        (Answer(500, gzip.compress(b"x"), (SSE, GZIP)), None),
    ],
    ids=["unknown", "too-large", "streamed-error"],
)
def test_nothing_is_recorded_of_a_body_that_is_not_read(
    tmp_path: Path, answer: Answer, kept: str | None
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("POST", MESSAGES, PLAIN)
        assert (reply.body, reply.whole) == (answer.body, True)
        (entry,) = await gateway.audit(1, "include_bodies=true", gateway.admin)
        assert entry["response_body"] == kept

    provider = (ANTHROPIC, answering(answer))
    run(tmp_path, Setup({"a": provider}, audit={"logResponseBodies": True}), scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_encoded_answer_is_never_answered_from_the_cache(tmp_path: Path, *, stream: bool) -> None:
    async def scenario(gateway: Gateway) -> None:
        for _ in range(2):
            reply = await gateway.post(asking(temperature=0))
            assert reply.header(b"content-encoding") == b"gzip"
            assert gzip.decompress(reply.body) == (STREAM if stream else WHOLE)
            assert b"x-gateway-cache" not in reply.headers
        assert len(gateway.provider.seen) == 2

    answer = answering(Answer(body=gzip.compress(WHOLE), headers=(JSON, GZIP)))
    script = streaming(*flushed(*EVENTS), head=GZIPPED) if stream else answer
    run(tmp_path, before_one(script, own="[cache]\nenabled = true\n"), scenario)


# -- translated

CHUNK: Json = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x"}
SPOKEN = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
COMPLETION = json.dumps(CHUNK | {"choices": [SPOKEN], "usage": CHAT_USAGE}).encode()
DELTA = {"index": 0, "delta": {"role": "assistant", "content": "hi"}, "finish_reason": None}
CHUNKS = (
    data_event(CHUNK | {"choices": [DELTA]}),
    data_event(CHUNK | {"choices": [DELTA | {"delta": {}, "finish_reason": "stop"}]}),
    data_event(CHUNK | {"choices": [], "usage": CHAT_USAGE}),
    b"data: [DONE]\n\n",
)


def translating(
    tmp_path: Path, script: Script, scenario: Callable[[Gateway], Awaitable[None]]
) -> None:
    run(tmp_path, Setup({"o": (OPENAI | {"defaultModel": "gpt-x"}, script)}), scenario)


@pytest.mark.usefixtures("own_keys")
def test_encoded_answer_is_translated(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert b"content-encoding" not in reply.headers
        assert reply.json()["content"][0]["text"] == "hi"
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["input_tokens"], entry["output_tokens"]) == (True, 12, 3)

    answer = Answer(body=gzip.compress(COMPLETION), headers=(JSON, GZIP))
    translating(tmp_path, answering(answer), scenario)


@pytest.mark.usefixtures("own_keys")
@pytest.mark.parametrize(
    ("pieces", "known"),
    [
        (flushed(*CHUNKS), (True, 12, 3)),
        ([gzip.compress(b"".join(CHUNKS))], (True, 12, 3)),
        (flushed(*CHUNKS[:1]), (False, None, None)),
        ([*flushed(*CHUNKS[:1]), b"no gzip"], (False, None, None)),
    ],
    ids=["by-event", "at-once", "no-end", "damaged"],
)
def test_encoded_stream_is_translated(
    tmp_path: Path, pieces: list[bytes], known: tuple[bool, int | None, int | None]
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(stream=True))
        assert reply.whole
        assert b"content-encoding" not in reply.headers
        assert b'"hi"' in reply.body
        assert (reply.body.count(b"event: message_stop"), reply.body.count(b"event: error")) == (
            (1, 0) if known[0] else (0, 1)
        )
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["input_tokens"], entry["output_tokens"]) == known

    translating(tmp_path, streaming(*pieces, head=GZIPPED), scenario)


@pytest.mark.usefixtures("own_keys")
def test_encoded_error_is_translated_and_keeps_its_status(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert (reply.status, reply.json()["error"]["message"]) == (429, "slow down")
        assert b"content-encoding" not in reply.headers

    body = gzip.compress(b'{"error":{"message":"slow down","type":"rate"}}')
    translating(tmp_path, answering(Answer(429, body, (JSON, GZIP))), scenario)


def test_encoded_chat_is_metered(tmp_path: Path, own_keys: None) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking("gpt-x"), CHAT)
        assert gzip.decompress(reply.body) == COMPLETION
        streamed = await gateway.post(asking("gpt-x", stream=True), CHAT)
        assert gzip.decompress(streamed.body) == b"".join(CHUNKS)
        for entry in await gateway.audit(2):
            found = (entry["success"], entry["input_tokens"], entry["output_tokens"])
            assert found == (True, 12, 3)

    whole = Answer(body=gzip.compress(COMPLETION), headers=(JSON, GZIP))
    streamed = Answer(body=gzip.compress(b"".join(CHUNKS)), headers=(SSE, GZIP))
    translating(tmp_path, answering(whole, streamed), scenario)
