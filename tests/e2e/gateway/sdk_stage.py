"""A gateway before a provider of each format, for the vendors' own SDKs, and what those say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.e2e.gateway.process import GatewayProcess
from tests.e2e.gateway.threaded import Connection, Json, Provider, Seen

WORDS = ("It ", "is ", "sünny.")
CALLS = (("call_1", "get_weather", {"town": "Ulm"}), ("call_2", "get_time", {"zone": "UTC+1"}))


@dataclass(frozen=True, slots=True)
class Stage:
    """One gateway before a provider of each format; which one is asked is said by the model.

    `own-claude` and `own-gpt` are paid with the client's own key, which only its own vendor is
    sent; `claude-…`, `gpt-…` and `demo` with one of the gateway's.
    """

    gateway: GatewayProcess
    messages: Provider
    chat: Provider
    words: tuple[str, ...] = WORDS
    calls: tuple[tuple[str, str, Json], ...] = CALLS

    def speak(self) -> None:
        """Let both providers answer as they should."""
        self.messages.script, self.chat.script = speak_messages, speak_chat


def speak_messages(seen: Seen, connection: Connection) -> None:
    """Answer as the Anthropic API: with calls when tools are there and no results yet."""
    body = seen.json()
    calling = "tools" in body
    blocks: list[Json] = [{"type": "text", "text": "".join(WORDS)}]
    if calling:
        blocks += ({"type": "tool_use", "id": i, "name": n, "input": v} for i, n, v in CALLS)
    stop = "tool_use" if calling else "end_turn"
    message: Json = {"id": "msg_1", "type": "message", "role": "assistant", "content": blocks}
    message |= {"model": body["model"], "stop_reason": stop, "stop_sequence": None}
    message |= {"usage": {"input_tokens": 12, "output_tokens": 7}}
    if not body.get("stream"):
        connection.reply(200, message)
        return
    connection.begin_stream()
    for event in _message_events(message, blocks):
        connection.event(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    connection.end_stream()


def _message_events(message: Json, blocks: Sequence[Json]) -> Iterator[Json]:
    begun: Json = message | {"content": [], "stop_reason": None}
    begun["usage"] = {"input_tokens": 12, "output_tokens": 1}
    yield {"type": "message_start", "message": begun}
    yield {"type": "ping"}
    for index, block in enumerate(blocks):
        at = {"index": index}
        if block["type"] == "text":
            start: Json = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": word} for word in WORDS]
        else:
            start = block | {"input": {}}
            parts = _cut(json.dumps(block["input"]))
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
        yield {"type": "content_block_start", "content_block": start} | at
        yield from ({"type": "content_block_delta", "delta": delta} | at for delta in deltas)
        yield {"type": "content_block_stop"} | at
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}}
    yield {"type": "message_stop"}


def speak_chat(seen: Seen, connection: Connection) -> None:
    """Answer as the OpenAI API does."""
    body = seen.json()
    calling = "tools" in body
    calls = [
        {"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(given)}}
        for i, n, given in CALLS
    ]
    message: Json = {"role": "assistant", "content": "".join(WORDS)}
    message |= {"tool_calls": calls} if calling else {}
    stop = "tool_calls" if calling else "stop"
    base: Json = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
    usage = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": stop}
        document = base | {"object": "chat.completion", "choices": [choice], "usage": usage}
        connection.reply(200, document)
        return
    connection.begin_stream()
    for delta, reason in _chat_deltas(calls if calling else (), stop):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        connection.event(_data(base | {"object": "chat.completion.chunk", "choices": [choice]}))
    if body.get("stream_options", {}).get("include_usage"):
        last = {"object": "chat.completion.chunk", "choices": [], "usage": usage}
        connection.event(_data(base | last))
    connection.event(b"data: [DONE]\n\n")
    connection.end_stream()


def _chat_deltas(calls: Iterable[Json], stop: str) -> Iterator[tuple[Json, str | None]]:
    yield {"role": "assistant", "content": ""}, None
    yield from (({"content": word}, None) for word in WORDS)
    for index, call in enumerate(calls):
        function = call["function"]
        opening = call | {"index": index, "function": function | {"arguments": ""}}
        yield {"tool_calls": [opening]}, None
        for part in _cut(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}, None
    yield {}, stop


def _data(document: Json) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()


def _cut(text: str) -> list[str]:
    return [text[at : at + 5] for at in range(0, len(text), 5)]
