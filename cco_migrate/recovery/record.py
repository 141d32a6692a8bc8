"""What is kept of a rehearsal: `rehearsal.json` beside the runs. Reads and writes that one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cco_migrate import resources
from cco_migrate.editing.documents import Format, index, parse
from cco_migrate.errors import InvalidInput
from cco_migrate.model import JsonObject
from cco_migrate.recovery.ways import ROUNDS, Taken, Timing, Way, timings
from cco_migrate.validate import Source, validate
from cco_migrate.verdict import Severity, Verdict
from cco_migrate.world import Files

FILENAME = "rehearsal.json"
"""In the folder `migrate` of the state root."""
VERSION = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """What a rehearsal was made of.

    Attributes:
        at: When it ended, aware.
        tool: Version of the toolkit.
        fingerprint: Of the deployment's configuration files.
        cut_over: Of the same files as the cutover leaves them.
    """

    at: datetime
    tool: str
    fingerprint: str
    cut_over: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The recovery point: what is gone after a way back, summed over all of them.

    Attributes:
        requests: Recorded requests that were looked for afterwards.
        files: Files that were compared with those before.
    """

    requests: int
    requests_lost: int
    files: int
    files_different: int


@dataclass(frozen=True, slots=True)
class Streams:
    """Streams of clients while the ways back were taken."""

    whole: int
    broken: int


@dataclass(frozen=True, slots=True)
class Record:
    """A rehearsal.

    Attributes:
        rounds: How many were carried through.
        faults: What did not come back as it was, or could not be shown to; empty for none.
    """

    origin: Origin
    rounds: int
    timings: tuple[Timing, ...]
    lost: Lost
    streams: Streams
    faults: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """NO-GO for a fault or a promise that was not kept; INCONCLUSIVE for too few rounds.

        Without the way back by flag, which everybody takes first, it is no rehearsal either.
        """
        if self.faults or any(one.verdict is Verdict.NO_GO for one in self.timings):
            return Verdict.NO_GO
        often = all(one.verdict is Verdict.GO for one in self.timings)
        enough = self.rounds >= ROUNDS and often and self.timing(Way.FLAG) is not None
        return Verdict.GO if enough else Verdict.INCONCLUSIVE

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """Return why it is NO-GO, a sentence each; empty when it is not."""
        slow = (one for one in self.timings if one.verdict is Verdict.NO_GO)
        return (*self.faults, *(
            f"back by {one.way}: {one.p95_s:.1f} s (p95), {one.promise_s:.0f} s are promised"
            for one in slow
        ))  # fmt: skip

    def timing(self, way: Way) -> Timing | None:
        """Return the times of a way back; None when it was not rehearsed."""
        return next((one for one in self.timings if one.way is way), None)

    def to_json(self) -> dict[str, object]:
        """Return it as `rehearsal.schema.json` has it."""
        return {
            "schema_version": VERSION,
            "at": self.origin.at.isoformat(timespec="seconds"),
            "tool": self.origin.tool,
            "fingerprint": self.origin.fingerprint,
            "cut_over": self.origin.cut_over,
            "verdict": self.verdict.value,
            "rounds": self.rounds,
            "ways": [_way_row(one) for one in self.timings],
            "recovery_point": {name: getattr(self.lost, name) for name in Lost.__slots__},
            "streams": {"whole": self.streams.whole, "broken": self.streams.broken},
            "faults": list(self.faults),
        }


def summed(origin: Origin, rounds: int, taken: Sequence[Taken], faults: Sequence[str]) -> Record:
    """Return the record of everything that was taken back."""
    lost = Lost(*(sum(getattr(one, name) for one in taken) for name in Lost.__slots__))
    whole, broken = sum(one.streams for one in taken), sum(one.streams_broken for one in taken)
    return Record(origin, rounds, timings(taken), lost, Streams(whole, broken), tuple(faults))


def path_in(migrate_dir: Path) -> Path:
    """Return where the record of a state root is."""
    return migrate_dir / FILENAME


def write_record(record: Record, migrate_dir: Path, files: Files) -> Path:
    """Write the record in place of the one before, readable for its owner alone.

    Raises:
        OSError: It cannot be written; the one before stands.
    """
    path = path_in(migrate_dir)
    files.make_directory(migrate_dir)
    text = json.dumps(record.to_json(), indent=2, ensure_ascii=False) + "\n"
    files.replace(path, text.encode())
    return path


def read_record(migrate_dir: Path, files: Files) -> Record | None:
    """Return the record of a state root; None when there is none.

    Raises:
        InvalidInput: It cannot be read, or is no such record.
    """
    path = path_in(migrate_dir)
    try:
        data = files.read_if_there(path)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from error
    if data is None:
        return None
    row: Any = parse(data, Format.JSON, path)  # Any: its schema says what is inside
    found = validate(
        row, resources.schema("rehearsal"), Source(path, data, index(data, Format.JSON))
    )
    errors = tuple(one for one in found if one.severity is Severity.ERROR)
    if errors:
        raise InvalidInput(str(errors[0]), findings=errors)
    try:
        return _from_json(row)
    except ValueError as error:  # a day that no month has
        raise InvalidInput(f"{path}: {error}") from error


def _from_json(row: JsonObject) -> Record:
    at = datetime.fromisoformat(row["at"])
    return Record(
        Origin(at, row["tool"], row["fingerprint"], row["cut_over"]),
        row["rounds"],
        tuple(_timing(one) for one in row["ways"]),
        Lost(**row["recovery_point"]),
        Streams(**row["streams"]),
        tuple(row["faults"]),
    )


def _way_row(timing: Timing) -> dict[str, object]:
    return {
        "way": timing.way.value,
        "promise_s": timing.promise_s,
        "p50_s": timing.p50_s,
        "p95_s": timing.p95_s,
        "verdict": timing.verdict.value,
        "seconds": list(timing.seconds),
        "recovered_s": list(timing.recovered_s),
    }


def _timing(row: JsonObject) -> Timing:
    return Timing(
        Way(row["way"]), float(row["promise_s"]), tuple(map(float, row["seconds"])),
        tuple(row["recovered_s"]),
    )  # fmt: skip
