"""What clients can read: the form of answers, errors and streams in both of their formats. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fuzz.targets.case import Value
from gateway.wire.formats import Wire

Json = Mapping[str, Value]
Events = Sequence[tuple[str, Json]]

DELTAS = {
    "text": {"text_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
}
"""What may be said within a block, by the block's type."""


@dataclass(frozen=True, slots=True)
class Checks:
    """Raise AssertionError for what no client could read; `stream` returns what it read."""

    answer: Callable[[Json], None]
    error: Callable[[Json], None]
    stream: Callable[[bytes], Events]


def _message(document: Json) -> None:
    assert (document["type"], document["role"]) == ("message", "assistant")
    assert isinstance(document["id"], str)
    assert isinstance(document["model"], str)
    assert document["stop_reason"] is None or isinstance(document["stop_reason"], str)
    usage = document["usage"]
    assert all(usage[name] >= 0 for name in ("input_tokens", "output_tokens"))
    for block in document["content"]:
        if block["type"] == "tool_use":
            assert isinstance(block["input"], dict)
            assert isinstance(block["name"], str)
        else:
            assert block[block["type"]].strip()  # a blank one could not be sent back
    ids = [block["id"] for block in document["content"] if block["type"] == "tool_use"]
    assert len({*ids}) == len(ids)


def _message_error(document: Json) -> None:
    assert document["type"] == "error"
    assert isinstance(document["error"]["type"], str)
    assert document["error"]["message"]


def _message_stream(data: bytes) -> Events:
    events = []
    for part in _parts(data):
        name, _, payload = part.partition(b"\ndata: ")
        document = json.loads(payload)
        assert name == b"event: " + document["type"].encode()
        events.append((document["type"], document))
    _check_order(events)
    return events


def _check_order(events: Events) -> None:
    last, document = events[-1]
    if last == "error":
        _message_error(document)
        body = events[:-1]
    else:
        assert [name for name, _ in events[-2:]] == ["message_delta", "message_stop"]
        body = events[:-2]
    kinds: list[str] = []
    ids: set[str] = set()
    opened: str | None = None
    for place, (name, event) in enumerate(body):
        assert (name == "message_start") == (place == 0), name
        if name == "content_block_start":
            assert opened is None
            kinds.append(event["content_block"]["type"])
            opened = kinds[-1]
            if opened == "tool_use":
                assert event["content_block"]["id"] not in ids
                ids.add(event["content_block"]["id"])
        elif name == "content_block_delta":
            assert opened is not None
            assert event["delta"]["type"] in DELTAS[opened]
        elif name == "content_block_stop":
            assert opened is not None
            opened = None
        else:
            assert name == "message_start"
        assert name == "message_start" or event["index"] == len(kinds) - 1
    assert opened is None or last == "error"


def _completion(document: Json) -> None:
    assert document["object"] == "chat.completion"
    assert isinstance(document["id"], str)
    assert isinstance(document["model"], str)
    (choice,) = document["choices"]
    message = choice["message"]
    assert message["role"] == "assistant"
    assert message["content"] is None or isinstance(message["content"], str)
    assert isinstance(choice["finish_reason"], str)
    for call in message.get("tool_calls", ()):
        json.loads(call["function"]["arguments"])
    usage = document.get("usage")
    assert usage is None or usage["prompt_tokens"] >= 0 <= usage["completion_tokens"]


def _completion_error(document: Json) -> None:
    assert isinstance(document["error"]["type"], str)
    assert document["error"]["message"]


def _completion_stream(data: bytes) -> Events:
    parts = [part.removeprefix(b"data: ") for part in _parts(data)]
    assert parts.count(b"[DONE]") == (parts[-1] == b"[DONE]")
    chunks = [("", json.loads(part)) for part in parts if part != b"[DONE]"]
    if parts[-1] != b"[DONE]":
        _completion_error(chunks[-1][1])
        del chunks[-1]
    calls = 0
    for _, chunk in chunks:
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["id"] == chunks[0][1]["id"]
        for choice in chunk["choices"]:
            for call in choice["delta"].get("tool_calls", ()):
                calls += "id" in call
                assert 0 <= call["index"] < calls
    return chunks


def _parts(data: bytes) -> list[bytes]:
    assert data.endswith(b"\n\n")
    parts = data.split(b"\n\n")[:-1]
    assert all(parts)
    return parts


CHECKS: Mapping[Wire, Checks] = {
    Wire.MESSAGES: Checks(_message, _message_error, _message_stream),
    Wire.CHAT: Checks(_completion, _completion_error, _completion_stream),
}
"""By the client's format."""
