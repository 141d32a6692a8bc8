"""What is read without httptools is what httptools reads, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.answer_parser import AnswerParser
from gateway.upstream.head import AnswerHead, Begun, HeadReader, PlainHeads

Told = tuple[AnswerHead | None, bytes, str, bool, bool]
"""Head, body of the piece, error, whether it is finished, whether the connection is kept."""


class Unread:
    """Leaves every answer to httptools."""

    def read(self, data: bytes) -> Begun | None:
        return None


def told(parser: AnswerParser, pieces: Iterable[bytes]) -> list[Told]:
    """Return what a parser tells after each piece, until it has all or takes no more."""
    found: list[Told] = []
    for piece in pieces:
        if parser.finished or parser.error is not None:
            break
        body = parser.feed(piece)
        kept = all((parser.finished, parser.keep_alive))
        found.append((parser.head, body, str(parser.error), parser.finished, kept))
    return found


_STATUS_LINES = st.sampled_from(
    [
        *[b"HTTP/1.1 200 OK"] * 12,
        b"HTTP/1.1 404 Not Found",
        b"HTTP/1.1 503",
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 304 Not Modified",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 200 O\xe9K",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 20 OK",
        b"\r\nHTTP/1.1 200 OK",
    ]
)
_LENGTHS = st.sampled_from([b"Content-Length: %d" % size for size in (0, 1, 5, 5, 5, 9)])
_PLAIN_LINES = st.sampled_from(
    [
        b"Content-Type: application/json",
        b"Server:nginx",
        b"Connection: keep-alive",
        b"connection: Keep-Alive",
        b"Keep-Alive: timeout=5",
        b"X-A: 1",
        b"X-A: 2",
        b"X-B: \xc3\xa9, \x80\xff",
        b"X-C: a:b",
        b"X-Gateway-Override: a=>b",
    ]
)
_OTHER_LINES = st.sampled_from(
    [
        b"Connection: close",
        b"Connection: keep-alive, x-a",
        b"Proxy-Connection: close",
        b"Upgrade: h2c",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Content-Length: 5",
        b"Content-Length:5",
        b"Content-Length: 05",
        b"Content-Length: +5",
        b"Content-Length: 5 ",
        b"Content-Length: 99999999999999999999",
        b"X-D:",
        b"X-E:  a ",
        b"X-F : a",
        b" folded",
        b"X-G: a\tb",
        b"X-H: a\x01b",
        b"X-I: a\x7fb",
        b"X\xe9: a",
        b"X(J): a",
        b"no colon",
    ]
)
_BODIES = st.sampled_from(
    [b"", b"1", b"hello", b"hello\r\n", b"hello\r\n\r\n\r", b"helloHTTP/1.1 5"]
)


@st.composite
def _answers(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(_PLAIN_LINES, max_size=4))
    if draw(st.booleans()):
        lines += draw(st.lists(_OTHER_LINES, max_size=2))
    lines.insert(draw(st.integers(0, len(lines))), draw(_LENGTHS))
    raw = b"\r\n".join([draw(_STATUS_LINES), *lines]) + b"\r\n\r\n" + draw(_BODIES)
    if draw(st.integers(0, 3)) == 0:  # mutated
        start, end = sorted(draw(st.tuples(st.integers(0, len(raw)), st.integers(0, len(raw)))))
        raw = raw[:start] + draw(st.binary(max_size=3)) + raw[min(end, start + 2) :]
    return raw


@st.composite
def _pieces(draw: st.DrawFn) -> list[bytes]:
    raw = draw(_answers())
    cuts: list[int] = []
    if draw(st.booleans()):
        cuts = sorted(draw(st.sets(st.integers(1, max(1, len(raw) - 1)), max_size=3)))
    return [raw[start:end] for start, end in pairwise([0, *cuts, len(raw)]) if start < end]


@given(st.lists(_pieces(), min_size=1, max_size=3))
def test_answer_is_what_httptools_reads(answers: list[list[bytes]]) -> None:
    """Of all answers of a connection, as long as it is kept."""
    plain, general = AnswerParser(PlainHeads()), AnswerParser(Unread())
    for pieces in answers:
        assert told(plain, pieces) == told(general, pieces)
        assert plain.end() == general.end()
        assert plain.finished == general.finished
        if not (plain.finished and plain.keep_alive and plain.error is None):
            return
        plain.reset()
        general.reset()


RAW = b"HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"


@pytest.mark.parametrize("surplus", [b"", b"\r", b"\r\n", b"H", b"hello"])
def test_plain_answer_is_the_same_at_every_cut(surplus: bytes) -> None:
    raw = RAW + surplus
    for cut in range(len(raw)):
        for reader in (PlainHeads(), Unread()):
            parser = AnswerParser(reader)
            found = told(parser, filter(None, (raw[:cut], raw[cut:])))
            assert parser.head == AnswerHead(
                200,
                ((b"server", b"a"), (b"content-length", b"5")),
                {b"server": b"a", b"content-length": b"5"},
            )
            assert b"".join(body for _, body, *_ in found) == b"hello"


class Counting:
    """Counts the answers that began plainly."""

    def __init__(self) -> None:
        self.plain = 0
        self._heads = PlainHeads()

    def read(self, data: bytes) -> Begun | None:
        begun = self._heads.read(data)
        self.plain += begun is not None
        return begun


@pytest.mark.parametrize(
    ("pieces", "plain"),
    [
        ((RAW,), 1),
        ((RAW[:-5], b"hel", b"lo"), 1),
        ((RAW[:10], RAW[10:]), 0),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", RAW), 0),
        ((RAW.replace(b"Server: a", b"Connection: keep-alive, close"),), 0),
    ],
)
def test_plain_reader_is_asked_once_for_the_first_piece(
    pieces: tuple[bytes, ...], plain: int
) -> None:
    reader: Counting = Counting()
    parser = AnswerParser(reader)
    for _ in range(2):
        found = told(parser, pieces)
        assert b"".join(body for _, body, *_ in found) == b"hello"
        if not parser.keep_alive:
            return
        parser.reset()
    assert reader.plain == 2 * plain


def _kept(reader: HeadReader) -> bool:
    parser = AnswerParser(reader)
    parser.feed(b"HTTP/1.1 200 OK\r\n\r\nuntil the")
    return parser.end() and parser.keep_alive


def test_end_of_the_connection_ends_only_a_body_of_no_length() -> None:
    assert not _kept(PlainHeads())
    for raw in (b"", RAW[:20], RAW[:-1], RAW):
        parser = AnswerParser(PlainHeads())
        if raw:
            parser.feed(raw)
        assert not parser.end()
        assert parser.finished == (raw == RAW)
