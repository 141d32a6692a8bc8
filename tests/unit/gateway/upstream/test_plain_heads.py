"""Which heads are read without the general parser, what they say, and what is remembered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.head import AnswerHead, PlainHeads

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"


def test_plain_head_tells_status_headers_length_and_rest() -> None:
    data = (
        b"HTTP/1.1 429 Too Many Requests\r\nServer: one\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n"
        b"Content-Length:012\r\nConnection: Keep-Alive\r\nKeep-Alive: timeout=5\r\n"
        b"X-Gateway-Cost-Usd: 7\r\n"
        b"X-Words: \xe9 of: many\r\n\r\nrest\r\n\r\n"
    )
    headers = (
        (b"server", b"one"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"content-length", b"012"),
        (b"x-words", b"\xe9 of: many"),
    )
    first = {**dict(headers), b"set-cookie": b"a=1"}
    heads = PlainHeads()
    for _ in range(2):  # read, then remembered
        assert heads.read(data) == (AnswerHead(429, headers, first), 12, b"rest\r\n\r\n")


NOT_PLAIN = {
    "half a head": SIZED,
    "nothing": b"",
    "blank lines first": b"\r\n" + SIZED + b"\r\n",
    "no status line": b"Content-Length: 5\r\n\r\n",
    "a status line only": b"HTTP/1.1 200 OK\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\nServer: a\r\n\r\n",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
    "lower case": b"http/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    "1xx": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching\r\nContent-Length: 5\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "600": b"HTTP/1.1 600 Odd\r\nContent-Length: 5\r\n\r\n",
    "four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\n",
    "odd reason": b"HTTP/1.1 200 O\tK\r\nContent-Length: 5\r\n\r\n",
    "status line twice": b"HTTP/1.1 200 OK\r\n" + SIZED + b"\r\n",
    "length twice": SIZED + b"Content-Length: 5\r\n\r\n",
    "length of two values": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
    "endless length": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 10**15,
    "empty length": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
    "chunked": SIZED + b"Transfer-Encoding: chunked\r\n\r\n",
    "no coding": SIZED + b"Transfer-Encoding: identity\r\n\r\n",
    "close": SIZED + b"Connection: close\r\n\r\n",
    "named header": SIZED + b"Connection: keep-alive, X-Private\r\n\r\n",
    "proxy's connection": SIZED + b"Proxy-Connection: close\r\n\r\n",
    "upgrade": SIZED + b"Upgrade: h2c\r\n\r\n",
    "trailer": SIZED + b"Trailer: x\r\n\r\n",
    "no colon": SIZED + b"Server\r\n\r\n",
    "no name": SIZED + b": one\r\n\r\n",
    "blank in the name": SIZED + b"Ser ver: one\r\n\r\n",
    "blank after the name": SIZED + b"Server : one\r\n\r\n",
    "blanks after the colon": SIZED + b"Server:  one\r\n\r\n",
    "blank at the end": SIZED + b"Server: one \r\n\r\n",
    "tab": SIZED + b"Server: o\tne\r\n\r\n",
    "no value": SIZED + b"Server: \r\n\r\n",
    "folded": SIZED + b"Server: one\r\n two\r\n\r\n",
    "line feed": SIZED + b"Server: one\nX: 1\r\n\r\n",
    "carriage return": SIZED + b"Server: one\rX: 1\r\n\r\n",
    "line feeds only": SIZED.replace(b"\r", b"") + b"\n",
    "NUL": SIZED + b"Server: o\0ne\r\n\r\n",
    "DEL": SIZED + b"Server: o\x7fne\r\n\r\n",
    "too long": SIZED + b"Server: " + b"a" * 9000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_any_other_head_is_left_to_the_general_parser(name: str) -> None:
    heads = PlainHeads()
    assert heads.read(SIZED + b"Server: one\r\n\r\n") is not None
    for _ in range(2):  # what is remembered of it changes nothing
        assert heads.read(NOT_PLAIN[name]) is None


_LINES = st.sampled_from(
    [
        *(line for head in NOT_PLAIN.values() if len(head) < 200 for line in head.split(b"\r\n")),
        b"Content-Length: 7",
        b"content-length: 7",
        b"Server: two",
        b"X-Long: " + b"a" * 300,
        b"Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"X-Gateway-Model: nobody's",
    ]
)
_HEADS = st.builds(
    lambda lines, rest: b"\r\n".join([b"HTTP/1.1 200 OK", *lines]) + b"\r\n\r\n" + rest,
    st.lists(_LINES, max_size=6),
    st.binary(max_size=20),
)


@given(st.lists(_HEADS, max_size=8), _HEADS)
def test_head_says_the_same_whatever_was_read_before(before: list[bytes], data: bytes) -> None:
    warm = PlainHeads()
    for earlier in before:
        warm.read(earlier)
    assert warm.read(data) == PlainHeads().read(data)


def test_memory_is_bounded_and_short_of_long_lines() -> None:
    heads, most = PlainHeads(), 0
    for number in range(5000):
        unlike = b"HTTP/1.1 200 %d\r\nContent-Length: 5\r\nX: %d\r\n\r\n" % (number, number)
        assert heads.read(unlike) is not None
        most = max(most, len(heads))
    assert 1000 < most <= 2048
    fresh = PlainHeads()
    assert fresh.read(SIZED + b"X-Long: " + b"a" * 300 + b"\r\n\r\n") is not None
    assert len(fresh) == 2


def test_memory_is_not_shown() -> None:
    heads = PlainHeads()
    heads.read(SIZED + b"Set-Cookie: session=secret\r\n\r\n")
    assert "secret" not in repr(heads)
