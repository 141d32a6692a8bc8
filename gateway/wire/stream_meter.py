"""Take token usage, model and completeness from an event stream while its bytes pass by. Pure.

A piece costs three substring searches; an event is decoded only when one of the words occurs in it.
Line ends may be LF or CRLF.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec.structs import replace

from gateway.wire import sse
from gateway.wire.decoding import UNREADABLE
from gateway.wire.message_usage import Message, MessageUsage, Tally
from gateway.wire.usage import Reading

MAX_EVENT_BYTES = 256 * 1024
"""A longer event is passed on without being looked at."""


class StreamError(msgspec.Struct, gc=False):
    """The error that ends a stream, in Anthropic's format and OpenAI's alike."""

    type: str | None = None
    message: str | None = None

    def __str__(self) -> str:
        return f"{self.type or 'error'}: {self.message or 'no message'}"


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    message: Message | None = None
    usage: MessageUsage | None = None
    error: StreamError | None = None


_decode_event = msgspec.json.Decoder(_Event).decode


class StreamMeter:
    """Feed it the pieces of an event stream in order.

    Attributes:
        stop_at: Once `message_stop` was seen: offset of that event in the piece that completed it
            (0 when it began in an earlier piece); else None.
        error: Text of a mid-stream `error` event, or None.
    """

    stop_word: ClassVar[bytes] = b"message_stop"
    """Occurs in the event that ends a stream."""

    _words: ClassVar[tuple[bytes, ...]] = (b'"usage"', b"message_stop", b"error")
    _delta_words: ClassVar[tuple[bytes, ...]] = (b"content_block_delta\n", b"content_block_delta\r")

    __slots__ = ("_deltas", "_final", "_model", "_skipping", "_tail", "_tally", "error", "stop_at")

    def __init__(self) -> None:
        self.stop_at: int | None = None
        self.error: str | None = None
        self._tally = Tally()
        self._model: str | None = None
        self._tail = b""
        self._skipping = False
        self._final = False
        self._deltas = 0

    @property
    def pending(self) -> bool:
        """Whether an event has begun and not ended."""
        return bool(self._tail) or self._skipping

    def feed(self, piece: bytes) -> None:
        """Look at the next piece."""
        carried = len(self._tail)
        data = self._tail + piece if carried else piece
        end = sse.last_break(data)
        if end < 0:
            self._keep(data)
            return
        self._tail = data[end:]
        start = 0
        if self._skipping:
            self._skipping = False
            first = sse.BREAK.search(data)
            start = end if first is None else first.end()
        for word in self._delta_words:
            self._deltas += data.count(word, start, end)
        for word in self._words:
            if data.find(word, start, end) >= 0:
                self._events(data, start, end, carried)
                break

    def reading(self) -> Reading:
        """Return what is known so far.

        Until the final count came, output is at least one token a delta: what a client that left
        has received is not free.
        """
        usage = self._tally.usage()
        if usage is not None and not self._final and usage.output_tokens < self._deltas:
            usage = replace(usage, output_tokens=self._deltas, steps=())
        return Reading(usage, self._model)

    def _keep(self, data: bytes) -> None:
        if len(data) <= MAX_EVENT_BYTES:
            self._tail = data
        else:
            # The last bytes stay: the blank line that ends the event may be split.
            self._skipping, self._tail = True, data[-3:]

    def _events(self, data: bytes, start: int, end: int, carried: int) -> None:
        for at, event in sse.split(data, start, end):
            if any(word in event for word in self._words):
                self._event(event, max(0, at - carried))

    def _event(self, event: bytes, at: int) -> None:
        name, payload = sse.fields(event)
        try:
            data = _decode_event(payload)
        except UNREADABLE:
            data = _Event()
        kind = data.type or name
        if kind == "message_stop" and self.stop_at is None:
            self.stop_at = at
        elif kind == "error":
            self.error = str(data.error or StreamError())
        if data.message is not None:
            self._model = data.message.model or self._model
        usage = data.usage if data.message is None else data.message.usage
        if usage is not None:
            self._tally.add(usage)
            self._final = self._final or kind == "message_delta"
