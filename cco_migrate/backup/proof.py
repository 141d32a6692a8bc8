"""Whether a backup can be trusted: every file comes back from scratch, and fits its schema."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cco_migrate.backup.manifest import Backup
from cco_migrate.backup.store import BackupStore, Contents
from cco_migrate.config import ConfigName, check_file
from cco_migrate.verdict import Finding


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found in one backup.

    Attributes:
        restored: How many files came back from scratch byte for byte.
        damage: One sentence for each that did not.
        findings: What is wrong in those that did, as errors of their schemas; the gateway would
            refuse them now as it would have then.
        notes: What could not be checked.
    """

    backup: str
    restored: int
    damage: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything came back and is valid."""
        return not self.damage and not self.findings


def prove(store: BackupStore, backup: Backup, overrides: Path | None = None) -> Proof:
    """Restore a backup to scratch, compare checksums, check each file against its schema.

    Args:
        overrides: The file that is a model-overrides.toml whatever its name; None goes by names.
    """
    trial = store.try_restore(backup)
    note = "its manifest has no checksum of its own: it was written by an older version"
    return Proof(
        backup.id,
        len(trial.restored),
        trial.damage,
        invalid(trial.restored, overrides),
        () if backup.sealed else (note,),
    )


def invalid(contents: Contents, overrides: Path | None = None) -> tuple[Finding, ...]:
    """Return every schema error in the configuration files among these; ignore other files."""
    by_name = {name.filename: name for name in ConfigName}
    found: list[Finding] = []
    for text, data in contents.items():
        path = Path(text)
        name = ConfigName.OVERRIDES if path == overrides else by_name.get(path.name)
        if name is not None:
            found += check_file(name, path, data).errors
    return tuple(found)
