"""HTTP to gateways, the port of a world through which every request goes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    import httpx

# What httpx can decode without further packages.
_GET_HEADERS: Mapping[str, str] = {"accept": "*/*", "accept-encoding": "gzip, deflate"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a GET was answered.

    Attributes:
        headers: By name, written in any case.
        body: Read whole, and decoded.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """HTTP to gateways; proxy variables are ignored, a leftover would send us to the old proxy."""

    def __init__(self) -> None:
        self._transport: httpx.HTTPTransport | None = None
        self._client: httpx.Client | None = None

    @property
    def client(self) -> httpx.Client:
        """The shared client: keep-alive, 10 s to connect, 60 s between bytes."""
        if self._client is None:
            import httpx  # noqa: PLC0415  # 80 ms that `--list` must not pay

            self._client = httpx.Client(
                transport=self._connections(),
                trust_env=False,
                timeout=httpx.Timeout(60, connect=10),
            )
        return self._client

    def get(self, url: str, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Send a GET over a connection of `client` and read the answer; follow no redirect.

        What the client does about cookies, redirects and authentication is left out: it is a fifth
        of a request, and to plan for a thousand instances takes six thousand of them.

        Args:
            timeout_s: To connect, and between bytes.

        Raises:
            httpx.RequestError: Nobody answered, or what was answered cannot be decoded.
        """
        import httpx  # noqa: PLC0415  # see client

        waits = dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)
        request = httpx.Request(
            "GET", url, headers={**_GET_HEADERS, **headers}, extensions={"timeout": waits}
        )
        with contextlib.closing(self._connections().handle_request(request)) as response:
            encoded = "content-encoding" in response.headers
            body = response.read() if encoded else b"".join(response.iter_raw())
            return Answer(response.status_code, response.headers, body)

    def close(self) -> None:
        """Close all connections."""
        for opened in (self._client, self._transport):
            if opened is not None:
                opened.close()
        self._client = self._transport = None

    def _connections(self) -> httpx.HTTPTransport:
        if self._transport is None:
            import httpx  # noqa: PLC0415  # see client

            self._transport = httpx.HTTPTransport(verify=_trusted(), trust_env=False)
        return self._transport


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are trusted: read once in a process, it takes 20 ms."""
    import httpx  # noqa: PLC0415  # see Http.client

    return httpx.create_ssl_context(trust_env=False)
