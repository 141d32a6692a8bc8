"""What the OpenAI Responses API answers, whole or as events. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

import msgspec

from gateway.errors import UpstreamError, UpstreamFault
from gateway.translate import error_bodies, usage
from gateway.translate.error_bodies import Fault
from gateway.translate.message_answer import (
    MessageAnswer,
    call_block,
    clean_call_id,
    read_input,
    text_block,
    thinking_block,
)
from gateway.translate.strict import check_text
from gateway.wire.usage import Reading

_NULL = msgspec.Raw(b"null")

SUMMARY_SEPARATOR = "\n\n"
"""Between the parts of a reasoning summary, which become one thinking block."""


class Status(StrEnum):
    """How far an answer is."""

    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"


STOP_REASONS: Mapping[str, str] = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}
"""Anthropic's stop reason for why an answer is incomplete."""


class Part(msgspec.Struct, gc=False):
    """A part of an item: `output_text`, `refusal`, `summary_text` or `reasoning_text`."""

    type: str = ""
    text: str = ""
    refusal: str = ""


class Item(msgspec.Struct, gc=False):
    """An item of the output: `message`, `reasoning` or `function_call`."""

    type: str = ""
    content: list[Part] | None = None
    summary: list[Part] | None = None
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
    status: str | None = None
    incomplete_details: Incomplete | None = None
    error: msgspec.Raw = _NULL
    usage: msgspec.Raw = _NULL


class Event(msgspec.Struct, gc=False):
    """One event of a stream."""

    type: str = ""
    output_index: int = 0
    summary_index: int = 0
    delta: str = ""
    item: Item | None = None
    response: Response | None = None


_decode = msgspec.json.Decoder(Response).decode
_decode_event = msgspec.json.Decoder(Event).decode


def read(body: bytes) -> Response:
    """Return a whole answer; raises UpstreamError when it is none."""
    try:
        check_text(body)
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(error) from error


def read_event(data: bytes) -> Event:
    """Return a streamed event; raises UpstreamError when it is none."""
    try:
        check_text(data)
        return _decode_event(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(error) from error


def reading(body: bytes) -> Reading:
    """Return tokens and model of a whole answer; empty when it is none."""
    try:
        response = read(body)
    except UpstreamError:
        return Reading()
    return Reading(usage.from_responses(response.usage), response.model)


def fault(response: Response) -> Fault:
    """Return why an answer failed."""
    if bytes(response.error) == b"null":
        return Fault("api_error", "the upstream's answer failed without a reason")
    return error_bodies.read(None, b'{"error":%b}' % bytes(response.error))


def stop_reason(response: Response, *, called: bool, refused: bool) -> str:
    """Return Anthropic's stop reason of an answer that came to an end.

    Args:
        response: Its last state.
        called: Whether it holds a tool call.
        refused: Whether it holds a refusal.

    Raises:
        UpstreamError: It has not ended, or failed.
    """
    if response.status == Status.FAILED or bytes(response.error) != b"null":
        raise UpstreamError(UpstreamFault.PROTOCOL, fault(response).message, sent=True)
    if response.status == Status.INCOMPLETE:
        details = response.incomplete_details or Incomplete()
        return STOP_REASONS.get(details.reason or "", "max_tokens")
    if response.status not in {Status.COMPLETED, None}:
        raise UpstreamError(
            UpstreamFault.PROTOCOL, f"the upstream's answer is {response.status}", sent=True
        )
    if refused:
        return "refusal"
    return "tool_use" if called else "end_turn"


def as_message(body: bytes) -> MessageAnswer:
    """Return a whole answer in Anthropic's form; raises UpstreamError when it is none."""
    response = read(body)
    items = response.output
    if items is None:
        raise UpstreamError(UpstreamFault.PROTOCOL, "the upstream's answer is empty", sent=True)
    parts = [part for item in items for part in item.content or ()]
    reason = stop_reason(
        response,
        called=any(item.type == "function_call" for item in items),
        refused=any(part.type == "refusal" for part in parts),
    )
    content = tuple(_blocks(items, truncated=reason == "max_tokens"))
    counted = usage.from_responses(response.usage)
    return MessageAnswer(response.model or "", content, reason, None, counted)


def thinking(item: Item) -> str:
    """Return what a reasoning item shows; empty when it shows nothing."""
    return SUMMARY_SEPARATOR.join(part.text for part in item.content or item.summary or ())


def _blocks(items: list[Item], *, truncated: bool) -> Iterator[Mapping[str, object]]:
    for number, item in enumerate(items):
        if item.type == "reasoning" and thinking(item):
            yield thinking_block(thinking(item))
        elif item.type == "message":
            texts = (part.text or part.refusal for part in item.content or ())
            yield from (text_block(text) for text in texts if text)
        elif item.type == "function_call":
            tool_input = read_input(item.arguments or "", truncated=truncated)
            if tool_input is not None:
                call_id = clean_call_id(item.call_id, str(number))
                yield call_block(call_id, item.name or "", tool_input)


def _unreadable(error: Exception) -> UpstreamError:
    return UpstreamError(
        UpstreamFault.PROTOCOL, f"the upstream's answer is no response: {error}", sent=True
    )
