"""Heeds what operators ask of a run between two steps: to abort, or to wait until a release."""

from __future__ import annotations

from cco_migrate.context import Waiting
from cco_migrate.errors import Held
from cco_migrate.runs.control import Control, Wish, watched
from cco_migrate.runs.journal import Event
from cco_migrate.runs.run_log import RunLog
from cco_migrate.world import World

HOLD_TIMEOUT_S = 3600.0


def heed(control: Control, log: RunLog, world: World, waiting: Waiting) -> None:
    """Return at once when nobody asked for anything, else when the hold is released.

    Raises:
        Aborted: Somebody asked for it, before the hold or during it.
        Held: Nobody released it in an hour.
    """
    control.refuse_when_aborted()
    request = control.asked(Wish.HOLD)
    if request is not None and not log.state.held:
        log.record(Event.HELD, reason=str(request))
    if request is not None and not _released(
        control, world, waiting, f"invoke release (held {request})"
    ):
        raise Held(
            f"held {request}, and not released within {HOLD_TIMEOUT_S:.0f} s",
            state="The run is open and waits between two steps.",
            next_command="invoke release",
        )
    if log.state.held:
        log.record(Event.RELEASED)


def _released(control: Control, world: World, waiting: Waiting, by: str) -> bool:
    waiting(by, HOLD_TIMEOUT_S)
    clock = watched(world, control.refuse_when_aborted).clock
    return clock.wait_until(lambda: control.asked(Wish.HOLD) is None, HOLD_TIMEOUT_S, every_s=0.1)
