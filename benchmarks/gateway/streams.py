"""Take many paced streams at once and judge each; opens sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from benchmarks.gateway.bodies import Format, Pace
from benchmarks.gateway.deltas import DeltaReader, Faults, faults, percentile
from benchmarks.gateway.errors import WrongAnswer
from benchmarks.gateway.programs import Address

_CONNECT_S = 20.0
_SLACK_S = 60.0  # beyond what the pace takes
_SHOWN_BYTES = 500


@dataclass(frozen=True, slots=True)
class StreamLoad:
    """Which streams to take.

    Attributes:
        request: Head and body, as sent.
        spread_s: Time over which they begin; callers do not all start at one instant.
    """

    request: bytes
    pace: Pace
    streams: int
    spread_s: float = 1.0
    wire: Format = Format.MESSAGES


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What became of the streams.

    Attributes:
        broken: Streams without an answer, refused, cut, or without their last event.
        faults: Of the deltas of all streams that are not broken.
        glued: Deltas that came together with an earlier one.
        delay_p50_ms: From writing a delta to reading it.
        shown: What a broken stream said; empty when none is broken.
    """

    streams: int
    broken: int
    faults: Faults
    glued: int
    delay_p50_ms: float
    delay_p99_ms: float
    shown: str


async def take_streams(address: Address, load: StreamLoad) -> StreamReport:
    """Take the streams, each on a connection of its own, and report on all of them.

    Raises WrongAnswer when none is whole.
    """
    within_s = load.spread_s + load.pace.deltas * load.pace.every_ms / 1000 + _SLACK_S
    takers = [_Taker(load) for _ in range(load.streams)]
    async with asyncio.TaskGroup() as group:
        for number, taker in enumerate(takers):
            begin_s = load.spread_s * number / load.streams
            group.create_task(_take(taker, address, begin_s, within_s))
    return _report(takers, load.pace.deltas)


class _Taker(asyncio.Protocol):
    """One request, and its answer to the last byte."""

    def __init__(self, load: StreamLoad) -> None:
        self.reader = DeltaReader(load.wire.last)
        self.over = asyncio.Event()
        self.whole = False
        self.head = b""
        self._request = load.request
        self._end = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        # uvloop's transports have this interface without being instances of it.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Read deltas; leave after the last chunk."""
        self.reader.feed(data, time.monotonic_ns())
        if len(self.head) < _SHOWN_BYTES:
            self.head += data[:_SHOWN_BYTES]
        self._end = (self._end + data)[-7:]
        if self.reader.ended and self._end == b"\r\n0\r\n\r\n":
            self.whole = self.head.startswith(b"HTTP/1.1 200 ")
            self.leave()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nothing more will come."""
        self.over.set()

    def leave(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()


async def _take(taker: _Taker, address: Address, begin_s: float, within_s: float) -> None:
    await asyncio.sleep(begin_s)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_CONNECT_S):
            await loop.create_connection(lambda: taker, address.host, address.port)
        async with asyncio.timeout(within_s):
            await taker.over.wait()
    except (OSError, TimeoutError):
        taker.leave()  # it counts as broken


def _report(takers: Iterable[_Taker], deltas: int) -> StreamReport:
    everyone = tuple(takers)
    whole = [taker for taker in everyone if taker.whole]
    delays = [delay for taker in whole for delay in taker.reader.delays_ms]
    odd = next((taker for taker in everyone if not taker.whole), None)
    shown = "" if odd is None else odd.head.decode(errors="replace") or "no answer"
    if not delays:
        raise WrongAnswer(f"none of {len(everyone)} streams was whole: {shown}")
    return StreamReport(
        streams=len(everyone),
        broken=len(everyone) - len(whole),
        faults=sum((faults(taker.reader.numbers, deltas) for taker in whole), Faults()),
        glued=sum(taker.reader.glued for taker in whole),
        delay_p50_ms=percentile(delays, 0.5),
        delay_p99_ms=percentile(delays, 0.99),
        shown=shown,
    )
