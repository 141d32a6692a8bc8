"""Remembered heads: a request is the same whether its head was known or not, and few are known."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.serve.head_memory import HeadMemory, Key, cut
from gateway.serve.limits import Limits
from gateway.serve.request_parser import Inbound, Phase, Refusal, RequestParser
from gateway.wire.http import Head

LIMITS = Limits(head_bytes=1000, target_bytes=100, body_bytes=300)
HEAD = b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: a\r\nX-Api-Key: sk-1\r\n"
LARGE = Limits()


class Forgetful(HeadMemory):
    """Keeps nothing, so that httptools reads every head."""

    __slots__ = ()

    def keep(self, key: Key, head: Head) -> None:
        """Forget it."""


def sent(body: bytes, head: bytes = HEAD) -> bytes:
    return head + b"Content-Length: %d\r\nAccept: */*\r\n\r\n" % len(body) + body


def told(found: Inbound | Refusal) -> object:
    """Return all that is known of a request, or its refusal."""
    if isinstance(found, Refusal):
        return found
    said = (found.method, found.target, found.headers, found.body)
    return (*said, found.keep_alive, found.http_1_0)


def read(data: bytes, cuts: list[int], heads: HeadMemory, limits: Limits = LIMITS) -> list[object]:
    """Return what is read when the data comes in pieces, and where the parser then is."""
    parser = RequestParser(limits, heads=heads)
    edges = [0, *sorted(min(one, len(data)) for one in cuts), len(data)]
    for start, end in pairwise(edges):
        parser.feed(data[start:end], 0.0)
    where = parser.phase, parser.body_bytes, parser.body_room, parser.expects_continue
    return [*map(told, parser.ready), where]


LINES = st.sampled_from(
    (
        b"Host: a\r\n",
        b"Content-Length: 0\r\n",
        b"Content-Length: 3\r\n",
        b"content-length: 12\r\n",
        b"Content-Length: 0007\r\n",
        b"Content-Length: 301\r\n",
        b"Content-Length: 9999999999999999\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 3 \r\n",
        b"Content-Length:  3\r\n",
        b"Content-Length:3\r\n",
        b"Content-Length: 3\r\n 4\r\n",
        b"CONTENT-LENGTH: 3\r\n",
        b"X-Content-Length: 3\r\n",
        b"X-Length: 3\r\n",
        b"X: Content-Length: 3\r\n",
        b"X: a\nContent-Length: 3\r\n",
        b"X: a\rContent-Length: 3\r\n",
        b"X: a\x00b\r\n",
        b"X : a\r\n",
        b"X:\r\n",
        b"X: \xff\xfe\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: keep-alive\r\n",
        b"Connection: Keep-Alive\r\n",
        b"Connection: close\r\n",
        b"Connection: content-length\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
        b"Proxy-Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"\r\n",
        b"\n",
    )
)
FIRST_LINES = st.sampled_from(
    (
        b"POST /a?b HTTP/1.1\r\n",
        b"POST /a?b HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n",
        b"HEAD / HTTP/1.1\r\n",
        b"POST / HTTP/1.0\r\n",
        b"POST http://a/b HTTP/1.1\r\n",
        b"POST /ength: HTTP/1.1\r\n",
        b"\r\nPOST / HTTP/1.1\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
    )
)
BODIES = st.binary(max_size=20) | st.just(b"0\r\n\r\n") | st.just(b"3\r\nabc\r\n0\r\n\r\n")


@st.composite
def odd_messages(draw: st.DrawFn) -> bytes:
    """Draw heads that agree with their bodies or do not, smuggled lengths among them."""
    lines = draw(st.lists(LINES, max_size=4))
    return b"".join((draw(FIRST_LINES), b"Host: a\r\n", *lines, b"\r\n", draw(BODIES)))


plain_messages = st.builds(
    sent,
    st.binary(max_size=400),
    st.sampled_from((HEAD, HEAD + b"Connection: keep-alive\r\n", HEAD.replace(b"sk-1", b"sk-2"))),
)
streams = st.lists(plain_messages | odd_messages(), min_size=1, max_size=5)


@given(streams, st.lists(st.integers(0, 1500), max_size=6))
def test_a_request_is_the_same_whether_its_head_was_known_or_not(
    messages: list[bytes], cuts: list[int]
) -> None:
    data, warm = b"".join(messages), HeadMemory()
    for message in messages:
        read(message, [], warm)
    cold = read(data, cuts, Forgetful())
    assert read(data, cuts, warm) == cold
    assert read(data, cuts, HeadMemory()) == cold, "and whether it became known within the stream"


@pytest.mark.parametrize(
    "behind", [b"", sent(b"second"), b"GET / HTTP/1.1\r\nHost: b\r\n\r\n", b"\x00"]
)
def test_known_request_is_whole_at_every_cut_with_anything_behind_it(behind: bytes) -> None:
    heads, data = HeadMemory(), sent(b"hello") + behind
    read(sent(b"-"), [], heads)
    cold = read(data, [], Forgetful())
    for at in range(len(data)):
        assert read(data, [at], heads) == cold
    assert read(data, list(range(len(data))), heads) == cold


def test_head_that_comes_again_is_the_same_object() -> None:
    parser = RequestParser(LIMITS)
    for body in (b"first", b"second one", b""):
        parser.feed(sent(body), 0.0)
    first, second, third = (found for found in parser.ready if isinstance(found, Inbound))
    assert first.head is second.head is third.head
    assert (first.body, second.body, third.body) == (b"first", b"second one", b"")
    assert first.headers == ((b"host", b"a"), (b"x-api-key", b"sk-1"), (b"accept", b"*/*"))


@pytest.mark.parametrize("step", [1000, 65_536, 100_000, 4_000_000])
def test_large_body_of_a_known_head_is_counted_off(step: int) -> None:
    parser, body = RequestParser(LARGE), bytes(range(256)) * 12_000
    parser.feed(sent(b"-"), 0.0)
    data = sent(body) + sent(b"next")
    for start in range(0, len(data), step):
        parser.feed(data[start : start + step], 0.0)
    known, large, behind = (one for one in parser.ready if isinstance(one, Inbound))
    assert (large.body, behind.body) == (body, b"next")
    assert known.head is large.head is behind.head


def test_body_of_a_known_head_is_announced_and_can_be_given_up() -> None:
    parser = RequestParser(LIMITS)
    parser.feed(sent(b"-"), 0.0)
    parser.ready.clear()
    parser.feed(sent(b"0123456789")[:-4], 1.0)
    assert (parser.phase, parser.body_bytes, parser.body_room) == (Phase.BODY, 6, 10)
    parser.refuse(408, "too slow")
    parser.feed(b"6789" + sent(b"next"), 2.0)
    assert list(parser.ready) == [Refusal(408, "too slow", b"/v1/messages?beta=true", None, 1.0)]
    assert (parser.phase, parser.body_bytes) == (Phase.DEAD, 0)


def test_request_of_a_known_head_was_received_when_its_head_was() -> None:
    parser, data = RequestParser(LIMITS), sent(b"abc")
    for now in (1.0, 2.0):
        parser.feed(data, now)
    parser.feed(data[:-1], 3.0)
    parser.feed(data[-1:], 4.0)
    times = [one.received for one in parser.ready if isinstance(one, Inbound)]
    assert times == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("body_bytes", "expected"),
    [(300, None), (301, Refusal(413, "the body is larger than 300 bytes"))],
)
def test_body_of_a_known_head_is_bounded(body_bytes: int, expected: Refusal | None) -> None:
    heads, data = HeadMemory(), sent(b"x" * body_bytes)
    read(sent(b"-"), [], heads)
    found, where = read(data, [], heads)
    assert ([found, where] == read(data, [], Forgetful())) and heads.known
    assert expected is None or found == Refusal(413, expected.message, b"/v1/messages?beta=true")


LINE = b"POST / HTTP/1.1\r\nHost: a\r\n"
LENGTH = b"Content-Length: 1\r\n\r\na"
NOT_KEPT = {
    "no length": LINE + b"\r\n",
    "another length before it": LINE + b"X-Length: 1\r\n" + LENGTH,
    "upper case": LINE + LENGTH.upper(),
    "no blank": LINE + LENGTH.replace(b" ", b""),
    "blank behind": LINE + LENGTH.replace(b"1", b"1 "),
    "too many digits": LINE + LENGTH.replace(b"1", b"%016d" % 1),
    "chunked": LINE + b"Transfer-Encoding: chunked\r\nX-Length: 1\r\n\r\n0\r\n\r\n",
    "absolute form": LINE.replace(b"/", b"http://a/", 1) + LENGTH,
    "http/1.0": LINE.replace(b"1.1", b"1.0") + LENGTH,
    "kept http/1.0": LINE.replace(b"1.1", b"1.0") + b"Connection: keep-alive\r\n" + LENGTH,
    "close": LINE + b"Connection: close\r\n" + LENGTH,
    "close by another name": LINE + b"Proxy-Connection: close\r\n" + LENGTH,
    "a named header": LINE + b"Connection: keep-alive, x\r\n" + LENGTH,
    "expectation": LINE + b"Expect: 100-continue\r\n" + LENGTH,
    "too long": LINE + b"X: %b\r\n" % (b"x" * 8200) + LENGTH,
}


@pytest.mark.parametrize("name", NOT_KEPT)
def test_head_that_is_not_of_the_plainest_form_is_read_anew_each_time(name: str) -> None:
    heads = HeadMemory()
    for _ in range(2):
        found, *_ = read(NOT_KEPT[name], [], heads, LARGE)
        assert isinstance(found, tuple), "a request"
        assert not heads.known


def test_head_that_another_length_could_make_too_large_is_not_kept() -> None:
    size = len(sent(b"-")) - 1
    for head_bytes, kept in ((2 * size - 1, 0), (2 * size, 1)):
        heads = HeadMemory()
        read(sent(b"-"), [], heads, Limits(head_bytes=head_bytes))
        assert len(heads.known) == kept


FRAGMENTS = st.sampled_from(
    (b"Content-Length: ", b"ength: ", b"1", b"\r", b"\r\n", b"\r\n\r\n", b"a")
)
FRAGMENT = st.lists(FRAGMENTS, max_size=8).map(b"".join)


@given(FRAGMENT, FRAGMENT, st.integers(0, 10**15 - 1))
def test_heads_of_one_key_differ_in_the_digits_alone(
    before: bytes, behind: bytes, length: int
) -> None:
    data = b"%bength: %d\r\n%b\r\n\r\n" % (before, length, behind)
    found = cut(data)
    assume(found is not None)
    assert found is not None
    (up_to, from_there), told_bytes, rest = found
    lines = (b"%bength: %d" % (up_to, told_bytes), from_there)
    whole = b"\r\n".join(filter(None, lines))
    assert data == whole + b"\r\n\r\n" + rest


def test_oldest_heads_make_way() -> None:
    heads, head = HeadMemory(), Head(b"POST", b"/", ())
    for number in range(1030):
        heads.keep((b"POST /%d HTTP/1.1\r\nContent-L" % number, b"\n"), head)
    assert [int(before.split()[1][1:]) for before, _ in heads.known] == list(range(6, 1030))
    for number in range(400):
        heads.keep((b"POST /%d HTTP/1.1\r\nContent-L" % number, b"x" * 8000), head)
    sizes = [len(before) + len(behind) for before, behind in heads.known]
    assert sum(sizes) <= 2 << 20
    assert len(sizes) > 200


def test_heads_are_never_shown() -> None:
    heads = HeadMemory()
    read(sent(b"-"), [], heads)
    assert heads.known
    assert "sk-1" not in f"{heads!r} {heads}"
