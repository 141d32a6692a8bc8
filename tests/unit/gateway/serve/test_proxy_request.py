"""The head of a request to the legacy proxy: what is asked, and what travels on."""

from __future__ import annotations

import pytest

from gateway.errors import RequestError
from gateway.serve.proxy_request import ProxyRequest, parse


def head(first: str, *headers: str) -> bytes:
    return "".join(f"{line}\r\n" for line in (first, *headers, "")).encode()


def sent(first: str, host: str, *headers: str) -> bytes:
    own = (f"host: {host}", "via: 1.1 legacy-proxy", "connection: close")
    return head(f"{first} HTTP/1.1", *own, *headers)


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [
        ("api.anthropic.com:443", "api.anthropic.com", 443),
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("[::1]:443", "::1", 443),
    ],
)
def test_connect_asks_for_a_tunnel(target: str, host: str, port: int) -> None:
    request = parse(head(f"CONNECT {target} HTTP/1.1", f"Host: {target}", "User-Agent: x"))
    assert request == ProxyRequest("CONNECT", host, port, True, b"", None)


@pytest.mark.parametrize(
    ("target", "address", "line", "authority"),
    [
        ("http://a.example/x?y=1", ("a.example", 80), "/x?y=1", "a.example"),
        ("http://A.example:8080", ("a.example", 8080), "/", "A.example:8080"),
        ("HTTP://a.example?q#part", ("a.example", 80), "/?q", "a.example"),
        ("http://user:secret@a.example/", ("a.example", 80), "/", "a.example"),
        ("http://[::1]:9/p;a=b?", ("::1", 9), "/p;a=b?", "[::1]:9"),
    ],
)
def test_absolute_form_becomes_origin_form(
    target: str, address: tuple[str, int], line: str, authority: str
) -> None:
    request = parse(head(f"GET {target} HTTP/1.1", "Host: other", "Accept: */*"))
    assert (request.host, request.port) == address
    assert request.head == sent(f"GET {line}", authority, "accept: */*")
    assert (request.is_tunnel, request.body_bytes) == (False, 0)


def test_headers_of_one_connection_stay_behind() -> None:
    request = parse(
        head(
            "POST http://a.example/ HTTP/1.0",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic c2VjcmV0",
            "Connection: X-Hop, keep-alive",
            "X-Hop: 1",
            "Via: 1.0 before",
            "Content-Length: 12",
            "x-api-key:   key \t",
        )
    )
    assert request.head == sent("POST /", "a.example", "content-length: 12", "x-api-key: key")
    assert request.body_bytes == 12


def test_chunked_body_travels_on_as_it_is_framed() -> None:
    request = parse(head("POST http://a/ HTTP/1.1", "Transfer-Encoding: chunked", "TE: trailers"))
    assert request.head == sent("POST /", "a", "transfer-encoding: chunked")
    assert request.body_bytes is None


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["GET / HTTP/1.1"], "this is an HTTP proxy"),
        (["GET https://a.example/ HTTP/1.1"], "https is reached through CONNECT HOST:PORT"),
        (["GET ftp://a.example/ HTTP/1.1"], "it takes CONNECT, or http://HOST/PATH"),
        (["GET http:///path HTTP/1.1"], "this is an HTTP proxy"),
        (["GET http://@/ HTTP/1.1"], "names no host"),
        (["GET http://a.example:x/ HTTP/1.1"], "is no URL"),
        (["GET http://[::1/ HTTP/1.1"], "is no URL"),
        (["CONNECT a.example HTTP/1.1"], "CONNECT needs HOST:PORT"),
        (["CONNECT a.example:0 HTTP/1.1"], "CONNECT needs HOST:PORT"),
        (["CONNECT a.example:65536 HTTP/1.1"], "CONNECT needs HOST:PORT"),
        (["CONNECT user@a.example:443 HTTP/1.1"], "CONNECT needs HOST:PORT"),
        (["nonsense"], "no HTTP/1.1 request line"),
        (["GET http://a/ HTTP/2"], "no HTTP/1.1 request line"),
        (["GET http://a/ b HTTP/1.1"], "no HTTP/1.1 request line"),
        (["GET http://a/\x00 HTTP/1.1"], "no HTTP/1.1 request line"),
        (["GET http://a/ HTTP/1.1", "no colon"], "header line is malformed"),
        (["GET http://a/ HTTP/1.1", "a: b", " folded"], "header line is malformed"),
        (["GET http://a/ HTTP/1.1", "a : b"], "header line is malformed"),
        (["GET http://a/ HTTP/1.1", "a: b\nc: d"], "header line is malformed"),
        (["POST http://a/ HTTP/1.1", "content-length: 1", "content-length: 2"], "no single number"),
        (["POST http://a/ HTTP/1.1", "content-length: -1"], "no single number"),
        (["POST http://a/ HTTP/1.1", f"content-length: {'9' * 30}"], "no single number"),
        (
            ["POST http://a/ HTTP/1.1", "content-length: 1", "transfer-encoding: chunked"],
            "length is ambiguous",
        ),
        (["POST http://a/ HTTP/1.1", "transfer-encoding: gzip"], "length is ambiguous"),
    ],
)
def test_request_that_is_none_is_refused_with_the_reason(lines: list[str], words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        parse(head(*lines))
    assert caught.value.status == 400
