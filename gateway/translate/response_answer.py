"""What the OpenAI Responses API answers, whole or as events. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

import msgspec

from gateway.translate import error_bodies, usage
from gateway.translate.answer import (
    Answer,
    Part,
    Refusal,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    broken,
    decoder,
    read_input,
)
from gateway.translate.error_bodies import Fault
from gateway.wire.chat_usage import served
from gateway.wire.decoding import NULL, given
from gateway.wire.usage import Reading

SUMMARY_SEPARATOR = "\n\n"
"""Between the parts of a reasoning summary, which become one thinking block."""


class Status(StrEnum):
    """How far an answer is."""

    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"


STOP_REASONS: Mapping[str, StopReason] = {
    "max_output_tokens": StopReason.MAX_TOKENS,
    "content_filter": StopReason.REFUSAL,
}
"""Why an answer is incomplete; a reason that is not listed is taken for the output limit."""


class Piece(msgspec.Struct, gc=False):
    """A part of an item: `output_text`, `refusal`, `summary_text` or `reasoning_text`."""

    type: str = ""
    text: str = ""
    refusal: str = ""


class Item(msgspec.Struct, gc=False):
    """An item of the output: `message`, `reasoning` or `function_call`."""

    type: str = ""
    content: list[Piece] | None = None
    summary: list[Piece] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class Incomplete(msgspec.Struct, gc=False):
    """Why an answer is not complete."""

    reason: str | None = None


class Response(msgspec.Struct, gc=False):
    """A whole answer."""

    output: list[Item] | None = None
    model: str | None = None
    service_tier: object = None
    status: str | None = None
    incomplete_details: Incomplete | None = None
    error: msgspec.Raw = NULL
    usage: msgspec.Raw = NULL


class Event(msgspec.Struct, gc=False):
    """One event of a stream."""

    type: str = ""
    output_index: int = 0
    summary_index: int = 0
    delta: str = ""
    item: Item | None = None
    response: Response | None = None


_PROBLEM = "the upstream's answer is no response"

read = decoder(Response, _PROBLEM)
"""Return a whole answer; raises UpstreamError when it is none."""

read_event = decoder(Event, _PROBLEM)
"""Return a streamed event; raises UpstreamError when it is none."""


def reading(body: bytes) -> Reading:
    """Return tokens and model of a whole answer; raises UpstreamError when it is none."""
    response = read(body)
    told = usage.from_responses(response.usage)
    return Reading(served(told, response.service_tier), response.model)


def fault(response: Response) -> Fault:
    """Return why an answer failed."""
    if given(response.error) is None:
        return Fault("api_error", "the upstream's answer failed without a reason")
    return error_bodies.read(None, b'{"error":%b}' % bytes(response.error))


def stop_reason(response: Response, *, called: bool) -> StopReason:
    """Return why an answer ended.

    Args:
        response: Its last state.
        called: Whether it holds a tool call.

    Raises:
        UpstreamError: It has not ended, or failed.
    """
    if response.status == Status.FAILED or given(response.error) is not None:
        raise broken(fault(response).message)
    if response.status == Status.INCOMPLETE:
        details = response.incomplete_details or Incomplete()
        return STOP_REASONS.get(details.reason or "", StopReason.MAX_TOKENS)
    if response.status not in {Status.COMPLETED, None}:
        raise broken(f"the upstream's answer is {response.status}")
    return StopReason.TOOL_USE if called else StopReason.END_TURN


def answer(body: bytes) -> Answer:
    """Return a whole answer; raises UpstreamError when it is none."""
    response = read(body)
    items = response.output
    if items is None:
        raise broken("the upstream's answer is empty")
    reason = stop_reason(response, called=any(item.type == "function_call" for item in items))
    return Answer(
        model=response.model or "",
        parts=tuple(_parts(items, truncated=reason is StopReason.MAX_TOKENS)),
        stop_reason=reason,
        stop_sequence=None,
        usage=usage.from_responses(response.usage),
    )


def thinking(item: Item) -> str:
    """Return what a reasoning item shows; empty when it shows nothing."""
    return SUMMARY_SEPARATOR.join(part.text for part in item.content or item.summary or ())


def _parts(items: list[Item], *, truncated: bool) -> Iterator[Part]:
    for item in items:
        if item.type == "reasoning" and thinking(item):
            yield Thinking(thinking(item))
        elif item.type == "message":
            for piece in item.content or ():
                if piece.text:
                    yield Text(piece.text)
                elif piece.refusal:
                    yield Refusal(piece.refusal)
        elif item.type == "function_call":
            tool_input = read_input(item.arguments or "", truncated=truncated)
            if tool_input is not None:
                yield ToolCall(item.call_id, item.name or "", tool_input)
