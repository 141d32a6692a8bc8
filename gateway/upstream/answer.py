"""What an origin's user holds of an answer: its head, and the means to take its body."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.upstream.connection import Connection, Sink
from gateway.wire.http import Header, ReadSide


class Answer(msgspec.Struct, eq=False):
    """A response whose head is in and whose body is still to be taken.

    Attributes:
        status: 200 or above.
        headers: Names in lower case; hop-by-hop headers are dropped, trailers never included.
        first: The first value of each of them.
        resent: Whether the request was sent twice because a pooled connection had just died.
    """

    status: int
    headers: tuple[Header, ...]
    first: Mapping[bytes, bytes]
    _connection: Connection | None
    resent: bool = False

    __repr__ = object.__repr__  # headers may hold secrets

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header (name in lower case), or None."""
        return self.first.get(name)

    @property
    def read_side(self) -> ReadSide:
        """What `Responder.throttle` pauses; has no effect after `release`."""
        return self

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`."""
        if self._connection is not None:
            self._connection.set_throttled(throttled=True)

    def resume_reading(self) -> None:
        """Deliver again."""
        if self._connection is not None:
            self._connection.set_throttled(throttled=False)

    def all_there(self, limit: int) -> bytes | None:
        """Return the body when the whole of it, no longer than `limit`, has come; else None.

        What is returned is taken; of any other answer nothing is.
        """
        connection = self._connection
        return None if connection is None else connection.all_there(limit)

    async def read(self, limit: int, *, idle_timeout_s: float = 300) -> tuple[bytes, bool]:
        """Buffer up to `limit` bytes; return them and whether they are all there is.

        What is beyond them can then be pumped. Raises UpstreamError as `pump` does.
        """
        connection = self._held()
        buffer = _Buffer(connection, limit)
        await connection.deliver(buffer, idle_timeout_s)
        return connection.split(buffer.parts, limit)

    async def pump(self, sink: Sink, *, idle_timeout_s: float) -> None:
        """Push the body into the sink until the message ends.

        Args:
            idle_timeout_s: Longest pause between two pieces, while nobody throttles.

        Raises UpstreamError (CUT, TIMEOUT or PROTOCOL); whatever came before has been pushed.
        """
        await self._held().deliver(sink, idle_timeout_s)

    def release(self) -> None:
        """Give the connection back when the message ended cleanly, else cut it. Idempotent.

        Cutting is what makes a provider stop working on an answer nobody wants.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def _held(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the answer has been released")
        return self._connection


class _Buffer:
    """A sink that stops its connection when it holds `limit` bytes."""

    def __init__(self, connection: Connection, limit: int) -> None:
        self.parts: list[bytes] = []
        self._connection, self._left = connection, limit

    def body(self, data: bytes) -> None:
        """Take a piece, and ask for no more when there is one byte too many."""
        self.parts.append(data)
        self._left -= len(data)
        if self._left < 0:
            self._connection.hand_back()
