"""An answer in no vendor's form: what readers of upstreams hand to writers for clients. Pure.

Every format of an upstream has a reader, every format of a client a writer, whole and streamed, and
a direction of translation is one of each. Stop reasons and the kinds of parts are Anthropic's, as
those tell the most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias, TypeVar

import msgspec

from gateway.errors import UpstreamError, UpstreamFault
from gateway.translate.error_bodies import Fault
from gateway.translate.strict import check_text
from gateway.wire.decoding import UNREADABLE, members
from gateway.wire.usage import Usage

MAX_CALLS = 1024
"""More tool calls in one answer are taken for a fault of the upstream."""

_T = TypeVar("_T")


class StopReason(StrEnum):
    """Why an answer ended."""

    END_TURN = "end_turn"
    STOP_SEQUENCE = "stop_sequence"
    TOOL_USE = "tool_use"
    MAX_TOKENS = "max_tokens"
    CONTEXT_WINDOW = "model_context_window_exceeded"
    PAUSE_TURN = "pause_turn"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class Text:
    """Words for the user."""

    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Words for the user that say why there is no answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """What the model shows of its thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model calls.

    Attributes:
        id: The upstream's; None when it gave none.
        input: A JSON object.
    """

    id: str | None
    name: str
    input: msgspec.Raw


Part: TypeAlias = Text | Refusal | Thinking | ToolCall


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Attributes:
        model: Empty when the upstream did not name it.
        stop_reason: `END_TURN` also where a `Refusal` is among the parts: not all formats tell the
            two apart.
        stop_sequence: The client's sequence that ended it; None when not said.
        usage: None when the upstream gave none.
    """

    model: str
    parts: tuple[Part, ...]
    stop_reason: StopReason
    stop_sequence: str | None
    usage: Usage | None


class AnswerWriter(Protocol):
    """Writes a streamed answer in a client's format, event by event, until they are taken.

    What is empty is nothing: it writes no event.
    """

    @property
    def over(self) -> bool:
        """Whether the last event was written: nothing may follow."""

    def start(self, model: str, usage: Usage | None) -> None:
        """Open the answer; later calls change nothing."""

    def text(self, text: str) -> None:
        """Add to the answer's text."""

    def refusal(self, text: str) -> None:
        """Add to the words that say why there is no answer."""

    def thinking(self, text: str) -> None:
        """Add to the thinking."""

    def call(self, key: int, call_id: str | None, name: str) -> None:
        """Begin a tool call; `key` names it for `arguments`.

        Raises UpstreamError when there are more than `MAX_CALLS`.
        """

    def arguments(self, key: int, fragment: str) -> None:
        """Add to the arguments of a call that was begun. Raises UpstreamError when it is over."""

    def pause(self) -> None:
        """End what is open, but for a call: others may wait behind it."""

    def finish(self, stop_reason: StopReason, sequence: str | None, usage: Usage | None) -> None:
        """Write the closing events."""

    def fail(self, fault: Fault) -> None:
        """Write the error that ends the stream."""

    def take(self) -> bytes:
        """Return what was written since the last time."""


def broken(problem: str) -> UpstreamError:
    """Return the error of an answer that its format does not allow."""
    return UpstreamError(UpstreamFault.PROTOCOL, problem)


def decoder(kind: type[_T], problem: str) -> Callable[[bytes], _T]:
    """Return what decodes an answer or an event of an upstream.

    It is made once a format, so that an event of a stream costs a single call.

    Args:
        problem: What is said of bytes that cannot be decoded: they raise an UpstreamError.
    """
    decode = msgspec.json.Decoder(kind).decode

    def decoded(data: bytes) -> _T:
        try:
            check_text(data)
            return decode(data)
        except UNREADABLE as error:
            raise broken(f"{problem}: {error}") from error

    return decoded


def ended(reasons: Mapping[str, StopReason], told: str, *, called: bool) -> StopReason:
    """Return the stop reason of an answer that came to an end.

    Args:
        reasons: By the upstream's word for it; a word that is missing ends the turn.
        told: The upstream's word.
        called: Whether the answer holds a tool call. It counts more than the word: some servers say
            that they stopped all the same, and some speak of calls without one.
    """
    reason = reasons.get(told, StopReason.END_TURN)
    if reason in {StopReason.END_TURN, StopReason.TOOL_USE}:
        return StopReason.TOOL_USE if called else StopReason.END_TURN
    return reason


def is_object(arguments: str | bytes | msgspec.Raw) -> bool:
    """Return whether a tool's arguments are a complete JSON object."""
    try:
        members(arguments)
    except UNREADABLE:
        return False
    return True


def read_input(arguments: str, *, truncated: bool) -> msgspec.Raw | None:
    """Return a call's input; no arguments are an empty object.

    None is a call that the output limit cut off: it cannot be run, so it is left out.

    Raises:
        UpstreamError: The arguments are no JSON object although the model had finished.
    """
    if not arguments.strip():
        return msgspec.Raw(b"{}")
    if is_object(arguments):
        return msgspec.Raw(arguments.encode())
    if truncated:
        return None
    raise broken("a tool call's arguments are no JSON object")
