"""An answer's head on the wire: every header as it was given, but for those of one connection."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serve.responder import ConnectionResponder
from gateway.wire.hops import HOP_BY_HOP
from gateway.wire.http import Header, ReadSide, header_lines


@dataclass(eq=False)
class Wire:
    """A connection and its transport, which keep what is written."""

    lost: bool = False
    must_close: bool = False
    written: list[bytes] = field(default_factory=list)

    @property
    def transport(self) -> asyncio.Transport:
        return cast("asyncio.Transport", self)  # all of one that an answer needs

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def throttle(self, source: ReadSide | None) -> None:
        """Nothing is paused here."""

    def cut(self) -> None:
        self.lost = True


def answer(status: int, headers: tuple[Header, ...], body: bytes = b"") -> bytes:
    """Return what a client on HTTP/1.1 reads, its connection kept."""
    wire = Wire()
    responder = ConnectionResponder(wire, head_only=False, keep_alive=True, http_1_0=False)
    responder.start(status, headers, body)
    return b"".join(wire.written)


@pytest.mark.parametrize("keep_alive", [True, False])
def test_further_lines_stand_at_the_end_of_the_head(keep_alive: bool) -> None:
    wire = Wire()
    responder = ConnectionResponder(wire, head_only=False, keep_alive=keep_alive, http_1_0=False)
    lines = header_lines([(b"x-a", b"50 %"), (b"x-b", b"")])
    responder.start(200, ((b"content-length", b"2"),), b"ab", lines)
    close = b"" if keep_alive else b"connection: close\r\n"
    said = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: 50 %\r\nx-b: \r\n" + close + b"\r\nab"
    assert b"".join(wire.written) == said


NAMES = st.sampled_from((b"x-a", b"x-b", b"100%", b"%b", b"%(a)s", b"date", *sorted(HOP_BY_HOP)))
VALUES = st.sampled_from((b"", b"a", b"50 %", b"%b%%", b"\xff: b", b"close"))
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6)


@given(HEADERS, HEADERS, st.binary(max_size=20), st.sampled_from((200, 404, 599)))
def test_headers_are_said_as_given_in_their_order(
    before: list[Header], behind: list[Header], body: bytes, status: int
) -> None:
    headers = (*before, (b"content-length", b"%d" % len(body)), *behind)
    head, blank, rest = answer(status, headers, body).partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert first.startswith(b"HTTP/1.1 %d " % status)
    assert lines == [b": ".join(one) for one in headers if one[0] not in HOP_BY_HOP]
    assert (blank, rest) == (b"\r\n\r\n", body)


@given(HEADERS, HEADERS, st.sampled_from((b"0", b"5", b"05")))
def test_of_two_lengths_only_the_last_is_said(
    before: list[Header], behind: list[Header], told: bytes
) -> None:
    own = (b"content-length", b"3")
    head, _, rest = answer(
        200, ((b"content-length", told), *before, own, *behind), b"abcdef"
    ).partition(b"\r\n\r\n")
    said = [b": ".join(one) for one in (*before, own, *behind) if one[0] not in HOP_BY_HOP]
    assert (head.split(b"\r\n")[1:], rest) == (said, b"abc")


@given(HEADERS, st.sampled_from((204, 304)))
def test_answer_without_a_body_says_no_length(headers: list[Header], status: int) -> None:
    sizes = ((b"content-length", b"1"), (b"content-length", b"2"))
    said = answer(status, (*sizes, *headers), b"a")
    assert said.endswith(b"\r\n\r\n")
    assert said.split(b"\r\n")[1:-2] == [
        b": ".join(one) for one in headers if one[0] not in HOP_BY_HOP
    ]


@pytest.mark.parametrize("size", [0, 1, 8 << 10, (8 << 10) + 1, 100_000])
def test_small_first_piece_goes_out_with_the_head(size: int) -> None:
    wire, body = Wire(), b"%b" * size
    responder = ConnectionResponder(wire, head_only=False, keep_alive=True, http_1_0=False)
    responder.reply(200, body[:size])
    assert b"".join(wire.written).endswith(b"\r\n\r\n" + body[:size])
    assert len(wire.written) == (1 if size <= 8 << 10 else 2)


@pytest.mark.parametrize("word", [b"a\nb", b"a\rb", b"\n", b"\r", b"a\r\n"])
def test_line_break_in_a_header_is_refused_each_time(word: bytes) -> None:
    for header in ((word, b"a"), (b"a", word), (b"a", word)):
        with pytest.raises(ValueError, match="line break"):
            answer(200, (header,))
