"""Pass on answers that come in a content coding although none was asked for, and read a copy.

Writes to a responder and to the log. What a few bytes say may be long: it is read a block at a
time, and others are served in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import lru_cache

from gateway.errors import UpstreamError
from gateway.redact import redact
from gateway.relay import StreamRelay
from gateway.upstream.origin import Answer
from gateway.wire.content_coding import MAX_BLOCK_BYTES, Decoder, Undecodable
from gateway.wire.decoded_meter import DecodedMeter
from gateway.wire.http import Memory, Responder

log = logging.getLogger(__name__)

MAX_BACKLOG_BYTES = 1 << 20
"""So much of a stream may wait to be read; the client does not wait for more."""

Lose = Callable[[Undecodable], object]
"""Is told why something cannot be read."""

_LEAST_BYTES = 4 << 10  # any block takes as long as one of so many bytes


async def decoded(decoder: Decoder, body: bytes, memory: Memory, limit: int) -> bytes:
    """Return what a whole body says.

    Raises Undecodable, also for more than `limit` bytes, or than there is memory for.
    """
    blocks, size = [], 0
    for block in decoder.feed(body):
        size += len(block)
        if size > limit:
            raise Undecodable("it says more than is read of an answer")
        if size > MAX_BLOCK_BYTES and not memory.try_more(len(block)):
            raise Undecodable("no memory is left for what it says")
        blocks.append(block)
        await asyncio.sleep(0)
    return b"".join(blocks)


def _nobody(*_: object) -> None:
    """Take no notice."""


class DecodedSink:
    """A sink that reads what an encoded body says, as far as that is possible."""

    __slots__ = (
        "_backlog",
        "_blocks",
        "_decoder",
        "_idle",
        "_lose",
        "_lost",
        "_passed",
        "_read",
        "_size",
        "_turn",
    )

    def __init__(
        self,
        decoder: Decoder,
        read: Callable[[bytes], object],
        lose: Lose,
        passed: Callable[[bytes], object] = _nobody,
    ) -> None:
        """Read nothing yet.

        Args:
            read: Is given what the body says.
            lose: Is told why, before what cannot be read passes.
            passed: Is given each piece as it came, after what it says.
        """
        self._decoder = decoder
        self._read, self._lose, self._passed = read, lose, passed
        self._backlog: deque[bytes] = deque()
        self._size = 0
        self._blocks: Iterator[bytes] | None = None
        self._lost = False
        self._turn: asyncio.Handle | None = None
        self._idle: asyncio.Future[None] | None = None

    def body(self, data: bytes) -> None:
        """Take a piece."""
        self._backlog.append(data)
        self._size += len(data)
        if self._size > MAX_BACKLOG_BYTES and not self._lost:
            self._give_up(Undecodable("it comes faster than it can be read"))
            self.close()
        if self._turn is None:
            self._go_on()

    async def drained(self) -> None:
        """Return once all pieces have passed."""
        if self._turn is not None:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def close(self) -> None:
        """Read no more. Idempotent."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _go_on(self) -> None:
        """Read a block, and let pass what has been read; the next turn does the rest."""
        self._turn = None
        while self._backlog:
            if self._is_more():
                self._turn = asyncio.get_running_loop().call_soon(self._go_on)
                return
            self._blocks = None
            piece = self._backlog.popleft()
            self._size -= len(piece)
            self._passed(piece)
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _is_more(self) -> bool:
        """Read on in the first piece; return whether there is more of it than fits in a turn."""
        if self._lost:
            return False
        left = MAX_BLOCK_BYTES
        self._blocks = self._blocks or self._decoder.feed(self._backlog[0])
        try:
            for block in self._blocks:
                if block:
                    self._read(block)
                left -= max(len(block), _LEAST_BYTES)
                if left <= 0:
                    return True
        except Undecodable as error:
            self._give_up(error)
        return False

    def _give_up(self, cause: Undecodable) -> None:
        self._lost = True
        self._lose(cause)


async def pump(answer: Answer, sink: DecodedSink, *, idle_timeout_s: float) -> None:
    """Push an encoded body into the sink until the message ends, and all of it has passed.

    Raises UpstreamError as `Answer.pump` does; whatever came before has passed.
    """
    with closing(sink):
        try:
            await answer.pump(sink, idle_timeout_s=idle_timeout_s)
        except UpstreamError:
            await sink.drained()
            raise
        await sink.drained()


class EncodedRelay(StreamRelay):
    """Sink of the pieces of an event stream in an encoding, whose meter is told what they say.

    The piece that completes the terminal event is held whole. Where something could not be read
    nobody knows that piece: then the end of the body is held.
    """

    __slots__ = ("_decoded",)

    def __init__(
        self, responder: Responder, meter: DecodedMeter, record: Callable[[], asyncio.Future[bool]]
    ) -> None:
        super().__init__(responder, meter, record)
        self._decoded = meter

    def reading_along(self, decoder: Decoder, lose: Lose) -> DecodedSink:
        """Return the sink of the body: it tells the meter what a piece says, then passes it on.

        Args:
            lose: Is told, too, why something cannot be read.
        """
        meter = self._decoded

        def lose_both(cause: Undecodable) -> None:
            meter.lose()
            lose(cause)

        return DecodedSink(decoder, meter.read, lose_both, self.body)

    def finish(self) -> None:
        """Take the end of the body for that of the stream, where it was not read. Idempotent."""
        self._decoded.finish()
        if self._decoded.lost and not self._stopped:
            self._hold(b"")

    def break_off(self) -> None:
        """Send nothing: all that came has been sent."""

    def tell(self, _: bytes) -> None:
        """Cut the connection: nobody could read an event there that is not encoded."""
        self._responder.abort()


def unread(provider: str, cause: Undecodable) -> None:
    """Say in the log that a provider's encoded answers cannot be read, once for each cause."""
    _say(provider, redact(str(cause)))


@lru_cache(256)
def _say(provider: str, cause: str) -> None:
    log.warning("Encoded answers cannot be read: provider=%s cause=%s", provider, cause)
