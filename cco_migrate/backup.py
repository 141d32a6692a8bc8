"""Backups: content-addressed copies with a checksum manifest, proved by a restore to scratch."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cco_migrate.errors import ToolkitError
from cco_migrate.world import World

VERSION = 1


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
    """A manifest: what was saved, when, by which run."""

    id: str
    made_at: str
    run: str
    files: tuple[BackupFile, ...]


class BackupStore:
    """The backups of one state root: `objects/<sha256>` and `<id>.json` manifests, mode 0600."""

    def __init__(self, root: Path, world: World) -> None:
        self.root, self.world = root, world

    def create(
        self, backup_id: str, run: str, paths: Sequence[Path], siblings: Sequence[Path]
    ) -> Backup:
        """Save files and return the manifest; making the same backup again changes nothing.

        Args:
            backup_id: Names the manifest; a timestamp YYYYmmdd-HHMMSS.
            paths: Files to save; one that is absent is recorded as absent.
            siblings: The subset that also gets a copy `NAME.backup-<id>` beside it.

        Raises:
            OSError: Nothing but unreferenced objects was written.
        """
        files = self.world.files
        rows = []
        for path in paths:
            data = files.read_if_there(path)
            if data is None:
                rows.append(BackupFile(str(path), None))
                continue
            digest = self.put(data)
            mode = path.stat().st_mode & 0o7777
            sibling = sibling_name(path, backup_id) if path in siblings else None
            if sibling is not None and files.read_if_there(sibling) != data:
                files.replace(sibling, data, mode=mode)
            rows.append(BackupFile(str(path), digest, len(data), mode, str(sibling or "")))
        backup = Backup(
            backup_id, self.world.clock.now().isoformat(timespec="seconds"), run, tuple(rows)
        )
        text = json.dumps({"v": VERSION, **asdict(backup)}, indent=2) + "\n"
        files.replace(self._manifest(backup_id), text.encode())
        return backup

    def load(self, backup_id: str) -> Backup:
        """Read a manifest; raises ToolkitError when it is missing or unreadable."""
        path = self._manifest(backup_id)
        try:
            row = json.loads(self.world.files.read(path))
            files = tuple(BackupFile(**file) for file in row["files"])
            return Backup(row["id"], row["made_at"], row["run"], files)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ToolkitError(
                f"{path}: not a readable backup manifest ({error})", state="Nothing was changed."
            ) from error

    def all(self) -> tuple[Backup, ...]:
        """Return every backup, newest first."""
        found = [self.load(path.stem) for path in self.root.glob("*.json")]
        return tuple(sorted(found, key=lambda backup: (backup.made_at, backup.id), reverse=True))

    def put(self, data: bytes) -> str:
        """Save some bytes and return their SHA-256, by which `get` finds them."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.root / "objects" / digest
        if self.world.files.read_if_there(path) != data:
            self.world.files.make_directory(path.parent)
            self.world.files.replace(path, data)
        return digest

    def get(self, digest: str) -> bytes:
        """Return saved bytes; raises ToolkitError when they are lost or damaged."""
        path = self.root / "objects" / digest
        data = self.world.files.read_if_there(path)
        if data is None or hashlib.sha256(data).hexdigest() != digest:
            what = "missing" if data is None else "damaged: its SHA-256 differs"
            raise ToolkitError(f"{path}: the saved copy is {what}", state="Nothing was changed.")
        return data

    def verify(self, backup: Backup) -> int:
        """Restore every file to scratch, read it back and compare; return how many there were.

        Raises:
            ToolkitError: A copy is missing or damaged.
        """
        with tempfile.TemporaryDirectory(prefix="cco-verify-") as scratch:
            saved = [file for file in backup.files if file.sha256 is not None]
            for number, file in enumerate(saved):
                target = Path(scratch) / f"{number}-{Path(file.path).name}"
                self.world.files.replace(target, self.get(file.sha256 or ""), mode=file.mode)
                if hashlib.sha256(target.read_bytes()).hexdigest() != file.sha256:
                    raise ToolkitError(f"{file.path}: what was restored is not what was saved")
            return len(saved)

    def restore(self, backup: Backup) -> tuple[Path, ...]:
        """Put every file back, remove those that did not exist; return the paths that changed.

        Raises:
            ToolkitError: A copy is missing or damaged; no file was touched.
        """
        contents = {f.path: self.get(f.sha256) for f in backup.files if f.sha256 is not None}
        changed = []
        for file in backup.files:
            path, wanted = Path(file.path), contents.get(file.path)
            if self.world.files.read_if_there(path) == wanted:
                continue
            if wanted is None:
                self.world.files.remove(path)
            else:
                self.world.files.replace(path, wanted, mode=file.mode)
            changed.append(path)
        return tuple(changed)

    def _manifest(self, backup_id: str) -> Path:
        return self.root / f"{backup_id}.json"


def sibling_name(path: Path, backup_id: str) -> Path:
    """Return `NAME.backup-<id>` beside a file: the form operators look for by hand."""
    return path.with_name(f"{path.name}.backup-{backup_id}")
