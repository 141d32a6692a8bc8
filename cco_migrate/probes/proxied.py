"""HTTP the way clients took before the gateway: through a forward proxy."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from cco_migrate.world import Http, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx


class ProxiedHttp(Http):
    """HTTP through one forward proxy: a CONNECT tunnel for https, absolute-form for http.

    Proxy variables are ignored here, too: what is measured is the proxy that was named.
    """

    def __init__(self, proxy: str) -> None:
        super().__init__()
        self._proxy = proxy

    def _connections(self) -> httpx.HTTPTransport:
        if self._transport is None:
            import httpx  # noqa: PLC0415  # see world.Http

            self._transport = httpx.HTTPTransport(proxy=self._proxy, trust_env=False)
        return self._transport


@contextmanager
def through(proxy: str, world: World) -> Iterator[World]:
    """Yield the world as it is behind a proxy; the world itself for an empty URL."""
    if not proxy:
        yield world
        return
    http = ProxiedHttp(proxy)
    try:
        yield replace(world, http=http)
    finally:
        http.close()
