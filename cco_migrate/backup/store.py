"""The backups of one state root: saved once by content, listed, proved and put back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cco_migrate.backup.manifest import TAKE_ANOTHER, Backup, BackupFile, decode, encode
from cco_migrate.errors import Damaged, InvalidInput, ToolkitError
from cco_migrate.scratch import scratch
from cco_migrate.world import World

Contents = Mapping[str, bytes]
"""The bytes of each saved file, by the path where it stood."""

_ID = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of restoring a backup to scratch.

    Attributes:
        restored: What was read back there, by the path where it stood.
        damage: One sentence for each file that did not come back; empty when all did.
    """

    restored: Contents
    damage: tuple[str, ...]


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
        made_at = self.world.clock.now().isoformat(timespec="seconds")
        backup = Backup(backup_id, made_at, run, tuple(rows))
        files.replace(self.manifest(backup_id), encode(backup))
        return backup

    def load(self, backup_id: str) -> Backup:
        """Read a manifest.

        Raises:
            InvalidInput: There is none of this id.
            Damaged: It was changed since it was written.
            ToolkitError: It cannot be read.
        """
        path = self.manifest(backup_id)
        try:
            data = self.world.files.read_if_there(path)
        except OSError as error:
            raise ToolkitError(f"{path}: {error.strerror}", state="Nothing was changed.") from error
        if data is None:
            raise InvalidInput(
                f"there is no backup {backup_id} under {self.root}",
                next_command="invoke backup.list",
            )
        return decode(data, path, backup_id)

    def ids(self) -> tuple[str, ...]:
        """Return the id of every backup, damaged ones too, in the order of their names."""
        return tuple(sorted(path.stem for path in self.root.glob("*.json")))

    def all(self) -> tuple[Backup, ...]:
        """Return every backup, newest first; raises Damaged when a manifest is damaged."""
        found = [self.load(backup_id) for backup_id in self.ids()]
        return tuple(sorted(found, key=lambda backup: (backup.made_at, backup.id), reverse=True))

    def free_id(self, purpose: str) -> str:
        """Return an unused id: the time of day, then what the backup is for."""
        now: datetime = self.world.clock.now()
        stamp = f"{now:%Y%m%d-%H%M%S}"
        names = (f"{stamp}{count}-{purpose}" for count in ("", *(f"-{n}" for n in range(1, 100))))
        taken = set(self.ids())
        for name in names:
            if name not in taken:
                return name
        raise ToolkitError(f"a hundred backups were made at {stamp}", state="Nothing was changed.")

    def put(self, data: bytes) -> str:
        """Save some bytes and return their SHA-256, by which `get` finds them."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.object(digest)
        if self.world.files.read_if_there(path) != data:
            self.world.files.make_directory(path.parent)
            self.world.files.replace(path, data)
        return digest

    def get(self, digest: str) -> bytes:
        """Return saved bytes; raises Damaged when they are lost or damaged."""
        return self._saved(digest, None)

    def contents(self, backup: Backup) -> Contents:
        """Return the bytes of every saved file; raises Damaged when one is lost or damaged."""
        saved = [file for file in backup.files if file.sha256 is not None]
        return {file.path: self._saved(file.sha256 or "", file.size) for file in saved}

    def try_restore(self, backup: Backup) -> Trial:
        """Restore every file to scratch and read it back; the faults are returned, not raised."""
        restored: dict[str, bytes] = {}
        damage: list[str] = []
        with scratch("verify") as folder:
            for number, file in enumerate(backup.files):
                if file.sha256 is None:
                    continue
                target = folder / f"{number}-{Path(file.path).name}"
                try:
                    data = self._saved(file.sha256, file.size)
                except Damaged as error:
                    damage.append(f"{file.path}: {error}")
                    continue
                self.world.files.replace(target, data, mode=file.mode)
                if (back := target.read_bytes()) != data:
                    damage.append(f"{file.path}: what was restored is not what was saved")
                    continue
                restored[file.path] = back
        return Trial(restored, tuple(damage))

    def verify(self, backup: Backup) -> int:
        """Restore every file to scratch, read it back and compare; return how many there were.

        Raises:
            Damaged: A copy is missing or damaged.
        """
        trial = self.try_restore(backup)
        if trial.damage:
            raise Damaged("; ".join(trial.damage), state="Nothing was changed.")
        return len(trial.restored)

    def restore(self, backup: Backup, contents: Contents | None = None) -> tuple[Path, ...]:
        """Put every file back, remove those that did not exist; return the paths that changed.

        Args:
            contents: The bytes, when they do not come from this store.

        Raises:
            Damaged: A copy is missing or damaged; no file was touched.
            OSError: A file could not be written; those before it are restored.
        """
        wanted = self.contents(backup) if contents is None else contents
        changed = []
        for file in self.differing(backup, wanted):
            path, data = Path(file.path), wanted.get(file.path)
            if data is None:
                self.world.files.remove(path)
            else:
                self.world.files.make_directory(path.parent)
                self.world.files.replace(path, data, mode=file.mode)
            changed.append(path)
        return tuple(changed)

    def differing(self, backup: Backup, contents: Contents) -> tuple[BackupFile, ...]:
        """Return the files that are not as they were saved."""
        return tuple(
            file for file in backup.files
            if self.world.files.read_if_there(Path(file.path)) != contents.get(file.path)
        )  # fmt: skip

    def manifest(self, backup_id: str) -> Path:
        """Return where the manifest of an id stands; raises InvalidInput for one that is none."""
        if not _ID.fullmatch(backup_id):
            raise InvalidInput(
                f"{backup_id!r} is not the id of a backup", next_command="invoke backup.list"
            )
        return self.root / f"{backup_id}.json"

    def object(self, digest: str) -> Path:
        """Return where the bytes of this SHA-256 stand."""
        return self.root / "objects" / digest

    def _saved(self, digest: str, size: int | None) -> bytes:
        path = self.object(digest)
        data = self.world.files.read_if_there(path)
        if data is not None and hashlib.sha256(data).hexdigest() == digest:
            return data
        what = "missing" if data is None else "damaged: its SHA-256 differs"
        if data is not None and size is not None and len(data) != size:
            what = f"damaged: it has {len(data)} bytes, saved were {size}"
        raise Damaged(
            f"{path}: the saved copy is {what}",
            state="Nothing was changed.",
            next_command=TAKE_ANOTHER,
        )


def select(backup: Backup, names: Sequence[str]) -> Backup:
    """Return the backup with these files alone; with all of them when there are no names.

    Args:
        names: File names, or paths where two files have the same name.

    Raises:
        InvalidInput: One names no file of the backup, or several.
    """
    chosen: list[BackupFile] = []
    for name in names:
        found = [file for file in backup.files if name in {file.path, Path(file.path).name}]
        if len(found) != 1:
            why = "names several files" if found else "is not in it"
            there = ", ".join(file.path for file in found or backup.files)
            raise InvalidInput(f"backup {backup.id}: {name} {why}; there is: {there}")
        chosen += [found[0]] if found[0] not in chosen else []
    return replace(backup, files=tuple(chosen)) if names else backup


def sibling_name(path: Path, backup_id: str) -> Path:
    """Return `NAME.backup-<id>` beside a file: the form operators look for by hand."""
    return path.with_name(f"{path.name}.backup-{backup_id}")
