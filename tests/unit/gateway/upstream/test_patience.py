"""One timer serves all waits of a connection, and each ends at its own time. No sockets."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from fuzz.targets.http_answer import Wire
from gateway.errors import UpstreamError, UpstreamFault
from gateway.upstream.connection import Connection
from gateway.upstream.head import PlainHeads

HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
SHORT_S, LONG_S = 0.01, 600.0


class Pool:
    """Keeps what is given back."""

    def __init__(self) -> None:
        self.idle: list[Connection] = []

    def returned(self, connection: Connection) -> None:
        self.idle.append(connection)

    def gone(self, connection: Connection) -> None:
        pass


class Nowhere:
    """A sink."""

    def body(self, data: bytes) -> None:
        pass


async def _answered(connection: Connection, timeout_s: float) -> None:
    """Ask and be answered at once, so that no schedule lets the time run out."""
    head = connection.request(HEAD, b"", timeout_s)
    connection.data_received(OK)
    assert (await head).status == 200
    assert connection.split((), 100) == (b"hello", True)
    connection.release()


async def _passed(delay_s: float) -> None:
    """Return once the timers are over that were due within this time."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(delay_s, over.set)
    await over.wait()


def test_timer_of_an_earlier_request_does_not_end_a_later_one() -> None:
    async def test() -> None:
        pool = Pool()
        connection = Connection(pool, PlainHeads())
        connection.connection_made(Wire())
        await _answered(connection, SHORT_S)
        assert pool.idle == [connection]
        head = connection.request(HEAD, b"", LONG_S)
        await _passed(5 * SHORT_S)
        assert not head.done()
        connection.data_received(OK[:-1])
        assert (await head).status == 200
        body = asyncio.ensure_future(connection.deliver(Nowhere(), LONG_S))
        await _passed(5 * SHORT_S)
        assert not body.done()
        connection.data_received(OK[-1:])
        await body

    uvloop.run(test())


@pytest.mark.parametrize("before_s", [SHORT_S, LONG_S])
def test_each_wait_ends_at_its_time_whatever_was_waited_for_before(before_s: float) -> None:
    async def test() -> None:
        connection, wire = Connection(Pool(), PlainHeads()), Wire()
        connection.connection_made(wire)
        await _answered(connection, before_s)
        with pytest.raises(UpstreamError, match=r"no answer within 0\.01 s") as caught:
            await connection.request(HEAD, b"", SHORT_S)
        assert caught.value.fault is UpstreamFault.TIMEOUT
        connection.release()
        assert not wire.open

    uvloop.run(test())


def test_idle_connection_is_not_ended_by_its_timer() -> None:
    async def test() -> None:
        pool, wire = Pool(), Wire()
        connection = Connection(pool, PlainHeads())
        connection.connection_made(wire)
        await _answered(connection, SHORT_S)
        await _passed(5 * SHORT_S)
        assert (wire.open, pool.idle) == (True, [connection])
        await _answered(connection, LONG_S)
        assert len(pool.idle) == 2

    uvloop.run(test())
