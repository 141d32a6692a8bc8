"""Requests from bytes: whole, byte by byte, with more behind them, and beyond every bound."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.serve.head_memory import HeadMemory
from gateway.serve.limits import Limits
from gateway.serve.request_parser import Inbound, Phase, Refusal, RequestParser

LIMITS = Limits(head_bytes=600, target_bytes=100, body_bytes=50)
HOST = b"Host: a\r\n"

GOOD = {
    "get": (b"GET /x?beta=true HTTP/1.1\r\n" + HOST + b"\r\n", b"/x?beta=true", b""),
    "empty header": (b"GET / HTTP/1.1\r\nX-None:\r\n" + HOST + b"\r\n", b"/", b""),
    "length": (
        b"POST /v1/messages HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello",
        b"/v1/messages",
        b"hello",
    ),
    "chunked with extension and trailer": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTrailer: x\r\n\r\n"
        b"2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nAuthorization: evil\r\nX-Api-Key: evil\r\n\r\n",
        b"/",
        b"hello",
    ),
    "absolute form": (b"GET http://A/p?q HTTP/1.1\r\n" + HOST + b"\r\n", b"/p?q", b""),
    "absolute form, no path": (b"GET HTTP://a HTTP/1.1\r\n" + HOST + b"\r\n", b"/", b""),
    "absolute form, query": (b"GET http://a?q/r HTTP/1.1\r\n" + HOST + b"\r\n", b"/?q/r", b""),
}

REFUSED = {
    "garbage": (b"\x16\x03\x01 hello\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    "host differs": (b"GET http://b/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "host differs, query": (b"GET http://b?a/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "fragment of a host": (b"GET http://a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "target is no path": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "fragment": (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "http/2": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "rtsp": (b"GET / RTSP/1.0\r\n" + HOST + b"\r\n", 505),
    "rtsp/1.1": (b"POST / RTSP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", 505),
    "rtsp's own method": (b"\r\nDESCRIBE /RTSP/ RTSP/1.0\r\n" + HOST + b"\r\n", 505),
    "ice": (b"SOURCE /  ICE/1.0\r\n" + HOST + b"\r\n", 505),
    "http/0.9": (b"GET /\r\n" + HOST + b"\r\n", 505),
    "connect": (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "upgrade with body": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\n"
        b"Content-Length: 1\r\n\r\na",
        501,
    ),
    "both framings": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        400,
    ),
    "both framings, other order": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "undecoded coding": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "coding in two headers": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "chunked in 1.0": (
        b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
        400,
    ),
    "negative length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
    "folded header": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", 400),
    "nul": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n", 400),
    "bare cr": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n", 400),
    "blank before colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    "unknown expectation": (b"POST / HTTP/1.1\r\n" + HOST + b"Expect: tea\r\n\r\n", 417),
    "long url": (b"GET /" + b"a" * 200 + b" HTTP/1.1\r\n", 414),
    "long single header": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 700, 431),
    "long header name": (b"GET / HTTP/1.1\r\n" + HOST + b"X" * 1300, 431),
    "many headers": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 120, 431),
    "length too large": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 51\r\n\r\n", 413),
    "chunks too large": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 51,
        413,
    ),
    "endless trailer": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        b"1\r\na\r\n0\r\nX: " + b"a" * 5000,
        400,
    ),
    "endless chunk extension": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 1500,
        400,
    ),
}


def feed(data: bytes, step: int) -> RequestParser:
    parser = RequestParser(LIMITS)
    for start in range(0, len(data), step):
        parser.feed(data[start : start + step], float(start))
    return parser


@pytest.mark.parametrize("step", [1, 7, 400])
@pytest.mark.parametrize("name", GOOD)
def test_good_request_is_complete_in_any_pieces(name: str, step: int) -> None:
    data, target, body = GOOD[name]
    parser = feed(data, step)
    inbound = parser.ready.popleft()
    assert isinstance(inbound, Inbound)
    assert (inbound.target, inbound.body) == (target, body)
    assert inbound.keep_alive
    assert inbound.received == 0.0
    assert parser.phase is Phase.IDLE
    assert not parser.ready


@pytest.mark.parametrize("name", GOOD)
def test_good_request_with_another_behind_yields_both(name: str) -> None:
    data = GOOD[name][0]
    parser = feed(data + b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n", 10_000)
    first, second = parser.ready
    assert isinstance(first, Inbound)
    assert first.body == GOOD[name][2]
    assert isinstance(second, Inbound)
    assert second.target == b"/next"


@pytest.mark.parametrize("step", [1, 200, 2000])
@pytest.mark.parametrize("name", REFUSED)
def test_bad_request_is_refused_in_any_pieces(name: str, step: int) -> None:
    data, status = REFUSED[name]
    parser = feed(data, step)
    refusals = list(parser.ready)
    assert [getattr(refusal, "status", refusal) for refusal in refusals] == [status]
    assert parser.phase is Phase.DEAD


@pytest.mark.parametrize("name", REFUSED)
def test_head_of_a_bad_request_is_not_remembered(name: str) -> None:
    heads = HeadMemory()
    RequestParser(LIMITS, heads=heads).feed(REFUSED[name][0], 0.0)
    assert not heads.known


def test_every_cut_of_a_good_request_waits_for_more() -> None:
    data = GOOD["chunked with extension and trailer"][0]
    for cut in range(1, len(data)):
        parser = feed(data[:cut], 10_000)
        assert not parser.ready
        assert parser.phase in (Phase.HEAD, Phase.BODY)


def test_refusal_behind_a_good_request_comes_second() -> None:
    parser = feed(GOOD["get"][0] + b"bad\x00\r\n\r\n", 10_000)
    first, second = parser.ready
    assert isinstance(first, Inbound)
    assert second == Refusal(400, "this is not a well-formed HTTP/1.1 request")


def test_bytes_after_connection_close_are_ignored() -> None:
    data = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"
    parser = feed(data, 10_000)
    (inbound,) = parser.ready
    assert isinstance(inbound, Inbound)
    assert not inbound.keep_alive
    assert parser.phase is Phase.DEAD


def test_upgrade_without_body_is_answered_as_http_1_1_and_is_the_last() -> None:
    data = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * "
    parser = feed(data, 10_000)
    (inbound,) = parser.ready
    assert isinstance(inbound, Inbound)
    assert not inbound.keep_alive


def test_hop_by_hop_and_named_headers_are_dropped_but_not_what_framing_rests_on() -> None:
    data = (
        b"POST / HTTP/1.1\r\n"
        + HOST
        + b"Connection: keep-alive, X-Secret, Host, content-length\r\n"
        b"X-Secret: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy-Authorization: b\r\n"
        b"X-Kept:  two words \r\nContent-Length: 1\r\n\r\na"
    )
    (inbound,) = feed(data, 10_000).ready
    assert isinstance(inbound, Inbound)
    assert inbound.headers == (
        (b"host", b"a"),
        (b"x-kept", b"two words"),
    )


def test_trailers_never_become_headers() -> None:
    (inbound,) = feed(GOOD["chunked with extension and trailer"][0], 10_000).ready
    assert isinstance(inbound, Inbound)
    assert inbound.header(b"authorization") is None
    assert inbound.header(b"x-api-key") is None


def test_http_1_0_needs_no_host_and_closes() -> None:
    (inbound,) = feed(b"GET / HTTP/1.0\r\n\r\n", 10_000).ready
    assert isinstance(inbound, Inbound)
    assert inbound.http_1_0
    assert not inbound.keep_alive


@pytest.mark.parametrize(
    ("expect", "expected"), [(b"Expect: 100-continue\r\n", True), (b"", False)]
)
def test_expectation_is_open_until_the_first_body_byte(expect: bytes, *, expected: bool) -> None:
    parser = feed(b"POST / HTTP/1.1\r\n" + HOST + expect + b"Content-Length: 2\r\n\r\n", 10_000)
    assert parser.expects_continue is expected
    parser.feed(b"a", 1.0)
    assert not parser.expects_continue


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"", b""),
        (b"/v1/mess", b"/v1/mess"),
        (b"/v1/messages?a/b", b"/v1/messages"),
        (b"http://a/v1/messages?a=b", b"/v1/messages"),
        (b"HTTP://a", b"/"),
        (b"http://a?b", b"/"),
        (b"http:/", b"http:/"),
        (b"*", b"*"),
    ],
)
def test_refusal_names_the_path_as_far_as_it_has_arrived(target: bytes, path: bytes) -> None:
    assert Refusal(400, "any", target).path == path


# What else a line may say, and what stands before it on the connection.
RTSP = b"GET / RTSP/1.0\r\n" + HOST + b"\r\n"
MENTIONING = {
    "target": b"GET /RTSP/1.0?ICE/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "header": b"GET / HTTP/1.1\r\n" + HOST + b"X: GET / RTSP/1.0\r\n\r\n",
    "body": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: %d\r\n\r\n" % len(RTSP[:40])
    + RTSP[:40],
    "body without a line break": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nRTSP/",
    "chunks": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n10\r\nGET / RTSP/1.0\r\n\r\n2\r\n\r\n\r\n0\r\n\r\n",
    "trailer": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: / RTSP/1.0\r\n\r\n",
    "lines before": b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST + b"X: ICE/\r\n\r\n",
}


def cuts(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """Yield data whole, in single bytes, and cut at every place."""
    yield (data,)
    yield tuple(data[at : at + 1] for at in range(len(data)))
    yield from ((data[:at], data[at:]) for at in range(1, len(data)))


@pytest.mark.parametrize("name", MENTIONING)
def test_only_a_request_line_says_which_protocol_is_spoken(name: str) -> None:
    for pieces in cuts(MENTIONING[name] * 2 + RTSP + MENTIONING[name]):
        parser = RequestParser(LIMITS)
        for piece in pieces:
            parser.feed(piece, 0.0)
        *good, refusal = parser.ready
        assert [type(one) for one in good] == [Inbound, Inbound], pieces
        assert isinstance(refusal, Refusal), pieces
        assert refusal.status == 505


def test_body_that_is_full_of_other_protocols_is_read_whole() -> None:
    body = b" ICE/\nGET / RTSP/1.0\r\n\r\n" * 2000
    parser = RequestParser(Limits(body_bytes=len(body)))
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body)
    parser.feed(head + body + b"\r\n0\r\n\r\n" + RTSP, 0.0)
    inbound, refusal = parser.ready
    assert isinstance(inbound, Inbound)
    assert inbound.body == body
    assert isinstance(refusal, Refusal)
