"""The requests and answers of the benchmark, in both wire formats. Pure.

Each text delta of a streamed answer says its number and when it was written, so that a client on
the same machine sees what was lost, doubled or reordered on the way, and how long it took.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

REQUESTED, SENT_INSTEAD = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"

_INPUT_TOKENS, _CACHE_READ, _CACHE_WRITE = 1200, 800, 64
_WORDS = "The quick brown fox jumps over the lazy dog while the gateway counts every token. "
_MESSAGE_ID, _CHAT_ID = "msg_bench0000000000000001", "chatcmpl-bench0000000000000001"
_TURN_BYTES = 900  # of the padding; each turn and its answer take some 90 bytes more
_FRAME_BYTES = 90
_PROMPT = re.compile(rb"Send (\d+) deltas, one every (\d+) ms\.")

Json = dict[str, object]


class Format(Enum):
    """A wire format: its path, and what a whole stream ends with."""

    MESSAGES = ("/v1/messages", b"message_stop")
    CHAT = ("/v1/chat/completions", b"[DONE]")

    def __init__(self, path: str, last: bytes) -> None:
        self.path, self.last = path, last


@dataclass(frozen=True, slots=True)
class Pace:
    """How the paced upstream is to answer: so many deltas, one every so many milliseconds."""

    deltas: int
    every_ms: int

    def prompt(self) -> str:
        """Return the words that ask for it: a prompt passes every gateway and translation."""
        return f"Send {self.deltas} deltas, one every {self.every_ms} ms."

    @classmethod
    def read(cls, body: bytes) -> Pace | None:
        """Return what a request's prompt asks for; None when it asks for no stream."""
        asked = _PROMPT.search(body)
        return None if asked is None else cls(int(asked[1]), int(asked[2]))


def plain_request(size_kb: int) -> bytes:
    """Return a Messages request of about `size_kb` KB, as a long session would send it."""
    return _padded(_request("Say something about the fox."), size_kb * 1024)


def paced_request(pace: Pace, size_kb: int = 1) -> bytes:
    """Return a Messages request for a stream of this pace."""
    return _padded(_request(pace.prompt()) | {"stream": True}, size_kb * 1024)


def plain_answer(wire: Format) -> bytes:
    """Return an answer of about 1 KB, with usage."""
    text = _WORDS * 7
    if wire is Format.MESSAGES:
        answer = _message(_usage(120)) | {"content": [{"type": "text", "text": text}]}
        return _dump(answer | {"stop_reason": "end_turn"})
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}
    answer = {"id": _CHAT_ID, "object": "chat.completion", "created": 1760000000}
    return _dump(answer | {"model": SENT_INSTEAD, "choices": [choice], "usage": _chat_usage(120)})


def stream_head(wire: Format) -> bytes:
    """Return the events before the first delta."""
    if wire is Format.CHAT:
        return _chunk({"role": "assistant", "content": ""})
    block = {"type": "text", "text": ""}
    return _events(
        {"type": "message_start", "message": _message(_usage(1))},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
    )


def stream_delta(wire: Format, number: int, written_ns: int) -> bytes:
    """Return one delta.

    Args:
        number: From 0.
        written_ns: Monotonic time.
    """
    text = stamp(number, written_ns) + " fox "
    if wire is Format.CHAT:
        return _chunk({"content": text})
    delta = {"type": "text_delta", "text": text}
    return _events({"type": "content_block_delta", "index": 0, "delta": delta})


def stream_tail(wire: Format, deltas: int) -> bytes:
    """Return the events after the last delta, usage included."""
    if wire is Format.CHAT:
        usage = _chunk_of([]) | {"usage": _chat_usage(deltas)}
        return _chunk({}, "stop") + _data(usage) + b"data: [DONE]\n\n"
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    return _events(
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": deltas}},
        {"type": "message_stop"},
    )


def stamp(number: int, written_ns: int) -> str:
    """Return what a delta says about itself."""
    return f"n={number} t={written_ns};"


def _request(prompt: str) -> Json:
    fields: Mapping[str, object] = {"path": {"type": "string"}, "limit": {"type": "integer"}}
    schema = {"type": "object", "properties": fields, "required": ["path"]}
    system = {"type": "text", "text": "You are a careful assistant. "}
    return {
        "model": REQUESTED,
        "max_tokens": 1024,
        "stream": False,
        "system": [system | {"cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": prompt}],
        "tools": [{"name": "read_file", "description": "Read a file.", "input_schema": schema}],
    }


def _padded(body: Json, size_bytes: int) -> bytes:
    """Return the request with earlier turns of a session put before its own."""
    earlier: list[object] = []
    need = size_bytes - len(_dump(body))
    while need > 0:
        text = (_WORDS * 12)[: max(40, min(need - _FRAME_BYTES, _TURN_BYTES))]
        earlier += ({"role": "user", "content": text}, {"role": "assistant", "content": "Noted."})
        need -= len(text) + _FRAME_BYTES
    own = body["messages"]
    return _dump(body | {"messages": [*earlier, *(own if isinstance(own, list) else ())]})


def _message(usage: Json) -> Json:
    return {
        "id": _MESSAGE_ID,
        "type": "message",
        "role": "assistant",
        "model": SENT_INSTEAD,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _usage(output_tokens: int) -> Json:
    return {
        "input_tokens": _INPUT_TOKENS,
        "cache_creation_input_tokens": _CACHE_WRITE,
        "cache_read_input_tokens": _CACHE_READ,
        "output_tokens": output_tokens,
    }


def _chat_usage(output_tokens: int) -> Json:
    return {
        "prompt_tokens": _INPUT_TOKENS,
        "completion_tokens": output_tokens,
        "total_tokens": _INPUT_TOKENS + output_tokens,
        "prompt_tokens_details": {"cached_tokens": _CACHE_READ},
    }


def _chunk(delta: Json, finish: str | None = None) -> bytes:
    return _data(_chunk_of([{"index": 0, "delta": delta, "finish_reason": finish}]))


def _chunk_of(choices: list[Json]) -> Json:
    head: Json = {"id": _CHAT_ID, "object": "chat.completion.chunk", "created": 1760000000}
    return head | {"model": SENT_INSTEAD, "choices": choices}


def _events(*events: Mapping[str, object]) -> bytes:
    return b"".join(b"event: %b\n" % str(one["type"]).encode() + _data(one) for one in events)


def _data(document: Mapping[str, object]) -> bytes:
    return b"data: " + _dump(document) + b"\n\n"


def _dump(document: Mapping[str, object] | Iterable[object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
