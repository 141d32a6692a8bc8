"""Drive the translation of one event stream, whatever its two formats. Pure."""

from __future__ import annotations

from typing import Protocol

from gateway.errors import UpstreamError
from gateway.translate.error_bodies import Fault
from gateway.translate.sse import EventReader
from gateway.wire.usage import Reading

CUT = Fault("api_error", "the upstream's answer broke off before its end")


class Events(Protocol):
    """Translates event by event; it writes into itself until what it wrote is taken."""

    @property
    def complete(self) -> bool:
        """Whether the upstream said that its answer is finished."""

    @property
    def over(self) -> bool:
        """Whether the last event was written: nothing may follow."""

    def event(self, name: bytes, data: bytes) -> None:
        """Translate one event. Raises UpstreamError when it cannot be read."""

    def finish(self) -> None:
        """Write the closing events; called once, when complete and not over."""

    def fail(self, fault: Fault) -> None:
        """Write the error event that ends the stream."""

    def take(self) -> bytes:
        """Return what was written since the last time."""

    def reading(self) -> Reading:
        """Return tokens and model so far."""


class Stream:
    """A StreamTranslator over the events of two formats."""

    __slots__ = ("_events", "_reader")

    def __init__(self, events: Events) -> None:
        self._events = events
        self._reader = EventReader()

    @property
    def complete(self) -> bool:
        """Whether the upstream's terminal event was seen."""
        return self._events.complete

    def feed(self, data: bytes) -> bytes:
        """Return the events that can be sent now."""
        events = self._events
        if events.over:
            return b""
        try:
            self._translate(data)
        except UpstreamError as error:
            events.fail(Fault("api_error", str(error)))
        return events.take()

    def end(self) -> bytes:
        """Return the closing events, an error event, or nothing."""
        events = self._events
        if events.over:
            return b""
        try:
            if events.complete:
                events.finish()
            else:
                events.fail(CUT)
        except UpstreamError as error:
            events.fail(Fault("api_error", str(error)))
        return events.take()

    def reading(self) -> Reading:
        """Return tokens and model so far."""
        return self._events.reading()

    def _translate(self, data: bytes) -> None:
        for name, payload in self._reader.feed(data):
            self._events.event(name, payload)
            if self._events.over:
                return
