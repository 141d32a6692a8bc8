"""What an Anthropic upstream answers, whole or as events. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gateway.translate.answer import (
    Answer,
    Part,
    Refusal,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    decoder,
)
from gateway.wire.message_usage import read_message

_NONE = msgspec.Raw(b"")
_NO_INPUT = msgspec.Raw(b"{}")
_REASONS = {reason.value: reason for reason in StopReason}


class Block(msgspec.Struct, gc=False):
    """A content block, or the start of one."""

    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = _NO_INPUT


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
    stop_sequence: str | None = None
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
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


_read = decoder(_Message, "the upstream's answer is no message")

read_event = decoder(Event, "the upstream's event cannot be read")
"""Return a streamed event; raises UpstreamError when it is none."""


def stop_reason(told: str | None) -> StopReason:
    """Return why an answer ended; a word that nobody knows yet ends the turn."""
    return _REASONS.get(told or "", StopReason.END_TURN)


def answer(body: bytes) -> Answer:
    """Return a whole answer; raises UpstreamError when it is none."""
    message = _read(body)
    return Answer(
        model=message.model,
        parts=tuple(_parts(message)),
        stop_reason=stop_reason(message.stop_reason),
        stop_sequence=message.stop_sequence,
        usage=read_message(body).usage,
    )


def _parts(message: _Message) -> Iterator[Part]:
    for block in message.content:
        if block.type == "text":
            yield Text(block.text)
        elif block.type == "thinking":
            yield Thinking(block.thinking)
        elif block.type == "tool_use":
            yield ToolCall(block.id or None, block.name, block.input)
    details = message.stop_details
    if details is not None and details.explanation:
        yield Refusal(details.explanation)
