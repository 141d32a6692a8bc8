"""What an OpenAI chat completions upstream answers, whole or in chunks. Pure.

Read leniently: servers that speak this format add fields and leave out others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gateway.errors import UpstreamError, UpstreamFault
from gateway.translate import error_bodies, usage
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

STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "eos": "end_turn",
    "eos_token": "end_turn",  # text-generation-inference
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "model_length": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
"""Anthropic's stop reason; a finish reason not listed ends the turn."""

BROKEN = frozenset({"error", "abort", "insufficient_system_resource"})
"""Finish reasons of an answer that the upstream gave up: never shown as an end."""

_NONE = msgspec.Raw(b"null")


class Function(msgspec.Struct, gc=False):
    """Name and arguments of a call; in a chunk, a fragment of them."""

    name: str | None = None
    arguments: str | dict[str, msgspec.Raw] | None = None

    @property
    def text(self) -> str:
        """The arguments as JSON text; some servers send them as an object."""
        if isinstance(self.arguments, dict):
            return msgspec.json.encode(self.arguments).decode()
        return self.arguments or ""


class Call(msgspec.Struct, gc=False):
    """A tool call; `index` counts the calls of a streamed answer."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Said(msgspec.Struct, gc=False):
    """A message, or what a chunk adds to it."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None  # the name other servers use
    tool_calls: list[Call] | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the answers asked for; only the first is."""

    index: int | None = 0
    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None  # vLLM: the stop sequence that was met


class Completion(msgspec.Struct, gc=False):
    """A whole answer or one chunk of it."""

    model: str | None = None
    choices: list[Choice] | None = None
    usage: msgspec.Raw = _NONE
    error: msgspec.Raw = _NONE


_decode = msgspec.json.Decoder(Completion).decode


def read(data: bytes) -> Completion:
    """Return an answer or a chunk; raises UpstreamError when it is neither."""
    try:
        check_text(data)
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamError(
            UpstreamFault.PROTOCOL,
            f"the upstream's answer is no chat completion: {error}",
            sent=True,
        ) from error


def reading(body: bytes) -> Reading:
    """Return tokens and model of a whole answer; empty when it is none."""
    try:
        answer = read(body)
    except UpstreamError:
        return Reading()
    return Reading(usage.from_chat(answer.usage), answer.model)


def stop_reason(finish_reason: str, *, called: bool, refused: bool) -> str:
    """Return Anthropic's stop reason.

    Args:
        finish_reason: The upstream's.
        called: Whether the answer holds a tool call: some servers say `stop` all the same, and some
            say `tool_calls` without one.
        refused: Whether the answer is a refusal.

    Raises:
        UpstreamError: The upstream gave up.
    """
    if finish_reason in BROKEN:
        raise UpstreamError(
            UpstreamFault.PROTOCOL, f"the upstream gave up: {finish_reason}", sent=True
        )
    reason = STOP_REASONS.get(finish_reason, "end_turn")
    if reason in {"end_turn", "tool_use"}:
        reason = "tool_use" if called else "end_turn"
    return "refusal" if refused and reason == "end_turn" else reason


def as_message(body: bytes) -> MessageAnswer:
    """Return a whole answer in Anthropic's form; raises UpstreamError when it is none."""
    answer = read(body)
    if bytes(answer.error) != b"null":
        fault = error_bodies.read(None, body)
        raise UpstreamError(UpstreamFault.PROTOCOL, fault.message, sent=True)
    choice = next((one for one in answer.choices or () if not one.index), None)
    if choice is None or choice.message is None:
        raise UpstreamError(UpstreamFault.PROTOCOL, "the upstream's answer is empty", sent=True)
    finish = choice.finish_reason or "stop"
    said = choice.message
    content = tuple(_blocks(said, truncated=STOP_REASONS.get(finish) == "max_tokens"))
    reason = stop_reason(finish, called=bool(said.tool_calls), refused=bool(said.refusal))
    sequence = choice.stop_reason if isinstance(choice.stop_reason, str) else None
    if sequence is not None and reason == "end_turn":
        reason = "stop_sequence"
    counted = usage.from_chat(answer.usage)
    return MessageAnswer(answer.model or "", content, reason, sequence, counted)


def _blocks(said: Said, *, truncated: bool) -> Iterator[Mapping[str, object]]:
    thinking = said.reasoning_content or said.reasoning
    if thinking:
        yield thinking_block(thinking)
    for text in (said.content, said.refusal):
        if text:
            yield text_block(text)
    for number, call in enumerate(said.tool_calls or ()):
        function = call.function or Function()
        tool_input = read_input(function.text, truncated=truncated)
        if tool_input is not None:
            yield call_block(clean_call_id(call.id, str(number)), function.name or "", tool_input)
