"""Which backups may go: a plan first, then its execution in an order that survives being killed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cco_migrate.backup.manifest import Backup, BackupFile
from cco_migrate.backup.store import BackupStore


@dataclass(frozen=True, slots=True)
class Use:
    """What one run has in the store.

    Attributes:
        needed: Why the run must be able to go back, e.g. "run mo-1 is open"; else empty.
        digests: SHA-256 of everything its journal names.
    """

    run: str
    needed: str
    digests: frozenset[str]


@dataclass(frozen=True, slots=True)
class Policy:
    """How long backups are kept.

    Attributes:
        keep: The newest so many stay.
        keep_days: Younger ones stay, in days.
    """

    keep: int = 10
    keep_days: int = 30


@dataclass(frozen=True, slots=True)
class Pruning:
    """What would be removed.

    Attributes:
        kept: Why each backup that stays does, by its id.
        siblings: Copies beside files that still are what we wrote there.
        objects: SHA-256 of saved bytes nobody needs any more.
    """

    removed: tuple[Backup, ...]
    kept: Mapping[str, str]
    siblings: tuple[Path, ...]
    objects: tuple[str, ...]


def plan(store: BackupStore, uses: Sequence[Use], policy: Policy, now: datetime) -> Pruning:
    """Decide; change nothing. A run and its backups stay, or go, together.

    Raises:
        Damaged: A manifest is damaged, so that nobody knows what it needs.
    """
    backups = store.all()
    kept = _kept(store, backups, uses, policy, now)
    removed = tuple(backup for backup in backups if backup.id not in kept)
    runs = {backup.run for backup in backups if backup.id in kept}
    held = {f.sha256 for backup in backups if backup.id in kept for f in backup.files}
    for use in uses:
        if use.needed or use.run in runs:
            held |= use.digests
    objects = sorted(path.name for path in (store.root / "objects").glob("*"))
    return Pruning(
        removed,
        kept,
        tuple(Path(f.sibling) for b in removed for f in b.files if _is_ours(f, store)),
        tuple(name for name in objects if name not in held),
    )


def carry_out(store: BackupStore, pruning: Pruning) -> None:
    """Remove it: a manifest before the bytes it names, so that none ever names what is gone.

    Raises:
        OSError: What was not removed yet stays; pruning again goes on.
    """
    files = store.world.files
    for path in pruning.siblings:
        files.remove(path)
    for backup in pruning.removed:
        files.remove(store.manifest(backup.id))
    for digest in pruning.objects:
        files.remove(store.object(digest))


def _kept(
    store: BackupStore,
    backups: Sequence[Backup],
    uses: Sequence[Use],
    policy: Policy,
    now: datetime,
) -> dict[str, str]:
    needed = {use.run: use.needed for use in uses if use.needed}
    since = now - timedelta(days=policy.keep_days)
    kept: dict[str, str] = {}
    for number, backup in enumerate(backups):  # newest first
        if backup.run in needed:
            kept[backup.id] = needed[backup.run]
        elif number < policy.keep:
            kept[backup.id] = f"one of the newest {policy.keep}"
        elif datetime.fromisoformat(backup.made_at) >= since:
            kept[backup.id] = f"younger than {policy.keep_days} days"
    # Whatever else is asked for: one backup that can be restored stays.
    sound = next((backup for backup in backups if not store.try_restore(backup).damage), None)
    if sound is not None:
        kept.setdefault(sound.id, "the newest that can be restored")
    return kept


def _is_ours(file: BackupFile, store: BackupStore) -> bool:
    if not file.sibling:
        return False
    data = store.world.files.read_if_there(Path(file.sibling))
    return data is not None and hashlib.sha256(data).hexdigest() == file.sha256
