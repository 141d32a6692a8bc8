"""Backups: content-addressed copies with a sealed manifest, proved by a restore to scratch."""

from cco_migrate.backup.manifest import Backup, BackupFile
from cco_migrate.backup.store import (
    BackupStore,
    Contents,
    Trial,
    select,
    sibling_name,
)

__all__ = [
    "Backup", "BackupFile", "BackupStore", "Contents", "Trial", "select", "sibling_name",
]  # fmt: skip
