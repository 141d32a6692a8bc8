"""What the workers of one gateway know of each other. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class WorkerState(StrEnum):
    """Where a worker stands in its life."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Who a worker is, for its whole life.

    Attributes:
        slot: 0-based place among its set; a replacement takes the slot of the one it replaces.
        generation: 1 for the first set of workers, one more with every replacement of the set.
        boot_id: Random, new in every process.
        instance: Name of the gateway instance: `host:port` of its listener.
        supervisor: Random, new with every start of the gateway; all its workers share it.
    """

    slot: int
    generation: int
    boot_id: str
    instance: str
    supervisor: str = "none"


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """One live worker as its supervisor sees it.

    Attributes:
        fingerprint: `config_fingerprint` of what the worker parsed; empty while it is starting.
        seen_at: RFC 3339 time of the worker's last message to the supervisor.
    """

    slot: int
    generation: int
    boot_id: str
    fingerprint: str
    state: WorkerState
    seen_at: str


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """How the last replacement of the worker set ended.

    Attributes:
        generation: The generation that was tried; the generation before goes on when it failed.
        error: None when it took over, else why it did not.
        finished_at: RFC 3339.
    """

    generation: int
    error: str | None
    finished_at: str


class WorkerDirectory(Protocol):
    """The supervisor, as a worker sees it."""

    async def workers(self) -> tuple[WorkerRecord, ...]:
        """Return every live worker, the asking one too. Raises TimeoutError without an answer."""

    async def last_reload(self) -> ReloadOutcome | None:
        """Return how the last replacement ended; None when there was none so far."""

    def shut_down(self) -> None:
        """Ask the supervisor to drain all workers and to end."""
