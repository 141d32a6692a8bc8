"""Read a stream of Anthropic events. Pure."""

from __future__ import annotations

from gateway.translate import error_bodies, message_reading
from gateway.translate.answer import AnswerWriter, StopReason
from gateway.translate.message_reading import Block, Delta
from gateway.wire.message_usage import Tally
from gateway.wire.usage import Reading


class _Call:
    """A tool call whose block is open."""

    __slots__ = ("input", "told")

    def __init__(self, whole_input: bytes) -> None:
        self.input = whole_input
        self.told = False  # whether any of its arguments came


class MessageStream:
    """Reads the events of one answer."""

    __slots__ = (
        "_calls",
        "_model",
        "_out",
        "_refusal",
        "_sequence",
        "_stop_reason",
        "_tally",
        "complete",
    )

    def __init__(self, out: AnswerWriter) -> None:
        self.complete = False
        self._out = out
        self._model: str | None = None
        self._tally = Tally()
        self._stop_reason = StopReason.END_TURN
        self._sequence: str | None = None
        self._refusal = ""
        self._calls: dict[int, _Call] = {}  # by the upstream's index

    def event(self, name: bytes, data: bytes) -> None:
        """Read one event."""
        event = message_reading.read_event(data)
        kind = event.type or name.decode(errors="replace")
        if kind == "content_block_delta" and event.delta is not None:
            self._delta(event.index, event.delta)
        elif kind == "content_block_start" and event.content_block is not None:
            self._begin(event.index, event.content_block)
        elif kind == "content_block_stop":
            self._end(event.index)
        elif kind == "message_start":
            self._start(bytes(event.message))
        elif kind == "message_delta":
            self._ending(event.delta or Delta(), data)
        elif kind == "message_stop":
            self.complete = True
            self.finish()
        elif kind == "error":
            self._out.fail(error_bodies.read(None, data))

    def finish(self) -> None:
        """Write the closing events."""
        self._out.refusal(self._refusal)
        self._out.finish(self._stop_reason, self._sequence, self._tally.usage())

    def reading(self) -> Reading:
        """Return tokens and model so far."""
        return Reading(self._tally.usage(), self._model)

    def _start(self, message: bytes) -> None:
        self._model = self._tally.read(message)
        self._out.start(self._model or "", self._tally.usage())

    def _begin(self, index: int, block: Block) -> None:
        if block.type == "tool_use":
            self._calls[index] = _Call(bytes(block.input))
            self._out.call(index, block.id or None, block.name)
        else:
            self._out.text(block.text)
            self._out.thinking(block.thinking)

    def _delta(self, index: int, delta: Delta) -> None:
        self._out.text(delta.text)
        self._out.thinking(delta.thinking)
        call = self._calls.get(index)
        if call is not None and delta.partial_json:
            call.told = True
            self._out.arguments(index, delta.partial_json)

    def _end(self, index: int) -> None:
        """Write what a call began with when nothing followed: `{}` for one without arguments."""
        call = self._calls.pop(index, None)
        if call is not None and not call.told:
            self._out.arguments(index, call.input.decode())
        elif call is None:
            self._out.pause()

    def _ending(self, delta: Delta, data: bytes) -> None:
        self._tally.read(data)
        if delta.stop_reason is not None:
            self._stop_reason = message_reading.stop_reason(delta.stop_reason)
            self._sequence = delta.stop_sequence
        if delta.stop_details is not None:
            self._refusal = delta.stop_details.explanation or ""
