"""Copy the beginning of an answer for its record, while it passes. Pure."""

from __future__ import annotations

from gateway.redact import MAX_BODY_BYTES
from gateway.upstream.origin import Sink


class AnswerLog:
    """What an answer's record is to hold of it: its first bytes, as the provider sent them."""

    __slots__ = ("_left", "_pieces")

    def __init__(self) -> None:
        self._left = MAX_BODY_BYTES + 1  # one more, so that the record can say that it was cut
        self._pieces: list[bytes] = []

    def add(self, data: bytes) -> None:
        """Take a piece."""
        if self._left > 0:
            self._pieces.append(data[: self._left])
            self._left -= len(data)

    def text(self) -> bytes:
        """Return what was taken so far."""
        return b"".join(self._pieces)


class LoggedSink:
    """A sink before another one."""

    __slots__ = ("_log", "_sink")

    def __init__(self, sink: Sink, log: AnswerLog) -> None:
        self._sink, self._log = sink, log

    def body(self, data: bytes) -> None:
        """Take a piece and pass it on; the end of a stream makes the record, so it is last."""
        self._log.add(data)
        self._sink.body(data)
