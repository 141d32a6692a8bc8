"""The gateway a probe looks at. Asking it gives an answer or the reason why there is none."""

from __future__ import annotations

import json
from dataclasses import dataclass

from cco_migrate.judge.gate import Unmeasured
from cco_migrate.model import JsonObject
from cco_migrate.world import World

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Site:
    """One gateway.

    Attributes:
        url: Without a slash at its end.
    """

    url: str
    world: World


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the times are monotonic seconds."""

    status: int
    body: bytes
    asked_s: float
    answered_s: float


def ask(site: Site, path: str) -> Answer | Unmeasured:
    """Ask for a path over a connection that is not used again, so that any worker may answer."""
    import httpx  # noqa: PLC0415  # see world.Http

    clock = site.world.clock
    asked_s = clock.monotonic()
    try:
        found = site.world.http.client.get(
            site.url + path, headers={"connection": "close"}, timeout=TIMEOUT_S
        )
    except httpx.RequestError as error:
        return Unmeasured(f"{site.url}{path} does not answer: {str(error) or type(error).__name__}")
    return Answer(found.status_code, found.content, asked_s, clock.monotonic())


def object_in(answer: Answer, path: str) -> JsonObject | Unmeasured:
    """Return the JSON object of an answer."""
    try:
        row = json.loads(answer.body)
    except ValueError:
        return Unmeasured(f"{path} answers {answer.status} and no JSON")
    if not isinstance(row, dict):
        return Unmeasured(f"{path} answers JSON that is no object")
    return row
