"""Read the head of a request to a forward proxy, and write the one that travels on. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.errors import RequestError
from gateway.wire.hops import end_to_end
from gateway.wire.http import Header

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/1\.[01]")
_HEADER = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+)):([0-9]{1,5})")
_URL = re.compile(r"http://([^/?#]+)([^#]*)(?:#.*)?", re.IGNORECASE)
_VIA = b"1.1 legacy-proxy"


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """What a client asks of the proxy.

    Attributes:
        is_tunnel: Whether bytes are to be passed on as they are, both ways (CONNECT).
        head: What the target is sent first; empty for a tunnel.
        body_bytes: How much body follows; None: until the client ends, or as its chunks say.
    """

    method: str
    host: str
    port: int
    is_tunnel: bool
    head: bytes
    body_bytes: int | None


def parse(head: bytes) -> ProxyRequest:
    """Return the request of a head that ends with its empty line. Raises RequestError (400)."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    found = _LINE.fullmatch(first)
    if found is None:
        raise _bad("the first line is no HTTP/1.1 request line")
    method, target = found[1].decode(), found[2].decode()
    headers = tuple(_header(line) for line in lines)
    if method == "CONNECT":
        host, port = _authority(target)
        return ProxyRequest(method, host, port, is_tunnel=True, head=b"", body_bytes=None)
    host, port, authority, path = _absolute(target)
    own = ((b"host", authority.encode()), (b"via", _VIA), (b"connection", b"close"))
    kept = [header for header in _travelling(headers) if header[0] not in (b"host", b"via")]
    written = b"".join(b"%s: %s\r\n" % header for header in (*own, *kept))
    return ProxyRequest(
        method,
        host,
        port,
        is_tunnel=False,
        head=f"{method} {path} HTTP/1.1\r\n".encode() + written + b"\r\n",
        body_bytes=_body_bytes(headers),
    )


def _header(line: bytes) -> Header:
    found = _HEADER.fullmatch(line)
    if found is None:
        raise _bad("a header line is malformed")
    return found[1].lower(), found[2]


def _authority(text: str) -> tuple[str, int]:
    found = _AUTHORITY.fullmatch(text)
    port = int(found[3]) if found is not None else 0
    if found is None or not 0 < port < 65536:
        raise _bad("CONNECT needs HOST:PORT")
    return found[1] or found[2], port


def _absolute(target: str) -> tuple[str, int, str, str]:
    """Return host, port, the Host header's value, and path with query of an http URL."""
    found = _URL.fullmatch(target)
    if found is None:
        hint = "https is reached through CONNECT HOST:PORT; " if "://" in target else ""
        raise _bad(f"{hint}this is an HTTP proxy: it takes CONNECT, or http://HOST/PATH")
    authority, path = found[1].rpartition("@")[2], found[2]
    try:
        parts = urlsplit(f"//{authority}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _bad(f"the target is no URL: {error}") from error
    if not host:
        raise _bad("the target names no host")
    path = path if path.startswith("/") else f"/{path}"
    return host, 80 if port is None else port, authority, path


def _travelling(headers: tuple[Header, ...]) -> tuple[Header, ...]:
    """Return the headers that travel on; the body does so as it is framed."""
    connection = (value for name, value in headers if name == b"connection")
    framing = tuple(header for header in headers if header[0] == b"transfer-encoding")
    return (*end_to_end(headers, connection), *framing)


def _body_bytes(headers: tuple[Header, ...]) -> int | None:
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings:
        if lengths or codings != [b"chunked"]:
            raise _bad("the body's length is ambiguous")
        return None
    if not lengths:
        return 0
    (length, *others) = lengths
    if others or not length.isdigit() or len(length) > 18:
        raise _bad("the content-length is no single number")
    return int(length)


def _bad(words: str) -> RequestError:
    return RequestError(400, "invalid_request_error", words)
