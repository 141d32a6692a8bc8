"""What is sent to a provider: headers, target, and what never is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import uvloop

from gateway.upstream.origin import Origin
from gateway.wire.http import Header

if TYPE_CHECKING:
    from tests.unit.gateway.upstream.conftest import Answering, Post

DEADLINE_S = 30.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def test_request_gets_host_length_and_prefix_and_loses_hop_by_hop(
    provider: Answering, post: Post
) -> None:
    async def test() -> None:
        async with provider(OK) as (made, origin):
            sent = (
                (b"x-api-key", b"k"),
                (b"host", b"evil"),
                (b"content-length", b"999"),
                (b"transfer-encoding", b"chunked"),
                (b"connection", b"close"),
                (b"te", b"trailers"),
                (b"expect", b"100-continue"),
                (b"proxy-authorization", b"p"),
            )
            answer = await post(origin, b"abc", sent)
            answer.release()
            expected = (
                f"POST /base/v1/m HTTP/1.1\r\nhost: 127.0.0.1:{made.port}\r\n"
                "x-api-key: k\r\ncontent-length: 3\r\n\r\n"
            )
            assert made.heads == [expected.encode()]

    uvloop.run(test())


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        (b"HEAD", b"/", ()),
        (b"POST", b"/ HTTP/1.1\r\nx: y", ()),
        (b"POST", b"/", ((b"x", b"a\r\nauthorization: b"),)),
        (b"POST", b"/", ((b"x\n", b"a"),)),
    ],
)
def test_head_and_line_breaks_are_never_sent(
    provider: Answering, method: bytes, target: bytes, headers: tuple[Header, ...]
) -> None:
    async def test() -> None:
        async with provider(OK) as (made, origin):
            with pytest.raises(ValueError, match=r"HEAD|line break"):
                await origin.send(method, target, headers, b"", head_timeout_s=1)
            assert made.connections == 0

    uvloop.run(test())


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        (b"POST", b"", b"content-length: 0\r\n"),
        (b"POST", b"abc", b"content-length: 3\r\n"),
        (b"GET", b"", b""),
        (b"GET", b"abc", b"content-length: 3\r\n"),
    ],
)
def test_head_made_once_is_sent_with_the_length_of_each_body(
    provider: Answering, method: bytes, body: bytes, length: bytes
) -> None:
    async def test() -> None:
        async with provider(OK, OK) as (made, origin):
            head = origin.head(method, b"/v1/m", ((b"x-api-key", b"k"),))
            for _ in range(2):
                answer = await origin.ask(head, body, head_timeout_s=DEADLINE_S)
                assert await answer.read(100) == (b"hello", True)
                answer.release()
            assert made.heads == [head + length + b"\r\n"] * 2

    uvloop.run(test())


@pytest.mark.parametrize("url", ["ftp://a", "http://", "a:80", "http://a/?b"])
def test_origin_of_a_strange_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not an http or https URL"):
        Origin(url)
