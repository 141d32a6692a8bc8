"""HTTP for one look at gateways: what was answered once is not asked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cco_migrate.world import Answer, Http, World

if TYPE_CHECKING:
    import httpx


class AskedOnce(Http):
    """HTTP that remembers the answer to every `get`.

    Whoever looks decides for how long an answer holds. That nobody answered is not remembered.
    """

    def __init__(self, below: Http) -> None:
        super().__init__()
        self._below = below
        self._answers: dict[tuple[str, frozenset[tuple[str, str]]], Answer] = {}

    @property
    def client(self) -> httpx.Client:
        """The client below, with its open connections; what is asked with it is not remembered."""
        return self._below.client

    def get(self, url: str, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Return what was answered before, else ask; raises httpx.RequestError."""
        question = (url, frozenset(headers.items()))
        if question not in self._answers:
            self._answers[question] = self._below.get(url, headers, timeout_s)
        return self._answers[question]

    def close(self) -> None:
        """Forget the answers; the connections below stay open for whoever owns them."""
        self._answers.clear()
        super().close()


def one_look(world: World) -> World:
    """Return the same world, in which all who ask a gateway the same are told the same."""
    return replace(world, http=AskedOnce(world.http))
