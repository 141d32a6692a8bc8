"""Real SDKs through the gateway to a server that answers like Ollama's own API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from gateway.app import Application
from gateway.config import load
from gateway.serve.http_server import HttpServer, Limits
from gateway.wire.workers import ReloadOutcome, WorkerIdentity, WorkerRecord

Json = Any  # a parsed document whose shape the assertions state

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
        asked: What it was asked: path, headers and body.
    """

    replies: list[Json]
    cut: bool = False
    asked: list[tuple[bytes, bytes, Json]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r")[0])
                body = json.loads(await reader.readexactly(length))
                self.asked.append((head.split()[1], head.lower(), body))
                reply = self.replies.pop(0)
                assert body["stream"] == isinstance(reply, list)
                if isinstance(reply, list):
                    await self._stream(writer, reply)
                    if self.cut:
                        break
                else:
                    self._whole(writer, reply)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _stream(self, writer: asyncio.StreamWriter, lines: list[Json]) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        data = b"".join(json.dumps(one).encode() + b"\n" for one in lines)
        for at in range(0, len(data), PIECE_BYTES):
            piece = data[at : at + PIECE_BYTES]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        if not self.cut:
            writer.write(b"0\r\n\r\n")

    def _whole(self, writer: asyncio.StreamWriter, reply: Json) -> None:
        status = 404 if "error" in reply else 200
        data = json.dumps(reply).encode()
        writer.write(
            b"HTTP/1.1 %d Any\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (status, len(data), data)
        )


class OneWorker:
    """A supervisor with nothing to tell."""

    async def workers(self) -> tuple[WorkerRecord, ...]:
        return ()

    async def last_reload(self) -> ReloadOutcome | None:
        return None

    def shut_down(self) -> None:
        raise AssertionError


@dataclass(frozen=True, slots=True)
class Clients:
    """Both SDKs, and what the gateway recorded."""

    messages: anthropic.AsyncAnthropic
    chat: openai.AsyncOpenAI

    async def record(self) -> Json:
        """Return the record of the last request.

        An SDK that raises at an error event has not waited for the answer's last byte, before which
        the record is there.
        """
        async with asyncio.timeout(10):
            while True:
                found = await self.messages.get("/gateway/audit?limit=1", cast_to=dict[str, Json])
                if found["entries"]:
                    return found["entries"][0]


@asynccontextmanager
async def running(home: Path, ollama: Ollama) -> AsyncIterator[Clients]:
    server = await asyncio.start_server(ollama.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    entry: Json = {"providerType": "ollama", "api": "native", "baseUrl": f"http://127.0.0.1:{port}"}
    entry |= {"maxRetries": 0, "timeoutSecs": 5}
    document = {"llmGateway": {"providers": {"local": entry}}}
    (home / "orchestra-config.json").write_text(json.dumps(document))
    identity = WorkerIdentity(0, 1, "boot", "127.0.0.1:0")
    app = await Application.open(load(home, home), identity, OneWorker())
    http = HttpServer(app.handle, Limits())
    listener = await asyncio.get_running_loop().create_server(http.protocol, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        async with (
            anthropic.AsyncAnthropic(
                base_url=url, api_key="sk-ant-client", max_retries=0
            ) as messages,
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-client", max_retries=0) as chat,
        ):
            yield Clients(messages, chat)
    finally:
        listener.close()
        app.begin_draining()
        assert await http.drain(0, 5)
        await app.close()
        server.close()


def run(home: Path, ollama: Ollama, scenario: Callable[[Clients], Awaitable[None]]) -> None:
    async def main() -> None:
        async with running(home, ollama) as clients:
            await scenario(clients)

    asyncio.run(main())


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
        sent = ollama.asked[1][2]["messages"]
        assert sent[1]["thinking"] == "Hm."
        assert sent[1]["tool_calls"][0]["function"]["arguments"] == {"town": "Ulm"}
        assert (sent[2]["tool_name"], sent[2]["content"]) == ("get_weather", "12")

    run(tmp_path, ollama, scenario)
    for path, head, _ in ollama.asked:
        assert path == b"/api/chat"
        assert b"sk-ant-client" not in head


@pytest.mark.parametrize("usage", [False, True])
def test_chat_stream_is_read_by_the_openai_sdk(tmp_path: Path, *, usage: bool) -> None:
    ollama = Ollama([[line({"content": "Grü"}), line({"content": "ße"}), done()]])

    async def scenario(clients: Clients) -> None:
        stream = await clients.chat.chat.completions.create(
            **ASKED, stream=True, stream_options={"include_usage": usage}
        )
        chunks = [chunk async for chunk in stream]
        deltas = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        assert "".join(deltas) == "Grüße"
        told = [chunk.usage.completion_tokens for chunk in chunks if chunk.usage]
        assert told == ([9] if usage else [])
        record = await clients.record()
        assert (record["stream"], record["success"], record["output_tokens"]) == (True, True, 9)

    run(tmp_path, ollama, scenario)


def test_schema_and_options_reach_ollama(tmp_path: Path) -> None:
    ollama = Ollama([done({"content": '{"a": 1}'})])

    async def scenario(clients: Clients) -> None:
        form = {"name": "f", "schema": {"type": "object"}, "strict": True}
        answer = await clients.chat.chat.completions.create(
            **ASKED,
            seed=7,
            temperature=0,
            response_format={"type": "json_schema", "json_schema": form},  # type: ignore[call-overload]  # a plain dict
        )
        assert answer.choices[0].message.content == '{"a": 1}'
        body = ollama.asked[0][2]
        assert body["format"] == {"type": "object"}
        assert body["options"] == {"num_predict": 50, "seed": 7, "temperature": 0}

    run(tmp_path, ollama, scenario)


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

    run(tmp_path, ollama, scenario)


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

    run(tmp_path, ollama, scenario)


async def by_messages(clients: Clients) -> str:
    async with clients.messages.messages.stream(**ASKED) as stream:
        return await stream.get_final_text()


async def by_chat(clients: Clients) -> str:
    stream = await clients.chat.chat.completions.create(**ASKED, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


CHOSEN: Json = {"tools": [TOOL], "tool_choice": {"type": "any"}}


def test_what_ollama_has_no_word_for_is_refused_by_name(tmp_path: Path) -> None:
    ollama = Ollama([])

    async def scenario(clients: Clients) -> None:
        with pytest.raises(anthropic.BadRequestError, match="tool_choice: cannot be expressed"):
            await clients.messages.messages.create(**ASKED | CHOSEN)
        with pytest.raises(openai.BadRequestError, match="logprobs: cannot be expressed"):
            await clients.chat.chat.completions.create(**ASKED, logprobs=True)

    run(tmp_path, ollama, scenario)
    assert ollama.asked == []


def test_token_count_is_an_estimate(tmp_path: Path) -> None:
    async def scenario(clients: Clients) -> None:
        api = clients.messages.messages.with_raw_response
        reply = await api.count_tokens(model=MODEL, messages=ASKED["messages"])
        assert reply.headers["x-gateway-estimate"] == "true"

    run(tmp_path, Ollama([]), scenario)
