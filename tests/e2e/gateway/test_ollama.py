"""Real SDKs through the gateway to a server that answers like Ollama's own API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anthropic
import openai
import pytest
from openai.types.shared_params import ResponseFormatJSONSchema

from tests.e2e.gateway.in_process import ANTHROPIC, Gateway, Setup, run
from tests.e2e.gateway.scripted import LAST_CHUNK, Answer, Json, Seen, chunk

MODEL = "qwen3:8b"
COUNTS = {"prompt_eval_count": 26, "eval_count": 9}
CALL = {"function": {"name": "get_weather", "arguments": {"town": "Ulm"}}}
TOOL: Json = {"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}
PIECE_BYTES = 7


def line(message: Json, **fields: Json) -> Json:
    """Return a line of an answer."""
    said = {"role": "assistant", "content": ""} | message
    return {"model": MODEL, "created_at": "2026-03-04T05:06:07Z", "message": said} | fields


def done(message: Json | None = None, reason: str = "stop") -> Json:
    """Return the last line of an answer, or a whole one."""
    return line(message or {}, done=True, done_reason=reason, **COUNTS)


@dataclass(slots=True)
class Ollama:
    """Answers its replies in order; a list is streamed in small pieces, an int is a status.

    Attributes:
        cut: Whether streams lack their last chunk.
        asked: What it was asked.
    """

    replies: list[Json]
    cut: bool = False
    asked: list[Seen] = field(default_factory=list)

    async def answer(
        self, seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.asked.append(seen)
        reply = self.replies.pop(0)
        assert seen.json()["stream"] == isinstance(reply, list)
        if isinstance(reply, list):
            await self._stream(writer, reply)
        else:
            Answer(404 if "error" in reply else 200, json.dumps(reply).encode()).write(writer)

    async def _stream(self, writer: asyncio.StreamWriter, lines: list[Json]) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        data = b"".join(json.dumps(one).encode() + b"\n" for one in lines)
        for at in range(0, len(data), PIECE_BYTES):
            piece = data[at : at + PIECE_BYTES]
            writer.write(chunk(piece))
            await writer.drain()
        writer.write(b"" if self.cut else LAST_CHUNK)
        if self.cut:
            writer.close()


@dataclass(frozen=True, slots=True)
class Clients:
    """Both SDKs, and what the gateway recorded."""

    messages: anthropic.AsyncAnthropic
    chat: openai.AsyncOpenAI
    gateway: Gateway

    async def record(self) -> Json:
        """Return the record of the last request that Ollama was asked."""
        return (await self.gateway.audit(len(self.gateway.provider.seen)))[-1]


def with_clients(
    home: Path, ollama: Ollama, scenario: Callable[[Clients], Awaitable[None]]
) -> None:
    entry = ANTHROPIC | {"providerType": "ollama", "api": "native"}

    async def main(gateway: Gateway) -> None:
        url, key = gateway.url, "sk-ant-client"
        async with (
            anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as messages,
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-client", max_retries=0) as chat,
        ):
            await scenario(Clients(messages, chat, gateway))

    run(home, Setup({"local": (entry, ollama.answer)}), main)


ASKED: Json = {"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": "x"}]}


def test_tool_use_goes_there_and_back_for_the_anthropic_sdk(tmp_path: Path) -> None:
    ollama = Ollama([[line({"thinking": "Hm."}), line({"tool_calls": [CALL]}), done()],
                     done({"content": "12 °C"})])  # fmt: skip

    async def scenario(clients: Clients) -> None:
        async with clients.messages.messages.stream(**ASKED, tools=[TOOL]) as stream:
            first = await stream.get_final_message()
        assert first.stop_reason == "tool_use"
        assert [block.type for block in first.content] == ["thinking", "tool_use"]
        call = first.content[1]
        assert call.type == "tool_use"
        assert call.input == {"town": "Ulm"}
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "12"}
        said = [
            *ASKED["messages"],
            {"role": "assistant", "content": [block.model_dump() for block in first.content]},
            {"role": "user", "content": [result]},
        ]
        second = await clients.messages.messages.create(**ASKED | {"messages": said})
        assert second.content[0].type == "text"
        assert second.content[0].text == "12 °C"
        assert (second.usage.input_tokens, second.usage.output_tokens) == (26, 9)
        record = await clients.record()
        assert (record["provider"], record["success"]) == ("local", True)
        assert (record["input_tokens"], record["output_tokens"]) == (26, 9)
        sent = ollama.asked[1].json()["messages"]
        assert sent[1]["thinking"] == "Hm."
        assert sent[1]["tool_calls"][0]["function"]["arguments"] == {"town": "Ulm"}
        assert (sent[2]["tool_name"], sent[2]["content"]) == ("get_weather", "12")

    with_clients(tmp_path, ollama, scenario)
    for seen in ollama.asked:
        assert seen.target == b"/api/chat"
        assert b"sk-ant-client" not in b"".join(seen.headers.values())


@pytest.mark.parametrize("usage", [False, True])
def test_chat_stream_is_read_by_the_openai_sdk(tmp_path: Path, *, usage: bool) -> None:
    ollama = Ollama([[line({"content": "Grü"}), line({"content": "ße"}), done()]])

    async def scenario(clients: Clients) -> None:
        stream = await clients.chat.chat.completions.create(
            **ASKED, stream=True, stream_options={"include_usage": usage}
        )
        parts = [part async for part in stream]
        deltas = [part.choices[0].delta.content or "" for part in parts if part.choices]
        assert "".join(deltas) == "Grüße"
        told = [part.usage.completion_tokens for part in parts if part.usage]
        assert told == ([9] if usage else [])
        record = await clients.record()
        assert (record["stream"], record["success"], record["output_tokens"]) == (True, True, 9)

    with_clients(tmp_path, ollama, scenario)


def test_schema_and_options_reach_ollama(tmp_path: Path) -> None:
    ollama = Ollama([done({"content": '{"a": 1}'})])

    async def scenario(clients: Clients) -> None:
        form: ResponseFormatJSONSchema = {
            "type": "json_schema",
            "json_schema": {"name": "f", "schema": {"type": "object"}, "strict": True},
        }
        answer = await clients.chat.chat.completions.create(
            **ASKED,
            seed=7,
            temperature=0,
            response_format=form,
        )
        assert answer.choices[0].message.content == '{"a": 1}'
        body = ollama.asked[0].json()
        assert body["format"] == {"type": "object"}
        assert body["options"] == {"num_predict": 50, "seed": 7, "temperature": 0}

    with_clients(tmp_path, ollama, scenario)


def test_error_before_the_answer_keeps_status_and_words(tmp_path: Path) -> None:
    text = 'model "qwen3:8b" not found, try pulling it first'
    ollama = Ollama([{"error": text}, {"error": text}])

    async def scenario(clients: Clients) -> None:
        with pytest.raises(anthropic.NotFoundError) as refused:
            await clients.messages.messages.create(**ASKED, stream=False)
        assert text in str(refused.value)
        with pytest.raises(openai.NotFoundError) as missing:
            await clients.chat.chat.completions.create(**ASKED, stream=False)
        assert text in str(missing.value)
        assert text in (await clients.record())["error_message"]

    with_clients(tmp_path, ollama, scenario)


HALF = line({"content": "Half"})


@pytest.mark.parametrize(
    ("lines", "cut", "words"),
    [
        ([HALF, {"error": "CUDA error: out of memory"}], False, "out of memory"),
        ([HALF], False, "broke off"),
        ([HALF, done()], True, None),
        ([HALF], True, "broke off"),
    ],
    ids=["error", "ended", "whole-but-cut", "cut"],
)
def test_stream_without_its_last_line_is_broken_for_both_clients(
    tmp_path: Path, lines: list[Json], words: str | None, *, cut: bool
) -> None:
    ollama = Ollama([lines, lines], cut=cut)

    async def scenario(clients: Clients) -> None:
        for talk in (by_messages, by_chat):
            if words is None:
                assert await talk(clients) == "Half"
            else:
                with pytest.raises((anthropic.APIError, openai.APIError), match=words):
                    await talk(clients)
            record = await clients.record()
            assert record["success"] == (words is None)
            assert record["partial"] == (words is not None)

    with_clients(tmp_path, ollama, scenario)


async def by_messages(clients: Clients) -> str:
    async with clients.messages.messages.stream(**ASKED) as stream:
        return await stream.get_final_text()


async def by_chat(clients: Clients) -> str:
    stream = await clients.chat.chat.completions.create(**ASKED, stream=True)
    return "".join([part.choices[0].delta.content or "" async for part in stream])


CHOSEN: Json = {"tools": [TOOL], "tool_choice": {"type": "any"}}


def test_what_ollama_has_no_word_for_is_refused_by_name(tmp_path: Path) -> None:
    ollama = Ollama([])

    async def scenario(clients: Clients) -> None:
        with pytest.raises(anthropic.BadRequestError, match="tool_choice: cannot be expressed"):
            await clients.messages.messages.create(**ASKED | CHOSEN)
        with pytest.raises(openai.BadRequestError, match="logprobs: cannot be expressed"):
            await clients.chat.chat.completions.create(**ASKED, logprobs=True)

    with_clients(tmp_path, ollama, scenario)
    assert ollama.asked == []


def test_token_count_is_an_estimate(tmp_path: Path) -> None:
    async def scenario(clients: Clients) -> None:
        api = clients.messages.messages.with_raw_response
        reply = await api.count_tokens(model=MODEL, messages=ASKED["messages"])
        assert reply.headers["x-gateway-estimate"] == "true"

    with_clients(tmp_path, Ollama([]), scenario)
