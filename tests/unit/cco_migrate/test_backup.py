"""Backups: what was saved comes back byte for byte, and a damaged copy is never restored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cco_migrate.backup import Backup, BackupStore, sibling_name
from cco_migrate.errors import ToolkitError
from cco_migrate.world import World

ID = "20261121-140311"


@pytest.fixture
def store(tmp_path: Path, world: World) -> BackupStore:
    (tmp_path / "backups").mkdir()
    return BackupStore(tmp_path / "backups", world)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "model-overrides.toml"
    path.write_bytes(b"enabled = false\r\n\xff")
    path.chmod(0o640)
    return path


def saved(store: BackupStore, *paths: Path, siblings: tuple[Path, ...] = ()) -> Backup:
    return store.create(ID, "mo-1", paths, siblings)


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


@pytest.mark.parametrize(
    ("damage", "word"),
    [(lambda path: path.unlink(), "missing"), (lambda path: path.write_bytes(b"x"), "damaged")],
    ids=["missing", "damaged"],
)
def test_lost_or_damaged_copy_is_refused_before_any_file_is_touched(
    store: BackupStore, config: Path, damage: object, word: str
) -> None:
    other = config.with_name("daemon-config.json")
    other.write_text("{}")
    backup = saved(store, config, other)
    config.write_text("now")
    other.write_text("also now")
    assert callable(damage)
    damage(store.root / "objects" / (backup.files[1].sha256 or ""))
    with pytest.raises(ToolkitError, match=word):
        store.verify(backup)
    with pytest.raises(ToolkitError, match=word):
        store.restore(backup)
    assert (config.read_text(), other.read_text()) == ("now", "also now")


def test_damaged_copy_is_replaced_by_the_next_backup(store: BackupStore, config: Path) -> None:
    backup = saved(store, config)
    (store.root / "objects" / (backup.files[0].sha256 or "")).write_bytes(b"x")
    assert store.verify(saved(store, config)) == 1


@pytest.mark.parametrize(
    "text", [None, "", "[]", "{}", '{"id": "x", "made_at": "", "run": "", "files": [{}]}']
)
def test_unreadable_manifest_is_named(store: BackupStore, text: str | None) -> None:
    path = store.root / f"{ID}.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ToolkitError, match=rf"{ID}\.json: not a readable backup manifest"):
        store.load(ID)


def test_all_lists_the_newest_first(store: BackupStore, config: Path) -> None:
    made = {
        "20261121-140311": "2026-11-21T14:03:11+00:00",
        "20261121-140311-before-rollback": "2026-11-21T15:30:00+00:00",
        "20261121-140400": "2026-11-21T14:04:00+00:00",
    }
    for name, made_at in made.items():
        store.create(name, "mo-1", [config], [])
        path = store.root / f"{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "made_at": made_at}))
    assert [backup.id for backup in store.all()] == [
        "20261121-140311-before-rollback", "20261121-140400", "20261121-140311",
    ]  # fmt: skip
