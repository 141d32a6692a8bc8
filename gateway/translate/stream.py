"""Drive the translation of one streamed answer, whatever its two formats. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from gateway.errors import UpstreamError
from gateway.translate.answer import AnswerWriter
from gateway.translate.error_bodies import Fault
from gateway.wire.usage import Reading

CUT = Fault("api_error", "the upstream's answer broke off before its end")


class Framing(Protocol):
    """Cuts an upstream's bytes into events."""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield name and data of each event that is complete now; names may be empty.

        Raises UpstreamError when an event is too long.
        """

    def end(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the event that the end of the bytes completes, where a format allows that."""


class AnswerReader(Protocol):
    """Reads a streamed answer in an upstream's format, and writes it to an `AnswerWriter`."""

    @property
    def complete(self) -> bool:
        """Whether the upstream said that its answer is finished."""

    def event(self, name: bytes, data: bytes) -> None:
        """Read one event. Raises UpstreamError when it cannot be read."""

    def finish(self) -> None:
        """Write the closing events; called once, when complete and the writer is not over."""

    def reading(self) -> Reading:
        """Return tokens and model so far."""


class Stream:
    """A StreamTranslator made of a framing, a reader and the writer it writes to."""

    __slots__ = ("_framing", "_reader", "_writer")

    def __init__(self, framing: Framing, reader: AnswerReader, writer: AnswerWriter) -> None:
        self._framing, self._reader, self._writer = framing, reader, writer

    @property
    def complete(self) -> bool:
        """Whether the upstream's terminal event was seen."""
        return self._reader.complete

    def feed(self, data: bytes) -> bytes:
        """Return the events that can be sent now."""
        if self._writer.over:
            return b""
        try:
            self._read(self._framing.feed(data))
        except UpstreamError as error:
            self._writer.fail(Fault("api_error", str(error)))
        return self._writer.take()

    def end(self) -> bytes:
        """Return the closing events, an error event, or nothing."""
        if self._writer.over:
            return b""
        try:
            self._read(self._framing.end())
        except UpstreamError:
            self._writer.fail(CUT)  # it was no whole event
        self._close()
        return self._writer.take()

    def reading(self) -> Reading:
        """Return tokens and model so far."""
        return self._reader.reading()

    def _read(self, events: Iterator[tuple[bytes, bytes]]) -> None:
        for name, data in events:
            self._reader.event(name, data)
            if self._writer.over:
                return

    def _close(self) -> None:
        if self._writer.over:
            return
        try:
            if self._reader.complete:
                self._reader.finish()
            else:
                self._writer.fail(CUT)
        except UpstreamError as error:
            self._writer.fail(Fault("api_error", str(error)))
