"""What stays of the backups is what the policy or a run needs, killed at any point."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cco_migrate.backup import (
    Backup,
    BackupStore,
    retention,
)
from cco_migrate.backup.manifest import encode
from cco_migrate.errors import Damaged


def redated(store: BackupStore, backup_id: str, made_at: str) -> None:
    """Write a manifest as it would have been written at another time."""
    backup = replace(store.load(backup_id), made_at=made_at)
    store.manifest(backup_id).write_bytes(encode(backup))


def object_of(store: BackupStore, backup: Backup, number: int = 0) -> Path:
    return store.object(backup.files[number].sha256 or "")


NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def year(store: BackupStore, config: Path) -> list[Backup]:
    """Six backups of six contents and runs, the newest first: one in each of six months."""
    made = []
    for month in range(6, 12):
        backup_id = f"2026{month:02}01-000000"
        config.write_text(f"month {month}")
        store.create(backup_id, f"mo-{month}", [config], [config])
        redated(store, backup_id, f"2026-{month:02}-01T00:00:00+00:00")
        made.append(store.load(backup_id))
    return made[::-1]


@pytest.mark.parametrize(
    ("policy", "uses", "stay"),
    [
        (retention.Policy(2, 0), [], [11, 10]),
        (retention.Policy(0, 60), [], [11, 10]),
        (retention.Policy(0, 0), [], [11]),
        (retention.Policy(99, 0), [], [11, 10, 9, 8, 7, 6]),
        (retention.Policy(1, 0), [retention.Use("mo-6", "it is open", frozenset())], [11, 6]),
        (retention.Policy(1, 0), [retention.Use("mo-6", "", frozenset())], [11]),
    ],
    ids=["newest", "young", "never none", "all", "open run", "run that is over"],
)
def test_what_stays_is_what_the_policy_or_a_run_needs(
    store: BackupStore, year: list[Backup], policy: retention.Policy,
    uses: list[retention.Use], stay: list[int],
) -> None:  # fmt: skip
    pruning = retention.plan(store, uses, policy, NOW)
    assert [backup.run for backup in year if backup.id in pruning.kept] == [f"mo-{m}" for m in stay]
    assert {backup.id for backup in pruning.removed} == {b.id for b in year} - set(pruning.kept)


def test_pruning_leaves_what_stays_restorable_and_nothing_else(
    store: BackupStore, config: Path, year: list[Backup]
) -> None:
    foreign = config.with_name(f"{config.name}.backup.20251115-120000")
    foreign.write_text("by hand")
    edited = Path(year[4].files[0].sibling)
    edited.write_text("somebody's notes")
    store.put(b"left by a killed run")
    pruning = retention.plan(store, [], retention.Policy(2, 0), NOW)
    retention.carry_out(store, pruning)
    assert [store.verify(backup) for backup in store.all()] == [1, 1]
    assert len(list((store.root / "objects").iterdir())) == 2
    copies = {path.name for path in config.parent.glob(f"{config.name}.backup*")}
    assert copies == {foreign.name, edited.name, *(Path(b.files[0].sibling).name for b in year[:2])}
    again = retention.plan(store, [], retention.Policy(2, 0), NOW)
    assert (again.removed, again.objects) == ((), ())


def test_pruning_keeps_what_the_journal_of_a_needed_run_names(
    store: BackupStore, year: list[Backup]
) -> None:
    receipts = {name: store.put(name.encode()) for name in ("open", "kept", "over")}
    uses = [
        retention.Use("mo-open", "it is open", frozenset({receipts["open"]})),
        retention.Use("mo-11", "", frozenset({receipts["kept"]})),
        retention.Use("mo-6", "", frozenset({receipts["over"]})),
    ]
    pruning = retention.plan(store, uses, retention.Policy(1, 0), NOW)
    assert {receipts["over"]} <= set(pruning.objects)
    assert not {receipts["open"], receipts["kept"]} & set(pruning.objects)


def test_pruning_keeps_the_newest_that_is_not_damaged(
    store: BackupStore, year: list[Backup]
) -> None:
    for backup in year[:2]:
        object_of(store, backup).write_bytes(b"x")
    pruning = retention.plan(store, [], retention.Policy(1, 0), NOW)
    assert pruning.kept[year[2].id] == "the newest that can be restored"
    assert set(pruning.kept) == {year[0].id, year[2].id}


def test_pruning_beside_a_damaged_manifest_is_refused(
    store: BackupStore, year: list[Backup]
) -> None:
    store.manifest(year[3].id).write_bytes(b"{}")
    with pytest.raises(Damaged, match=year[3].id):
        retention.plan(store, [], retention.Policy(1, 0), NOW)


@pytest.mark.parametrize("cut", range(8))
def test_pruning_killed_at_any_removal_leaves_no_manifest_without_its_bytes(
    store: BackupStore, year: list[Backup], monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    pruning = retention.plan(store, [], retention.Policy(3, 0), NOW)
    removals, remove = 0, store.world.files.remove

    def killed(path: Path) -> None:
        nonlocal removals
        if removals == cut:
            raise OSError("killed")
        removals += 1
        remove(path)

    monkeypatch.setattr(store.world.files, "remove", killed)
    with pytest.raises(OSError, match="killed"):
        retention.carry_out(store, pruning)
    assert [store.verify(backup) for backup in store.all()] == [1] * len(store.ids())
    assert len(store.ids()) >= 3
