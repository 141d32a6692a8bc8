"""Load a gateway in three ways while its processes are replaced; counts whatever goes wrong."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.gateway.bodies import Pace, paced_request, plain_request
from benchmarks.gateway.clients import request_bytes
from benchmarks.gateway.deltas import Faults
from benchmarks.gateway.programs import Address
from benchmarks.gateway.streams import StreamLoad, take_streams

_WITHIN_S = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_LAST = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TurnoverLoad:
    """What a gateway has to bear while it is replaced.

    Attributes:
        requests: How many plain requests there are at least.
        fresh: Clients that open a connection for each request.
        kept: Clients that keep theirs until an answer says that it is the last.
        streams: How many are open at once, again and again until the rest is done.
    """

    requests: int
    fresh: int
    kept: int
    streams: int
    pace: Pace


@dataclass(slots=True)
class TurnoverReport:
    """What became of it; filled while the load runs.

    Attributes:
        answered: Plain requests with a whole answer of status 200.
        failures: All other ones, by what happened.
        broken: Streams without an answer, refused, cut, or without their last event.
        faults: Of the deltas of the streams that are not broken.
    """

    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    streams: int = 0
    broken: int = 0
    faults: Faults = field(default_factory=Faults)

    def __str__(self) -> str:
        failed = dict(self.failures) or "none"
        return (
            f"{self.answered} requests answered, failed: {failed}; {self.streams} streams, "
            f"broken: {self.broken}, deltas lost, doubled or reordered: {self.faults.total}"
        )


async def bear(address: Address, load: TurnoverLoad, turn: Callable[[], None]) -> TurnoverReport:
    """Keep the load up until `turn` has returned and all requests are made.

    Args:
        turn: Replaces what is to be replaced, however often; called in a thread.
    """
    report, turned = TurnoverReport(), asyncio.Event()
    client = _Client(address, load, report, turned)
    async with asyncio.TaskGroup() as group:
        for _ in range(load.fresh):
            group.create_task(client.ask_on_new_connections())
        for _ in range(load.kept):
            group.create_task(client.ask_on_one_connection())
        group.create_task(client.take_streams())
        try:
            await asyncio.to_thread(turn)
        finally:
            turned.set()
    return report


class _Client:
    """All clients; they share a report and the end."""

    def __init__(
        self, address: Address, load: TurnoverLoad, report: TurnoverReport, turned: asyncio.Event
    ) -> None:
        self._address, self._load = address, load
        self._report, self._turned = report, turned
        self._plain = request_bytes(address, plain_request(1))

    async def ask_on_new_connections(self) -> None:
        """Open a connection for every request."""
        while self._goes_on():
            made = await self._ask(None)
            if made is not None:
                made[1].close()

    async def ask_on_one_connection(self) -> None:
        """Keep the connection as long as answers allow."""
        kept: _Streams | None = None
        while self._goes_on():
            kept = await self._ask(kept)
        if kept is not None:
            kept[1].close()

    async def take_streams(self) -> None:
        """Take streams, so many at once, until the others are done; at least once."""
        report, pace = self._report, self._load.pace
        request = request_bytes(self._address, paced_request(pace))
        while True:
            taken = await take_streams(
                self._address, StreamLoad(request, pace, self._load.streams, spread_s=0.5)
            )
            report.streams += taken.streams
            report.broken += taken.broken
            report.faults += taken.faults
            if not self._goes_on():
                return

    def _goes_on(self) -> bool:
        made = self._report.answered + self._report.failures.total()
        return not self._turned.is_set() or made < self._load.requests

    async def _ask(self, kept: _Streams | None) -> _Streams | None:
        """Make one request and count it; return the connection when it can be used again.

        Given no connection, one is opened; the caller of a fresh one throws it away.
        """
        try:
            async with asyncio.timeout(_WITHIN_S):
                return await self._exchange(kept)
        except ConnectionRefusedError:
            self._report.failures["refused"] += 1
        except ConnectionResetError:
            self._report.failures["reset"] += 1
        except asyncio.IncompleteReadError as error:
            self._report.failures["cut" if error.partial else "closed without an answer"] += 1
        except TimeoutError:
            self._report.failures["late"] += 1
        except OSError as error:
            self._report.failures[str(error)] += 1
        return None

    async def _exchange(self, kept: _Streams | None) -> _Streams | None:
        reader, writer = kept or await asyncio.open_connection(
            self._address.host, self._address.port
        )
        again = False
        try:
            writer.write(self._plain)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
            if length and head.startswith(b"HTTP/1.1 200 "):
                self._report.answered += 1
            else:
                self._report.failures[head.partition(b"\r\n")[0].decode("latin-1")] += 1
            again = _LAST.search(head) is None
        finally:
            if not again:
                writer.close()
        return (reader, writer) if again else None


_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
