"""The evidence manifest of a run: which files belong to it, with their checksums.

It is written beside the journal at the end of a command. It seals itself with a checksum of its
own, so that no byte of the bundle can change unseen; it is no signature: who can write all files
can also write another manifest. Keep its seal elsewhere to prove that nobody did.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cco_migrate.model import JsonObject, canonical
from cco_migrate.steps.report import EVIDENCE
from cco_migrate.world import Files

FILENAME = EVIDENCE
VERSION = 1
GROWING = ".jsonl"
"""Ending of files that only grow: lines from after the manifest do not contradict it."""

_PASSING = (".request.json", ".approval.json", ".lock", ".log")
"""Endings of files that come, go or grow while nobody works on the run: requests and approvals that
people leave for it, locks, and the output of the service itself."""
_CHECKOUTS = frozenset({"worktrees", "rehearsal"})
"""Folders of git: what the run did there is in its commits."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a file was like.

    Attributes:
        size_bytes: How long it was.
        sha256: Of all its bytes, hex.
    """

    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Checksum:
        """Return that of some bytes."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a bundle comes from.

    Attributes:
        run: Run id.
        at: When it was written, aware; the reports beside it were rendered for that moment.
        version: Of the tool.
        program: How commands are written in the reports: "invoke" or "cco-migrate".
        journal_lines: How many lines of the journal the reports tell of.
    """

    run: str
    at: datetime
    version: str
    program: str
    journal_lines: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A bundle: where it comes from, and its files by their path inside the run's folder."""

    origin: Origin
    files: Mapping[str, Checksum]

    @property
    def seal(self) -> str:
        """SHA-256 of everything else in the manifest, hex."""
        return hashlib.sha256(canonical(self._row())).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the bytes of the file: there is one form only."""
        return canonical({**self._row(), "seal": self.seal}) + b"\n"

    def _row(self) -> dict[str, object]:
        origin = {**asdict(self.origin), "at": self.origin.at.isoformat()}
        files = {name: asdict(one) for name, one in self.files.items()}
        return {"schema_version": VERSION, **origin, "files": files}


def make(directory: Path, files: Files, origin: Origin) -> Manifest:
    """Return the manifest of a run's folder as it lies on disk; raises OSError."""
    return Manifest(
        origin,
        {name: Checksum.of(files.read(directory / name)) for name in names(directory)},
    )


def parse(data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ValueError: It is none, or a byte of it was changed; the message says which.
    """
    try:
        row: dict[str, Any] = json.loads(data)  # Any: JSON
        if row["schema_version"] != VERSION:
            raise ValueError(f"version {row['schema_version']}, this tool reads {VERSION}")
        manifest = _from_json(row)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not an evidence manifest ({error!r})") from error
    if row["seal"] != manifest.seal:
        raise ValueError(f"its seal is {row['seal']}, its content gives {manifest.seal}")
    if manifest.to_bytes() != data:
        raise ValueError("it is not written the way this tool writes it")
    return manifest


def names(directory: Path) -> tuple[str, ...]:
    """Return the files of a bundle by their path in it; the manifest itself is none of them."""
    return tuple(sorted(_names(directory)))


def _names(directory: Path) -> Iterator[str]:
    for top in directory.iterdir():
        if top.name in _CHECKOUTS:
            continue
        for path in top.rglob("*") if top.is_dir() else (top,):
            name = path.relative_to(directory).as_posix()
            if path.is_file() and name != FILENAME and not _passes(path.name):
                yield name


def _passes(name: str) -> bool:
    return name.startswith(".") or name.endswith(_PASSING)


def _from_json(row: JsonObject) -> Manifest:
    origin = Origin(
        row["run"],
        datetime.fromisoformat(row["at"]),
        row["version"],
        row["program"],
        row["journal_lines"],
    )
    return Manifest(origin, {name: Checksum(**one) for name, one in row["files"].items()})
