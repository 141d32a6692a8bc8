"""What a backup is, and the bytes of its manifest: JSON that carries its own SHA-256. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cco_migrate.errors import Damaged
from cco_migrate.model import canonical

VERSION = 2
UNSEALED_VERSION = 1
"""Manifests without a checksum of their own; still read, and said to be so."""

TAKE_ANOTHER = "invoke backup.list   (take another one)"
"""The next safe command when a backup is damaged."""


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file of a backup.

    Attributes:
        path: Where it stood, absolute.
        sha256: Of its bytes; None when there was no such file.
        size: Bytes; 0 when there was no such file.
        mode: Permission bits.
        sibling: The copy written next to it, for people; empty when there is none.
    """

    path: str
    sha256: str | None
    size: int = 0
    mode: int = 0o600
    sibling: str = ""


@dataclass(frozen=True, slots=True)
class Backup:
    """A manifest: what was saved, when, by which run.

    Attributes:
        made_at: RFC 3339, UTC; empty when nobody knows.
        run: Run id; "none" for one that was made outside of a run.
        sealed: Whether the manifest it was read from carries a checksum that fits.
    """

    id: str
    made_at: str
    run: str
    files: tuple[BackupFile, ...]
    sealed: bool = True


def encode(backup: Backup) -> bytes:
    """Return the manifest's bytes."""
    files = [asdict(file) for file in backup.files]
    row = {"v": VERSION, "id": backup.id, "made_at": backup.made_at, "run": backup.run}
    row = {**row, "files": files}
    return (json.dumps({**row, "sha256": _seal(row)}, indent=2) + "\n").encode()


def decode(data: bytes, where: Path, backup_id: str = "") -> Backup:
    """Read a manifest.

    Args:
        where: Named in messages only.
        backup_id: The id it must have, because its file is named so; "" accepts any.

    Raises:
        Damaged: It is no manifest, or it was changed since it was written.
    """
    try:
        row: dict[str, Any] = json.loads(data)  # Any: JSON
        seal = row.pop("sha256", None)
        if row["v"] not in {VERSION, UNSEALED_VERSION}:
            raise ValueError(f"version {row['v']}, this tool reads {VERSION}")  # noqa: TRY301  # told as the others are
        files = tuple(_file(file) for file in row["files"])
        sealed = row["v"] == VERSION or seal is not None
        backup = Backup(row["id"], row["made_at"], row["run"], files, sealed)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(
            f"{where}: not a readable backup manifest ({error})",
            state="Nothing was changed.",
            next_command=TAKE_ANOTHER,
        ) from error
    if sealed and seal != _seal(row):
        raise _changed(where, "its own SHA-256 does not fit")
    if backup_id and backup.id != backup_id:
        raise _changed(where, f"it says it is {backup.id}")
    return backup


def _file(row: Mapping[str, Any]) -> BackupFile:
    file = BackupFile(**row)
    if not Path(file.path).is_absolute():
        raise ValueError(f"{file.path!r} is not an absolute path")
    return file


def _seal(row: Mapping[str, object]) -> str:
    return hashlib.sha256(canonical(row)).hexdigest()


def _changed(where: Path, why: str) -> Damaged:
    return Damaged(
        f"{where}: the manifest was changed since it was written: {why}",
        state="Nothing was changed. What this backup says of its files cannot be trusted.",
        next_command=TAKE_ANOTHER,
    )
