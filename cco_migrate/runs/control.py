"""What an operator asks of a run from another terminal: files that the engine looks at.

Only the holder of the lock writes the journal. Everybody else leaves a request beside it, which
outlives both.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from cco_migrate.errors import Aborted, Held
from cco_migrate.world import Clock, World


class Wish(StrEnum):
    """What can be asked for; also the name of its file and of its task."""

    HOLD = "hold"  # do not begin another step
    ABORT = "abort"  # go back to the old state; before anything else


_FILES = {wish: f"{wish}.request.json" for wish in Wish}


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        by: user@host.
        at: RFC 3339, UTC.
        why: In their words; empty when they gave none.
    """

    by: str
    at: str
    why: str = ""

    def __str__(self) -> str:
        return f"by {self.by} at {self.at}" + (f" ({self.why})" if self.why else "")


class Control:
    """The requests of one run."""

    def __init__(self, run_dir: Path, world: World) -> None:
        self.run_dir, self.world = run_dir, world

    def ask(self, wish: Wish, why: str) -> Request:
        """Leave a request; asking again keeps the first one, and returns it."""
        if (before := self.asked(wish)) is not None:
            return before
        at = self.world.clock.now().isoformat(timespec="seconds")
        request = Request(self.world.processes.operator(), at, why)
        row = {"by": request.by, "at": request.at, "why": request.why}
        self.world.files.replace(self._path(wish), json.dumps(row).encode() + b"\n")
        return request

    def asked(self, wish: Wish) -> Request | None:
        """Return the request; None when nobody asked. Raises Held for a damaged one."""
        path = self._path(wish)
        data = self.world.files.read_if_there(path)
        if data is None:
            return None
        try:
            return Request(**json.loads(data))
        except (ValueError, TypeError) as error:
            raise Held(
                f"{path}: not a request ({error})",
                state="The run does nothing while it cannot tell what was asked of it.",
                next_command=f"rm {path}",
            ) from error

    def withdraw(self, wish: Wish) -> None:
        """Take a request away, because it was met or is not wanted any more."""
        self.world.files.remove(self._path(wish))

    def refuse_when_aborted(self) -> None:
        """Raise Aborted when somebody asked to abort."""
        request = self.asked(Wish.ABORT)
        if request is not None:
            raise Aborted(f"aborted {request}", state="Nothing was changed.")

    def _path(self, wish: Wish) -> Path:
        return self.run_dir / _FILES[wish]


class WatchedClock(Clock):
    """A clock on which every wait looks at the requests: it ends at once when one says abort."""

    def __init__(self, clock: Clock, look: Callable[[], None]) -> None:
        self._clock, self._look = clock, look

    def now(self) -> datetime:
        """Return the time of day, UTC."""
        return self._clock.now()

    def monotonic(self) -> float:
        """Return seconds on a clock that never steps."""
        return self._clock.monotonic()

    def pause(self, seconds: float) -> None:
        """Wait between two looks at something; raises Aborted."""
        self._look()
        self._clock.pause(seconds)


def watched(world: World, look: Callable[[], None]) -> World:
    """Return the same world, whose waits look at the requests."""
    return replace(world, clock=WatchedClock(world.clock, look))
