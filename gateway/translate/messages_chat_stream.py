"""A stream of chat completion chunks as Anthropic events. Pure.

The end waits for `[DONE]` (or the end of the connection) although the finish reason comes earlier:
the chunk with the usage follows it.
"""

from __future__ import annotations

from gateway.errors import UpstreamError, UpstreamFault
from gateway.translate import chat_answer, error_bodies, usage
from gateway.translate.chat_answer import Call, Choice, Completion, Function
from gateway.translate.error_bodies import Fault
from gateway.translate.message_answer import clean_call_id
from gateway.translate.message_events import MessageEvents
from gateway.translate.mint import Mint
from gateway.wire.usage import Reading, Usage

_NULL = b"null"
_DONE = b"[DONE]"


class ChatToMessages:
    """Translates the chunks of one answer."""

    __slots__ = (
        "_finish_reason",
        "_ids",
        "_keys",
        "_mint",
        "_model",
        "_out",
        "_refused",
        "_sequence",
        "_usage",
    )

    def __init__(self, mint: Mint) -> None:
        self._mint = mint
        self._out = MessageEvents()
        self._model: str | None = None
        self._usage: Usage | None = None
        self._finish_reason: str | None = None
        self._sequence: str | None = None
        self._refused = False
        self._keys: dict[int, int] = {}  # the upstream's index of a call -> ours
        self._ids: list[str | None] = []  # the upstream's ids, by our index

    @property
    def complete(self) -> bool:
        """Whether a finish reason was seen."""
        return self._finish_reason is not None

    @property
    def over(self) -> bool:
        """Whether the last event was written."""
        return self._out.over

    def event(self, name: bytes, data: bytes) -> None:
        """Translate one chunk."""
        if data == _DONE:
            if self.complete:
                self.finish()
            return  # without a finish reason the answer is cut: the end of the connection says so
        chunk = chat_answer.read(data)
        if name == b"error" or bytes(chunk.error) != _NULL:
            self.fail(error_bodies.read(None, data))
            return
        self._model = chunk.model or self._model
        if bytes(chunk.usage) != _NULL:
            self._usage = usage.from_chat(chunk.usage) or self._usage
        self._choices(chunk)

    def finish(self) -> None:
        """Write the closing events."""
        self._start()
        out = self._out
        reason = chat_answer.stop_reason(
            self._finish_reason or "", called=out.called, refused=self._refused
        )
        if self._sequence is not None and reason == "end_turn":
            reason = "stop_sequence"
        out.finish(reason, self._sequence, self._usage)

    def fail(self, fault: Fault) -> None:
        """Write an error event."""
        self._out.fail(error_bodies.to_messages(fault))

    def take(self) -> bytes:
        """Return what was written."""
        return self._out.take()

    def reading(self) -> Reading:
        """Return tokens and model so far."""
        return Reading(self._usage, self._model)

    def _choices(self, chunk: Completion) -> None:
        for choice in chunk.choices or ():
            if not choice.index:
                self._start()
                self._choice(choice)

    def _start(self) -> None:
        if not self._out.started:
            self._out.start(f"msg_{self._mint.token()}", self._model or "", self._usage)

    def _choice(self, choice: Choice) -> None:
        said = choice.delta or choice.message
        if said is not None:
            out = self._out
            out.thinking(said.reasoning_content or said.reasoning or "")
            out.text(said.content or "")
            if said.refusal:
                self._refused = True
                out.text(said.refusal)
            for call in said.tool_calls or ():
                self._call(call)
        self._finish_reason = choice.finish_reason or self._finish_reason
        if isinstance(choice.stop_reason, str):
            self._sequence = choice.stop_reason

    def _call(self, call: Call) -> None:
        function = call.function or Function()
        index = call.index if call.index is not None else self._unnumbered(call)
        key = self._keys.get(index)
        if key is None or self._is_another(call, key):
            if not function.name:
                raise UpstreamError(
                    UpstreamFault.PROTOCOL, "a tool call begins without its name", sent=True
                )
            key = self._keys[index] = len(self._ids)
            self._ids.append(call.id)
            self._out.call(key, clean_call_id(call.id, self._mint.token()), function.name)
        self._out.arguments(key, function.text)

    def _unnumbered(self, call: Call) -> int:
        """Return an index for a call without one: a new one when it brings an id."""
        return len(self._ids) if call.id or not self._ids else len(self._ids) - 1

    def _is_another(self, call: Call, key: int) -> bool:
        """Return whether a call takes the index of one before: some servers give 0 to all."""
        named = call.function is not None and call.function.name
        return bool(call.id and named and call.id != self._ids[key])
