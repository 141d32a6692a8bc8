"""What an OpenAI chat completions upstream answers, whole or in chunks. Pure.

Read leniently: servers that speak this format add fields and leave out others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gateway.translate import error_bodies
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
    ended,
    read_input,
)
from gateway.wire.chat_usage import read_usage, served
from gateway.wire.decoding import NULL, given
from gateway.wire.usage import Reading

STOP_REASONS: Mapping[str, StopReason] = {
    "stop": StopReason.END_TURN,
    "eos": StopReason.END_TURN,
    "eos_token": StopReason.END_TURN,  # text-generation-inference
    "stop_sequence": StopReason.STOP_SEQUENCE,
    "length": StopReason.MAX_TOKENS,
    "model_length": StopReason.CONTEXT_WINDOW,
    "tool_calls": StopReason.TOOL_USE,
    "function_call": StopReason.TOOL_USE,
    "content_filter": StopReason.REFUSAL,
}
"""What a finish reason means; one that is not listed ends the turn."""

BROKEN = frozenset({"error", "abort", "insufficient_system_resource"})
"""Finish reasons of an answer that the upstream gave up: never shown as an end."""


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
    id: str | int | None = None  # text-generation-inference once sent a number
    function: Function | None = None

    @property
    def own_id(self) -> str | None:
        """The upstream's id; None when it gave none."""
        return None if self.id is None else str(self.id) or None


class Said(msgspec.Struct, gc=False):
    """A message, or what a chunk adds to it."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None  # the name other servers use
    tool_calls: list[Call] | Call | None = None  # text-generation-inference once sent it bare

    @property
    def calls(self) -> Sequence[Call]:
        """The tool calls; empty when there are none."""
        told = self.tool_calls
        return (told,) if isinstance(told, Call) else told or ()


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
    service_tier: object = None
    choices: list[Choice] | None = None
    usage: msgspec.Raw = NULL
    error: msgspec.Raw = NULL


read = decoder(Completion, "the upstream's answer is no chat completion")
"""Return an answer or a chunk; raises UpstreamError when it is neither."""


def reading(body: bytes) -> Reading:
    """Return tokens and model of a whole answer; raises UpstreamError when it is none."""
    completion = read(body)
    told = read_usage(completion.usage)
    return Reading(served(told, completion.service_tier), completion.model)


def stop_reason(finish_reason: str, sequence: str | None, *, called: bool) -> StopReason:
    """Return why an answer ended.

    Args:
        finish_reason: The upstream's word.
        sequence: The stop sequence that was met; None when not said.
        called: Whether the answer holds a tool call.

    Raises:
        UpstreamError: The upstream gave up.
    """
    if finish_reason in BROKEN:
        raise broken(f"the upstream gave up: {finish_reason}")
    reason = ended(STOP_REASONS, finish_reason, called=called)
    met = sequence is not None and reason is StopReason.END_TURN
    return StopReason.STOP_SEQUENCE if met else reason


def answer(body: bytes) -> Answer:
    """Return a whole answer; raises UpstreamError when it is none."""
    completion = read(body)
    if given(completion.error) is not None:
        raise broken(error_bodies.read(None, body).message)
    choice = next((one for one in completion.choices or () if not one.index), None)
    if choice is None or choice.message is None:
        raise broken("the upstream's answer is empty")
    finish, said = choice.finish_reason or "stop", choice.message
    truncated = STOP_REASONS.get(finish) is StopReason.MAX_TOKENS
    sequence = choice.stop_reason if isinstance(choice.stop_reason, str) else None
    return Answer(
        model=completion.model or "",
        parts=tuple(_parts(said, truncated=truncated)),
        stop_reason=stop_reason(finish, sequence, called=bool(said.calls)),
        stop_sequence=sequence,
        usage=read_usage(completion.usage),
    )


def _parts(said: Said, *, truncated: bool) -> Iterator[Part]:
    thinking = said.reasoning_content or said.reasoning
    if thinking:
        yield Thinking(thinking)
    if said.content:
        yield Text(said.content)
    if said.refusal:
        yield Refusal(said.refusal)
    for call in said.calls:
        function = call.function or Function()
        tool_input = read_input(function.text, truncated=truncated)
        if tool_input is not None:
            yield ToolCall(call.own_id, function.name or "", tool_input)
