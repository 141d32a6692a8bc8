"""How a gateway instance is stopped, started and replaced: one file a kind, table DRIVERS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cco_migrate.context import Context
from cco_migrate.drivers.command import CommandDriver
from cco_migrate.drivers.orphans import adopted
from cco_migrate.drivers.process import ProcessDriver
from cco_migrate.drivers.started import Started

__all__ = ["DRIVERS", "Driver", "Started", "adopted", "driver_of"]


class Driver(Protocol):
    """Acts on one instance by pid, unit or the operator's own commands; never by process name."""

    def find(self) -> str | None:
        """Return what runs, for people ("pid 4711"); None when nothing of its own does."""

    def pid(self) -> int | None:
        """Return the process that is signalled; None when none runs, or it is not known."""

    def can_replace(self) -> bool:
        """Return whether the workers can be replaced while the socket stays open."""

    def replace(self) -> None:
        """Ask for the replacement and return at once; raises ToolkitError when it cannot."""

    def stop(self, timeout_s: float) -> str:
        """Stop cleanly and return what was stopped.

        Raises:
            ToolkitError: It is still there when the time is over.
        """

    def start(self) -> Started:
        """Start and return at once; whoever called waits until it is ready."""


DRIVERS: dict[str, Callable[[Context], Driver]] = {
    "process": ProcessDriver,  # a bundled gateway: its pid file, SIGHUP and SIGTERM
    "command": CommandDriver,  # any gateway: the operator's own stop, start and restart commands
}


def driver_of(context: Context) -> Driver:
    """Return the driver of the context's instance; raises KeyError for an unknown kind."""
    return DRIVERS[context.instance.driver.kind](context)
