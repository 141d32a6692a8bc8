"""The journal of a run: append-only JSON Lines, synced, hash-chained; state is a fold over it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from cco_migrate.errors import Damaged
from cco_migrate.model import JsonObject, canonical
from cco_migrate.runs.state import Entry, Event, RunState, Status, StepState, advance, replay
from cco_migrate.world import World

# A journal is read in terms of its lines and of the state they tell.
__all__ = [
    "GENESIS", "VERSION", "Entry", "Event", "Journal", "RunState", "Status", "StepState",
    "read_lines", "replay",
]  # fmt: skip

VERSION = 1
GENESIS = "0" * 64


class Journal:
    """One run's journal file. One writer at a time: the holder of the lock."""

    def __init__(self, path: Path, run: str, world: World) -> None:
        self.path, self.run, self.world = path, run, world
        self.entries: list[Entry] = []
        self._head = GENESIS
        self._torn: int | None = None
        self._state: RunState | None = None
        self._load()

    def _load(self) -> None:
        data = self.world.files.read_if_there(self.path) or b""
        self.entries, self._head, whole = read_lines(data, self.path)
        self._state = replay(self.entries)
        self._torn = whole if whole < len(data) else None

    def append(
        self, event: Event, step: str = "", *, reason: str = "", data: JsonObject | None = None
    ) -> Entry:
        """Write one line and sync it; a torn tail left by a killed writer is cut off first.

        Raises:
            OSError: It could not be written; the next one cuts off what was.
        """
        if self._torn is not None:
            self.world.files.truncate(self.path, self._torn)
            self._torn = None
        entry = Entry(
            seq=len(self.entries),
            ts=self.world.clock.now().isoformat(timespec="milliseconds"),
            mono_ms=int(self.world.clock.monotonic() * 1000),
            run=self.run,
            step=step,
            event=event,
            reason=reason,
            data=data or {},
        )
        line, head = _encode(entry, self._head)
        try:
            self.world.files.append(self.path, line)
        except OSError:
            self._load()  # what was written of it is a torn tail now
            raise
        self._head = head
        self.entries.append(entry)
        self._state = advance(self._state, entry)
        return entry

    def reload(self) -> None:
        """Read the file again, after a write that may have been cut short."""
        self._load()

    @property
    def state(self) -> RunState | None:
        """The run as told so far, folded line by line; None for an empty journal."""
        return self._state


def unprovable(said: str, run_dir: Path) -> Damaged:
    """Return the error of a run whose folder is damaged, with the way back that is left."""
    return Damaged(
        said,
        state="Nothing was changed. What the run did can no longer be proved from its journal.",
        next_command=f"move {run_dir} elsewhere, then the same command again; if it was the last"
        " run, before that: invoke backup.list, invoke backup.restore --id ID, invoke"
        " gateway.reload",
    )


def read_lines(data: bytes, path: Path) -> tuple[list[Entry], str, int]:
    """Check the chain and return (entries, hash of the last line, bytes of whole lines).

    A last line without its newline is a torn write and is left out.

    Raises:
        Damaged: Any other fault; the message names file and line.
    """
    entries: list[Entry] = []
    head = GENESIS
    *lines, torn = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        entry, head = _decode(line, head, path, number)
        entries.append(entry)
    return entries, head, len(data) - len(torn)


def _encode(entry: Entry, prev: str) -> tuple[bytes, str]:
    row = {
        "v": VERSION, "seq": entry.seq, "prev": prev, "ts": entry.ts, "mono_ms": entry.mono_ms,
        "run": entry.run, "step": entry.step, "event": entry.event.value, "reason": entry.reason,
        "data": entry.data,
    }  # fmt: skip
    hashed = canonical(row)
    digest = hashlib.sha256(hashed).hexdigest()
    # Encoding twice is slow. Behind this key stand texts, in which it would be quoted, and numbers.
    before, behind, rest = hashed.rpartition(b',"mono_ms":')
    return before + b',"hash":"%b"' % digest.encode() + behind + rest + b"\n", digest


def _decode(line: bytes, prev: str, path: Path, number: int) -> tuple[Entry, str]:
    def broken(why: str) -> Damaged:
        said = f"{path}:{number}: {why}; the journal was changed by something else"
        return unprovable(said, path.parent)

    try:
        row: dict[str, Any] = json.loads(line)  # Any: JSON
        entry = _entry(row) if row["v"] == VERSION else None
    except (ValueError, KeyError, TypeError) as error:
        raise broken("not a journal line") from error
    if entry is None:
        raise broken(f"version {row['v']}, this tool reads {VERSION}")
    expected, digest = _encode(entry, prev)
    if line + b"\n" != expected:
        raise broken("the hash chain is broken")
    return entry, digest


def _entry(row: JsonObject) -> Entry:
    return Entry(
        row["seq"], row["ts"], row["mono_ms"], row["run"], row["step"], Event(row["event"]),
        row["reason"], row["data"],
    )  # fmt: skip
