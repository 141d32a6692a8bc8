"""What clients send to the forward proxy: a head becomes one request that travels on. Pure."""

from __future__ import annotations

from gateway.errors import RequestError
from gateway.serve import proxy_request
from gateway.serve.limits import Limits
from gateway.serve.request_parser import Inbound, RequestParser

_LIMITS = Limits()


def proxy(data: bytes) -> None:
    """Read a head: a 400, a tunnel, or a request every other party reads in the same way."""
    head = data + b"\r\n\r\n"
    if b"\r\n\r\n" in data:
        return  # the proxy takes a head up to its first empty line
    try:
        found = proxy_request.parse(head)
    except RequestError as error:
        assert error.status == 400
        return
    assert found.host
    assert 0 <= found.port < 65536
    if found.is_tunnel:
        assert found.head == b""
        return
    body = b"0\r\n\r\n" if found.body_bytes is None else b"a" * min(found.body_bytes, 100)
    parser = RequestParser(_LIMITS)
    # The proxy passes on methods nobody knows.
    parser.feed(b"POST" + found.head.removeprefix(found.method.encode()) + body, 0.0)
    if found.body_bytes in (None, len(body)):
        (again,) = parser.ready
        # What the gateway itself would not serve, the proxy may pass on, when it is well-formed.
        assert isinstance(again, Inbound) or again.status != 400, again
