"""Backups: what was saved comes back byte for byte, and nothing else is touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate.backup import (
    Backup,
    BackupStore,
    select,
    sibling_name,
)
from cco_migrate.backup.manifest import encode
from cco_migrate.backup.siblings import read_sibling, siblings_of
from cco_migrate.errors import InvalidInput
from cco_migrate.world import World

ID = "20261121-140311"


def saved(store: BackupStore, *paths: Path, siblings: tuple[Path, ...] = ()) -> Backup:
    return store.create(ID, "mo-1", paths, siblings)


def redated(store: BackupStore, backup_id: str, made_at: str) -> None:
    """Write a manifest as it would have been written at another time."""
    backup = replace(store.load(backup_id), made_at=made_at)
    store.manifest(backup_id).write_bytes(encode(backup))


def test_manifest_round_trip_keeps_everything(store: BackupStore, config: Path) -> None:
    backup = saved(store, config, config.with_name("absent.json"), siblings=(config,))
    assert store.load(ID) == backup
    assert [file.sha256 is None for file in backup.files] == [False, True]
    assert (backup.files[0].size, backup.files[0].mode) == (18, 0o640)


def test_copies_and_manifest_are_private(store: BackupStore, config: Path) -> None:
    saved(store, config)
    kept = [path for path in store.root.rglob("*") if path.is_file()]
    assert len(kept) == 2
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


def test_sibling_copy_stands_beside_with_mode(store: BackupStore, config: Path) -> None:
    backup = saved(store, config, siblings=(config,))
    sibling = sibling_name(config, ID)
    assert backup.files[0].sibling == str(sibling)
    assert sibling.name == f"model-overrides.toml.backup-{ID}"
    assert sibling.read_bytes() == config.read_bytes()
    assert sibling.stat().st_mode & 0o777 == 0o640


def test_restore_brings_back_bytes_and_mode_of_a_deleted_file(
    store: BackupStore, config: Path
) -> None:
    before = config.read_bytes()
    backup = saved(store, config)
    config.unlink()
    assert store.restore(backup) == (config,)
    assert config.read_bytes() == before
    assert config.stat().st_mode & 0o777 == 0o640


def test_restore_removes_a_file_that_was_absent(store: BackupStore, config: Path) -> None:
    absent = config.with_name("absent.json")
    backup = saved(store, config, absent)
    absent.write_text("{}")
    assert store.restore(backup) == (absent,)
    assert not absent.exists()


def test_restore_touches_only_what_differs(store: BackupStore, config: Path) -> None:
    other = config.with_name("daemon-config.json")
    other.write_text("{}")
    backup = saved(store, config, other)
    config.write_text("changed")
    inode = other.stat().st_ino
    assert store.restore(backup) == (config,)
    assert other.stat().st_ino == inode
    assert store.restore(backup) == ()


def test_same_backup_twice_changes_nothing_but_its_time(store: BackupStore, config: Path) -> None:
    first = saved(store, config, siblings=(config,))
    sibling = sibling_name(config, ID)
    inodes = {p: p.stat().st_ino for p in (sibling, *(store.root / "objects").iterdir())}
    second = saved(store, config, siblings=(config,))
    assert second.files == first.files
    assert {path: path.stat().st_ino for path in inodes} == inodes
    assert len(store.all()) == 1


def test_same_bytes_are_kept_once(store: BackupStore, config: Path) -> None:
    twin = config.with_name("twin.toml")
    twin.write_bytes(config.read_bytes())
    saved(store, config, twin)
    assert len(list((store.root / "objects").iterdir())) == 1


def test_verify_counts_the_files_it_restored_to_scratch(store: BackupStore, config: Path) -> None:
    assert store.verify(saved(store, config, config.with_name("absent.json"))) == 1


def test_all_lists_the_newest_first(store: BackupStore, config: Path) -> None:
    made = {
        "20261121-140311": "2026-11-21T14:03:11+00:00",
        "20261121-140311-before-rollback": "2026-11-21T15:30:00+00:00",
        "20261121-140400": "2026-11-21T14:04:00+00:00",
    }
    for name, made_at in made.items():
        store.create(name, "mo-1", [config], [])
        redated(store, name, made_at)
    assert [backup.id for backup in store.all()] == [
        "20261121-140311-before-rollback", "20261121-140400", "20261121-140311",
    ]  # fmt: skip


@pytest.mark.parametrize("backup_id", ["", "../x", ".hidden", "a/b", "20260101-000000"])
def test_id_that_names_no_backup_is_refused(store: BackupStore, backup_id: str) -> None:
    with pytest.raises(InvalidInput):
        store.load(backup_id)


def test_selected_files_are_restored_alone(store: BackupStore, config: Path) -> None:
    other = config.with_name("daemon-config.json")
    other.write_text("{}")
    backup = saved(store, config, other)
    before = config.read_bytes()
    config.write_text("changed")
    other.write_text("changed too")
    assert store.restore(select(backup, [config.name, str(config)])) == (config,)
    assert (config.read_bytes(), other.read_text()) == (before, "changed too")


def test_selection_of_no_file_or_of_two_is_refused(store: BackupStore, tmp_path: Path) -> None:
    twins = [tmp_path / "a" / "x.toml", tmp_path / "b" / "x.toml"]
    for path in twins:
        path.parent.mkdir()
        path.write_text(str(path))
    backup = saved(store, *twins)
    with pytest.raises(InvalidInput, match=r"y\.toml is not in it"):
        select(backup, ["y.toml"])
    with pytest.raises(InvalidInput, match=r"x\.toml names several files"):
        select(backup, ["x.toml"])
    assert select(backup, [str(twins[1])]).files == (backup.files[1],)
    assert select(backup, []) == backup


def test_ids_made_in_one_second_differ(store: BackupStore, config: Path) -> None:
    names = [store.free_id("before-restore")]
    store.create(names[0], "none", [config], [])
    names.append(store.free_id("before-restore"))
    assert len(set(names)) == 2
    assert all(name.endswith("-before-restore") for name in names)


def test_copies_of_both_forms_are_found_newest_first(config: Path, world: World) -> None:
    copies = {
        ".backup-20251117-101500": b"ours", ".backup.20251115-120000": b"older",
        ".backup-20251117-101500-2": b"again",
    }  # fmt: skip
    others = (".backup", ".backup-TIMESTAMP", ".backup-20251117-101500.txt", ".bak")
    for suffix in (*copies, *others):
        config.with_name(config.name + suffix).write_bytes(copies.get(suffix, b"no copy"))
    config.with_name("gateway.toml.backup-20251117-101500").write_bytes(b"of another file")
    found = siblings_of([config])
    assert [one.path.name.removeprefix(config.name) for one in found] == [
        ".backup-20251117-101500-2", ".backup-20251117-101500", ".backup.20251115-120000",
    ]  # fmt: skip
    backup, contents = read_sibling(found[-1], world)
    assert contents == {str(config): b"older"}
    assert backup.id == f"{config.name}.backup.20251115-120000"
