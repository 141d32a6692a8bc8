"""Streams through a real worker's application: event by event, broken, and left by their client."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import anthropic
import pytest

from tests.e2e.gateway.in_process import DEADLINE_S, MESSAGES, before_one, open_gateway
from tests.e2e.gateway.reply import parse
from tests.e2e.gateway.scripted import LAST_CHUNK, Seen, chunk, sse, stream_head, streaming
from tests.e2e.gateway.spoken import (
    BLOCK_START,
    CURRENT,
    ENDING,
    PLAIN,
    asking,
    delta_event,
    start_event,
)


def test_stream_arrives_event_by_event_and_is_metered(tmp_path: Path) -> None:
    async def main() -> None:
        received = asyncio.Event()

        async def script(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(stream_head() + chunk(start_event()) + chunk(BLOCK_START))
            await received.wait()  # nothing more comes before the client has seen the first events
            for cut in range(0, len(ENDING), 7):
                writer.write(chunk(ENDING[cut : cut + 7]))
                await writer.drain()
            writer.write(LAST_CHUNK)

        async with open_gateway(tmp_path, before_one(script)) as gateway:
            body = PLAIN.replace(b"false", b"true")
            async with gateway.connect("POST", MESSAGES, body) as (reader, _):
                first = await reader.readuntil(b'"content_block_start"')
                received.set()
                reply = parse(first + await reader.read())
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
            writer.write(LAST_CHUNK)

        patient = before_one(script, timeoutSecs=3 * DEADLINE_S)
        async with (
            open_gateway(tmp_path, patient) as gateway,
            gateway.connect("POST", MESSAGES, PLAIN) as (reader, _),
        ):
            async with asyncio.timeout(DEADLINE_S):
                await reader.readuntil(b'data: {"type": "message_stop"}\n\n')
            assert len(await gateway.audit()) == 1
            ended.set()
            await reader.read()

    asyncio.run(main())


def test_stream_that_cannot_be_decoded_is_passed_on_as_it_comes(tmp_path: Path) -> None:
    async def main() -> None:
        received = asyncio.Event()

        async def script(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(stream_head((b"content-encoding", b"gzip")) + chunk(b"first"))
            await received.wait()
            writer.write(chunk(b"second") + LAST_CHUNK)

        async with open_gateway(tmp_path, before_one(script)) as gateway:
            async with gateway.connect("POST", MESSAGES, PLAIN) as (reader, _):
                first = await reader.readuntil(b"first")
                received.set()
                reply = parse(first + await reader.read())
            assert (reply.body, reply.whole) == (b"firstsecond", True)
            (entry,) = await gateway.audit()
            assert (entry["success"], entry["output_tokens"]) == (True, None)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("pieces", "end", "told"),
    [
        ((start_event(), delta_event("a")), b"", False),
        ((start_event(), delta_event("a")[:-30]), b"", False),
        ((start_event(), delta_event("a")), LAST_CHUNK, False),
        (
            (start_event(), sse({"type": "error", "error": {"type": "overloaded_error"}})),
            LAST_CHUNK,
            True,
        ),
    ],
    ids=["cut", "cut-mid-line", "no-message-stop", "error-event"],
)
def test_broken_stream_ends_in_one_error_event(
    tmp_path: Path, pieces: tuple[bytes, ...], end: bytes, *, told: bool
) -> None:
    async def main() -> None:
        async with open_gateway(tmp_path, before_one(streaming(*pieces, end=end))) as gateway:
            reply = await gateway.call("POST", MESSAGES, PLAIN)
            assert reply.body.startswith(b"".join(pieces))
            assert reply.whole
            assert reply.body.count(b"event: error") == 1
            last = reply.body.rstrip().rpartition(b"\n")[2]
            if not told:
                document = json.loads(last.removeprefix(b"data: "))
                assert document["error"]["type"] == "api_error"
                assert document["request_id"] == reply.request_id
            (entry,) = await gateway.audit()
            assert (entry["success"], entry["partial"], entry["status"]) == (False, True, 200)
            assert entry["input_tokens"] == 1000
            assert entry["error_message"]

    asyncio.run(main())


def test_sdk_sees_a_cut_stream_as_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        cut = streaming(start_event(), BLOCK_START, delta_event("a")[:-20], end=b"")
        async with open_gateway(tmp_path, before_one(cut)) as gateway:
            url = gateway.url
            async with anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client:
                with pytest.raises(anthropic.APIError):
                    async with client.messages.stream(**asking(CURRENT)) as stream:
                        await stream.get_final_message()

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

        async with open_gateway(tmp_path, before_one(script)) as gateway:
            async with gateway.connect("POST", MESSAGES, PLAIN) as (reader, _):
                await reader.readuntil(b'"b"')
            async with asyncio.timeout(DEADLINE_S):
                await cancelled.wait()
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

        async with open_gateway(tmp_path, before_one(script)) as gateway:
            async with gateway.connect("POST", MESSAGES, PLAIN):
                await asked.wait()
            (entry,) = await gateway.audit()
            assert (entry["status"], entry["success"], entry["partial"]) == (499, False, False)

    asyncio.run(main())
