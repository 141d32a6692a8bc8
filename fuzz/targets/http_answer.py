"""What providers send: a connection's bytes become one answer or one error. No sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fuzz.targets.case import pieces
from gateway.errors import UpstreamError, UpstreamFault
from gateway.upstream.answer_parser import AnswerParser
from gateway.upstream.connection import Connection
from gateway.upstream.head import AnswerHead, Begun, HeadReader, PlainHeads
from gateway.wire.http import Header

REQUEST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
TIMEOUT_S = 600.0


def answer(data: bytes) -> None:
    """Deliver a provider's bytes: one whole answer or an UpstreamError, the same at any split.

    What is read without httptools must be what httptools reads, piece by piece.
    """
    for parts in ([data], list(pieces(data))):
        assert list(_parsed(parts, PlainHeads())) == list(_parsed(parts, _Unread()))
    whole = asyncio.run(_delivered([data]))
    assert whole == asyncio.run(_delivered(pieces(data)))
    assert whole.fault in (None, UpstreamFault.CUT, UpstreamFault.PROTOCOL)
    assert len(whole.body) <= len(data)
    for name, value in whole.headers:
        assert name
        assert not {0, 10, 13} & {*name, *value}
    if whole.fault is None:
        assert 200 <= whole.status <= 999
    elif not whole.status:
        assert whole.body == b""


@dataclass(slots=True)
class Delivered:
    """What the gateway made of the bytes; `fault` is None for a whole answer."""

    status: int = 0
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    fault: UpstreamFault | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a parser tells after a piece."""

    head: AnswerHead | None
    body: bytes
    error: str
    finished: bool
    kept: bool


@dataclass(slots=True)
class _Sink:
    parts: list[bytes] = field(default_factory=list)

    def body(self, data: bytes) -> None:
        self.parts.append(data)


class _Pool:
    def returned(self, connection: Connection) -> None:
        connection.transport.abort()

    def gone(self, connection: Connection) -> None:
        pass


class Wire(asyncio.Transport):
    """A transport to nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send nothing."""

    def get_write_buffer_size(self) -> int:
        """Return how much waits to be sent."""
        return 0

    def pause_reading(self) -> None:
        """Go on all the same."""

    def resume_reading(self) -> None:
        """Go on."""

    def is_closing(self) -> bool:
        """Return whether it was cut."""
        return not self.open

    def abort(self) -> None:
        """Cut it."""
        self.open = False


class _Unread:
    """Leaves every answer to httptools."""

    def read(self, data: bytes) -> Begun | None:
        return None


def _parsed(parts: Iterable[bytes], plain: HeadReader) -> Iterator[Parsed]:
    parser = AnswerParser(plain)
    for part in parts:
        if parser.finished or parser.error is not None:
            return
        body = parser.feed(part)
        kept = all((parser.finished, parser.keep_alive))
        yield Parsed(parser.head, body, str(parser.error), finished=parser.finished, kept=kept)


async def _delivered(parts: Iterable[bytes]) -> Delivered:
    connection, wire, sink, found = Connection(_Pool(), PlainHeads()), Wire(), _Sink(), Delivered()
    connection.connection_made(wire)
    reading = asyncio.ensure_future(_read(connection, sink, found))
    await asyncio.sleep(0)  # the request is sent
    for part in parts:
        if wire.open and not connection.parser.finished:
            connection.data_received(part)
        await asyncio.sleep(0)  # the reader has its turn between two segments
    if wire.open:
        connection.eof_received()
    connection.connection_lost(None)
    await reading
    found.body = b"".join(sink.parts)
    return found


async def _read(connection: Connection, sink: _Sink, found: Delivered) -> None:
    try:
        head = await connection.request(REQUEST, b"", TIMEOUT_S)
        found.status, found.headers = head.status, head.headers
        await connection.deliver(sink, TIMEOUT_S)
    except UpstreamError as error:
        found.fault = error.fault
    finally:
        connection.release()
