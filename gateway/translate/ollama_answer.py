"""What Ollama's chat API answers, whole or line by line: both have one form. Pure.

A streamed answer is a line for each piece and a last one, marked `done`, with the reason and the
counts. A whole answer is that last line with everything in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gateway.translate import error_bodies, usage
from gateway.translate.answer import (
    Answer,
    Part,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    broken,
    decoder,
    ended,
    read_input,
)
from gateway.translate.chat_answer import Function
from gateway.wire.decoding import NULL, given
from gateway.wire.usage import Reading

STOP_REASONS: Mapping[str, StopReason] = {
    "stop": StopReason.END_TURN,  # also where a stop sequence was met: which one is not said
    "length": StopReason.MAX_TOKENS,
}
"""What a `done_reason` means; one that is not listed (`load`, `unload`) ends the turn."""


class Call(msgspec.Struct, gc=False):
    """A tool call, always whole; older servers give it no id."""

    id: str | None = None
    function: Function | None = None


class Said(msgspec.Struct, gc=False):
    """A message, or a piece of it."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None


class Line(msgspec.Struct, gc=False):
    """A whole answer or one line of it."""

    model: str | None = None
    message: Said | None = None
    done: bool = False
    done_reason: str | None = None
    error: msgspec.Raw = NULL

    @property
    def failed(self) -> bool:
        """Whether the line is an error instead of an answer."""
        return given(self.error) is not None


read = decoder(Line, "the upstream's answer is no chat answer of Ollama")
"""Return an answer or a line of it; raises UpstreamError when it is neither."""


def reading(body: bytes) -> Reading:
    """Return tokens and model of a whole answer; raises UpstreamError when it is none."""
    model = read(body).model
    return Reading(usage.from_ollama(body), model)


def stop_reason(line: Line, *, called: bool) -> StopReason:
    """Return why an answer ended; `called` says whether it holds a tool call."""
    return ended(STOP_REASONS, line.done_reason or "stop", called=called)


def parts(said: Said, *, truncated: bool) -> Iterator[Part]:
    """Yield what a message or a piece of one holds.

    Args:
        truncated: Whether the output limit ended the answer.

    Raises:
        UpstreamError: A tool call has no name, or its arguments are no object.
    """
    if said.thinking:
        yield Thinking(said.thinking)
    if said.content:
        yield Text(said.content)
    for call in said.tool_calls or ():
        if call.function is None or not call.function.name:
            raise broken("a tool call has no name")
        tool_input = read_input(call.function.text, truncated=truncated)
        if tool_input is not None:
            yield ToolCall(call.id, call.function.name, tool_input)


def answer(body: bytes) -> Answer:
    """Return a whole answer; raises UpstreamError when it is none."""
    line = read(body)
    if line.failed:
        raise broken(error_bodies.read(None, body).message)
    if not line.done or line.message is None:
        raise broken("the upstream's answer is not finished")
    said = line.message
    reason = stop_reason(line, called=bool(said.tool_calls))
    return Answer(
        model=line.model or "",
        parts=tuple(parts(said, truncated=reason is StopReason.MAX_TOKENS)),
        stop_reason=reason,
        stop_sequence=None,
        usage=usage.from_ollama(body),
    )
