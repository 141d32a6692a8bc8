"""What an Anthropic upstream answers, whole or as events, in OpenAI's chat format. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.errors import UpstreamError, UpstreamFault
from gateway.translate import usage
from gateway.translate.strict import check_text
from gateway.wire.usage import read_message

FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "refusal": "content_filter",
}
"""OpenAI's finish reason; a stop reason not listed is `stop`."""

_NONE = msgspec.Raw(b"")


class Block(msgspec.Struct, gc=False):
    """A content block, or the start of one."""

    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = _NONE


class StopDetails(msgspec.Struct, gc=False):
    """Why the model refused."""

    explanation: str | None = None


class Delta(msgspec.Struct, gc=False):
    """What an event adds to a block or to the message."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_details: StopDetails | None = None


class Event(msgspec.Struct, gc=False):
    """One event of a stream."""

    type: str = ""
    index: int = 0
    message: msgspec.Raw = _NONE
    content_block: Block | None = None
    delta: Delta | None = None


class _Message(msgspec.Struct, gc=False):
    type: str
    content: list[Block]
    model: str = ""
    stop_reason: str | None = None
    stop_details: StopDetails | None = None


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_event = msgspec.json.Decoder(Event).decode


def read_event(data: bytes) -> Event:
    """Return a streamed event; raises UpstreamError when it is none."""
    try:
        check_text(data)
        return _decode_event(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamError(
            UpstreamFault.PROTOCOL, f"the upstream's event cannot be read: {error}", sent=True
        ) from error


def as_chat(body: bytes, answer_id: str, created_s: int) -> bytes:
    """Return a whole answer as a chat completion; raises UpstreamError when it is none."""
    try:
        check_text(body)
        message = _decode_message(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamError(
            UpstreamFault.PROTOCOL, f"the upstream's answer is no message: {error}", sent=True
        ) from error
    counted = read_message(body).usage
    choice = {
        "index": 0,
        "message": _said(message),
        "logprobs": None,
        "finish_reason": FINISH_REASONS.get(message.stop_reason or "", "stop"),
    }
    document = {
        "id": answer_id,
        "object": "chat.completion",
        "created": created_s,
        "model": message.model,
        "choices": [choice],
    }
    return msgspec.json.encode(
        document | ({} if counted is None else {"usage": usage.to_chat(counted)})
    )


def _said(message: _Message) -> dict[str, object]:
    blocks = message.content
    text = "".join(block.text for block in blocks if block.type == "text")
    thinking = "".join(block.thinking for block in blocks if block.type == "thinking")
    calls = [_call(block) for block in blocks if block.type == "tool_use"]
    details = message.stop_details
    said: dict[str, object] = {
        "role": "assistant",
        "content": text or (None if calls else ""),
        "refusal": details.explanation if details is not None else None,
    }
    if thinking:
        said["reasoning_content"] = thinking
    if calls:
        said["tool_calls"] = calls
    return said


def _call(block: Block) -> Mapping[str, object]:
    arguments = bytes(block.input).decode() or "{}"
    function = {"name": block.name, "arguments": arguments}
    return {"id": block.id, "type": "function", "function": function}
