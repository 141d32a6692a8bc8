"""Find out whether providers are reachable, without asking them to work; opens sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from gateway.errors import UpstreamError
from gateway.links import Link

DEADLINE_S = 2.0
FRESH_S = 5.0


class ProviderHealth:
    """Asks all providers at once, and keeps the answer for a few seconds.

    A provider is up when its base URL answers HTTP at all: also 404 proves name, route, TLS and
    server. One whose key cannot be resolved is down without being asked.
    """

    def __init__(self, links: Iterable[Link]) -> None:
        self._links = tuple(links)
        self._up: Mapping[str, bool] = {}
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def up(self) -> Mapping[str, bool]:
        """Return for each enabled provider whether it is usable, at most 5 s old."""
        loop = asyncio.get_running_loop()
        async with self._asking:
            if loop.time() - self._asked_at > FRESH_S:
                found = await asyncio.gather(*map(_answers, self._links))
                names = (link.name for link in self._links)
                self._up = dict(zip(names, found, strict=True))
                self._asked_at = loop.time()
            return self._up


async def _answers(link: Link) -> bool:
    if link.problem is not None:
        return False
    try:
        async with asyncio.timeout(DEADLINE_S):
            answer = await link.origin.send(b"GET", b"/", (), b"", head_timeout_s=DEADLINE_S)
    except (UpstreamError, TimeoutError):
        return False
    answer.release()
    return True
