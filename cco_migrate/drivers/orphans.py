"""Find again what a killed attempt of a run has started, by the run id in its environment."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from cco_migrate.context import Context
from cco_migrate.world import World

SETTLE_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0


def birthmark(context: Context) -> Mapping[str, str]:
    """Return the environment that everything started on behalf of a run carries."""
    return {"CCO_MIGRATE_RUN": context.run, **born_of(context.instance.home)}


def born_of(home: Path) -> Mapping[str, str]:
    """Return what of it everything carries that was started for a state root, by any run."""
    return {"CCO_MIGRATE_HOME": str(home)}


def carries_mark(context: Context, pid: int) -> bool:
    """Return whether a live process was started on behalf of this run and state root.

    Unlike a start time, which moves with every clock that is stepped, this stays as it was.
    """
    return context.world.processes.environment(pid).items() >= birthmark(context).items()


def adopted(context: Context, find: Callable[[], str | None]) -> str | None:
    """Wait until what an earlier attempt started can be found, or is gone.

    Between its start and its PID file, or its first answer, a service cannot be found: a second one
    beside it would fail for want of its port, or worse, would not.

    Args:
        find: The driver's way to look for its service.

    Returns:
        What `find` says; None when no orphan is left, or none shows itself in time.
    """
    mark, processes = birthmark(context), context.world.processes
    if not processes.carrying(mark):
        return find()  # it may have ended its start since the last look
    context.waiting("what a killed attempt has started", SETTLE_TIMEOUT_S)
    context.world.clock.wait_until(
        lambda: find() is not None or not processes.carrying(mark), SETTLE_TIMEOUT_S
    )
    return find()


def ended(pids: Iterable[int], world: World) -> None:
    """Ask processes to end, and make them when they have not after 10 s; returns when they have.

    Only for what serves nobody: a gateway with real clients is drained by its driver.
    """
    births = {pid: birth for pid in pids if (birth := world.processes.birth(pid)) is not None}

    def living() -> list[int]:
        return [pid for pid, birth in births.items() if world.processes.birth(pid) == birth]

    for signum in (signal.SIGTERM, signal.SIGKILL):
        for pid in living():
            world.processes.signal(pid, signum)
        if world.clock.wait_until(lambda: not living(), STOP_TIMEOUT_S):
            return
