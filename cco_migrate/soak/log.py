"""The evidence file of a soak, beside the journal: one look a line, synced, hash-chained."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from cco_migrate.errors import Undecided
from cco_migrate.model import JsonObject, canonical
from cco_migrate.soak.evidence import Evidence
from cco_migrate.soak.looks import Look
from cco_migrate.verdict import Verdict
from cco_migrate.world import Files

STEP, FILENAME = "soak", "samples.jsonl"
"""The soak of the whole change, and its file."""
VERSION = 1
_GENESIS = "0" * 64


class _Kind(StrEnum):
    """What a line holds."""

    WINDOW = "window"  # a bake time begins
    LOOK = "look"
    CLOSED = "closed"  # it ended with a verdict


@dataclass(frozen=True, slots=True)
class Window:
    """One bake time.

    Attributes:
        number: Counts from 1; a soak that was not decided in time can be given another.
    """

    number: int
    begun_at: datetime
    deadline_at: datetime

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        begun, deadline = self.begun_at.isoformat(), self.deadline_at.isoformat()
        return {"number": self.number, "begun_at": begun, "deadline_at": deadline}

    @classmethod
    def from_json(cls, row: JsonObject) -> Window:
        """Rebuild it; raises KeyError, TypeError or ValueError for a row of another shape."""
        begun, deadline = (datetime.fromisoformat(row[n]) for n in ("begun_at", "deadline_at"))
        return cls(row["number"], begun, deadline)


@dataclass(frozen=True, slots=True)
class Closed:
    """How a window ended."""

    at: datetime
    verdict: Verdict


def filename(step_id: str) -> str:
    """Return the name of the evidence file of a step: a run can soak more than once."""
    return FILENAME if step_id == STEP else f"samples-{step_id}.jsonl"


class SoakLog:
    """What is known of one soak. One writer at a time: the holder of the lock.

    Args:
        step_id: The step that soaks.

    Attributes:
        window: The newest one; None before the first.
        closed: How it ended; None while it is open.
        evidence: Of all looks; None before the first window.
    """

    def __init__(self, run_dir: Path, files: Files, step_id: str = STEP) -> None:
        self.path, self._files = run_dir / filename(step_id), files
        self.window: Window | None = None
        self.closed: Closed | None = None
        self.evidence: Evidence | None = None
        self._head = _GENESIS
        self._torn: int | None = None
        self._load()

    @property
    def head(self) -> str:
        """Hash of the last line: what the journal says of the file."""
        return self._head

    def begin(self, window: Window) -> None:
        """Begin a window; evidence of those before is kept. Raises OSError."""
        self._append(_Kind.WINDOW, window.to_json())

    def look(self, look: Look) -> None:
        """Keep what was seen. Raises OSError."""
        self._append(_Kind.LOOK, look.to_json())

    def close(self, closed: Closed) -> None:
        """Write down how the window ended. Raises OSError."""
        row = {"at": closed.at.isoformat(), "verdict": closed.verdict.value}
        self._append(_Kind.CLOSED, row)

    def _append(self, kind: _Kind, data: JsonObject) -> None:
        if self._torn is not None:
            self._files.truncate(self.path, self._torn)
            self._torn = None
        line = canonical({"v": VERSION, "prev": self._head, "kind": kind.value, "data": data})
        self._files.append(self.path, line + b"\n")
        self._fold(kind, data)
        self._head = _digest(line)

    def _load(self) -> None:
        content = self._files.read_if_there(self.path) or b""
        *lines, torn = content.split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                self._fold(*_decoded(line, self._head))
            except (ValueError, KeyError, TypeError) as error:
                raise _damaged(self.path, number, error) from error
            self._head = _digest(line)
        self._torn = len(content) - len(torn) if torn else None

    def _fold(self, kind: _Kind, data: JsonObject) -> None:
        if kind is _Kind.WINDOW:
            self.window, self.closed = Window.from_json(data), None
            at, known = self.window.begun_at, self.evidence
            self.evidence = known.new_window(at) if known else Evidence(at, at)
        elif self.evidence is None:
            raise ValueError("it stands before the first window")
        elif kind is _Kind.LOOK:
            self.evidence = self.evidence.add(Look.from_json(data))
        else:
            self.closed = Closed(datetime.fromisoformat(data["at"]), Verdict(data["verdict"]))


def _decoded(line: bytes, head: str) -> tuple[_Kind, JsonObject]:
    row = json.loads(line)
    if row["v"] != VERSION or row["prev"] != head:
        raise ValueError("it does not follow on the line before")
    return _Kind(row["kind"]), row["data"]


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _damaged(path: Path, number: int, error: Exception) -> Undecided:
    return Undecided(
        f"{path}:{number}: not a line of this soak's evidence ({error})",
        state="The change is applied and serves; what the soak saw can no longer be proved.",
        next_command="invoke rollback",
    )
