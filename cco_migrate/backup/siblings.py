"""The copies that people and scripts leave beside a file: found by name, read as backups.

Two forms are in use: `NAME.backup-YYYYmmdd-HHMMSS` and `NAME.backup.YYYYmmdd-HHMMSS`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cco_migrate.backup.manifest import Backup, BackupFile
from cco_migrate.backup.store import Contents
from cco_migrate.world import World

_SUFFIX = re.compile(r"\.backup[-.](\d{8}-\d{6}(?:-\d+)?)")


@dataclass(frozen=True, slots=True)
class Sibling:
    """One copy beside a file.

    Attributes:
        path: The copy.
        original: The file it is a copy of, which may be gone.
        stamp: When it was made, as its name says: YYYYmmdd-HHMMSS in local time of who made it.
    """

    path: Path
    original: Path
    stamp: str


def siblings_of(originals: Iterable[Path]) -> tuple[Sibling, ...]:
    """Return the copies that stand beside these files, newest first."""
    found = []
    for original in originals:
        for path in original.parent.glob(f"{original.name}.backup*"):
            match = _SUFFIX.fullmatch(path.name.removeprefix(original.name))
            if match is not None and path.is_file():
                found.append(Sibling(path, original, match[1]))
    return tuple(sorted(found, key=lambda one: (one.stamp, one.path.name), reverse=True))


def read_sibling(sibling: Sibling, world: World) -> tuple[Backup, Contents]:
    """Return a copy as a backup of one file, named as the copy is; raises OSError."""
    data = world.files.read(sibling.path)
    mode = sibling.path.stat().st_mode & 0o7777
    digest = hashlib.sha256(data).hexdigest()
    file = BackupFile(str(sibling.original), digest, len(data), mode, str(sibling.path))
    backup = Backup(sibling.path.name, "", "none", (file,), sealed=False)
    return backup, {file.path: data}
