"""Pass an answer's body on while it arrives; writes to a responder, decides nothing else.

The client is served first, the bookkeeping comes second, except around the end of a stream: its
terminal event is held until the request's record is committed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateway.store.deadlines import COMMIT_WAIT_S
from gateway.translate.usage_chunk import UsageFilter
from gateway.wire.formats import StreamTranslator
from gateway.wire.http import Responder
from gateway.wire.stream_meter import StreamMeter
from gateway.wire.usage import Reading

_MAX_HELD_BYTES = 64 * 1024


class StreamRelay:
    """Sink of an event stream that the gateway understands.

    Attributes:
        first_at: `time.perf_counter()` at the first piece; None before it.
        late: Whether the terminal event was sent before its record was committed.
        mid_line: Whether the last byte sent was not the end of a line.
    """

    __slots__ = (
        "_done",
        "_held",
        "_loop",
        "_meter",
        "_record",
        "_responder",
        "_stopped",
        "_timer",
        "first_at",
        "late",
        "mid_line",
    )

    def __init__(
        self, responder: Responder, meter: StreamMeter, record: Callable[[], asyncio.Future[bool]]
    ) -> None:
        self.first_at: float | None = None
        self.late = False
        self.mid_line = False
        self._responder = responder
        self._meter = meter
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        self._held: list[bytes] = []
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None

    def body(self, data: bytes) -> None:
        """Take a piece."""
        if self.first_at is None:
            self.first_at = time.perf_counter()
        if self._stopped:
            self._after(data)
        elif self._meter.pending or data.find(self._meter.stop_word) >= 0:
            self._meter.feed(data)
            at = self._meter.stop_at
            self._write(data if at is None else data[:at])
            if at is not None:
                self._hold(data[at:])
        else:
            self._write(data)
            self._meter.feed(data)

    @property
    def stopped(self) -> bool:
        """Whether the terminal event was seen."""
        return self._stopped

    def finish(self) -> None:
        """Send what is left to say after the provider's last byte: nothing, here. Idempotent."""

    def break_off(self) -> None:
        """Send what is left to say when the provider broke off. Idempotent."""
        self.finish()

    def tell(self, event: bytes) -> None:
        """End a stream that lacks its terminal event with an error event."""
        # An unfinished line is ended, not dispatched: what follows names the whole event.
        self._responder.write(b"\n" + event if self.mid_line else event)

    def reading(self) -> Reading:
        """Return what the stream has said about itself so far."""
        return self._meter.reading()

    async def settled(self) -> None:
        """Return once nothing is held any more; at once when the stream did not stop."""
        if self._stopped:
            await self._done

    def close(self) -> None:
        """Send what is held. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._done.done():
            self._done.set_result(None)
            self._write(b"".join(self._held))
            self._held.clear()

    def _write(self, data: bytes) -> None:
        if data:
            self.mid_line = not data.endswith(b"\n")
            self._responder.write(data)

    def _hold(self, data: bytes) -> None:
        self._stopped = True
        self._held.append(data)
        self._timer = self._loop.call_later(COMMIT_WAIT_S, self._give_up)
        self._record().add_done_callback(lambda _: self.close())

    def _give_up(self) -> None:
        self.late = not self._done.done()
        self.close()

    def _after(self, data: bytes) -> None:
        if self._done.done():
            self._write(data)
            return
        self._held.append(data)
        if sum(map(len, self._held)) > _MAX_HELD_BYTES:
            self._give_up()


class TranslatedRelay(StreamRelay):
    """Sink of an event stream that reaches the client in another wire format.

    The meter sees what the client gets; tokens are read from what the provider said.
    """

    __slots__ = ("_translator",)

    def __init__(
        self,
        responder: Responder,
        meter: StreamMeter,
        record: Callable[[], asyncio.Future[bool]],
        translator: StreamTranslator,
    ) -> None:
        super().__init__(responder, meter, record)
        self._translator = translator

    def body(self, data: bytes) -> None:
        """Take a piece."""
        out = self._translator.feed(data)
        if out:
            super().body(out)

    def finish(self) -> None:
        """Send the closing events, or the error that tells the client there are none."""
        out = self._translator.end()
        if out:
            super().body(out)

    def reading(self) -> Reading:
        """Return what the provider told; what the client was told instead does not count."""
        return self._translator.reading()


class FilteredRelay(StreamRelay):
    """Sink of a chat stream whose usage only the gateway asked for; the client gets all else."""

    __slots__ = ("_filter",)

    def __init__(
        self,
        responder: Responder,
        meter: StreamMeter,
        record: Callable[[], asyncio.Future[bool]],
        usage_filter: UsageFilter,
    ) -> None:
        super().__init__(responder, meter, record)
        self._filter = usage_filter

    def body(self, data: bytes) -> None:
        """Take a piece."""
        out = self._filter.feed(data)
        if out:
            super().body(out)

    def finish(self) -> None:
        """Send what is left of an event that was not finished."""
        out = self._filter.rest()
        if out:
            super().body(out)

    def reading(self) -> Reading:
        """Return what the provider told for the gateway alone, else what it told the client."""
        told = self._filter.reading
        return told if told.usage is not None else super().reading()


class PlainRelay:
    """Sink of any other body.

    With `keep_last` the newest piece is kept back, so that the end of the body can wait for its
    record; a stream whose pieces matter as they come is passed on without.
    """

    __slots__ = ("_keep_last", "_last", "_responder", "first_at")

    def __init__(self, responder: Responder, *, keep_last: bool, first: bytes = b"") -> None:
        self.first_at: float | None = None
        self._responder = responder
        self._keep_last = keep_last
        self._last = first

    def body(self, data: bytes) -> None:
        """Take a piece."""
        if self.first_at is None:
            self.first_at = time.perf_counter()
        if self._keep_last:
            data, self._last = self._last, data
        self._responder.write(data)

    def close(self) -> None:
        """Send what is kept back. Idempotent."""
        data, self._last = self._last, b""
        self._responder.write(data)
