"""What a run writes down: line by line, by the holder of the lock, announced when on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cco_migrate.errors import Interrupted, NotJournaled, ToolkitError
from cco_migrate.model import JsonObject
from cco_migrate.runs.journal import Entry, Event, Journal, RunState


@dataclass(frozen=True, slots=True)
class RunLog:
    """Writes the lines of one run.

    Attributes:
        confirm: Raises LockLost when the lock is not ours any more; called before every line.
        announce: Tells hooks of a line that is on disk; never raises for one of them.
    """

    journal: Journal
    confirm: Callable[[], None]
    announce: Callable[[Entry], None]

    @property
    def state(self) -> RunState:
        """The run as journaled; raises ToolkitError when it has not begun."""
        state = self.journal.state
        if state is None:
            raise ToolkitError(f"{self.journal.path} is empty: this run never began")
        return state

    def record(
        self, event: Event, step: str = "", *, reason: str = "", data: JsonObject | None = None
    ) -> None:
        """Write one line and announce it.

        Raises:
            LockLost: The run is somebody else's now; nothing was written.
            NotJournaled: The line is not on disk.
        """
        self.confirm()
        try:
            entry = self.journal.append(event, step, reason=reason, data=data)
        except OSError as error:
            raise NotJournaled(
                f"{self.journal.path}: {error.strerror}; `{event}` could not be written down",
                state="Nothing more was done than the journal says; the run is open. "
                "Make room, or mend the permissions, before it goes on.",
                next_command="invoke status",
            ) from error
        self.announce(entry)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Write down a signal that ends what is done inside, and let it go on."""
        try:
            yield
        except Interrupted as error:
            self.journal.reload()  # it may have come in the middle of a line
            self.record(Event.INTERRUPTED, reason=str(error))
            raise
