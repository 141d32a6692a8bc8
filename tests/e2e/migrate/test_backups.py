"""Backups from the command line, on the deployment that a real migration left behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def migrated(shared_demo: Any) -> Any:  # Any: the conftest's Folder, which tests cannot import
    """A demo that was migrated once; its backup's id is that of the only manifest."""
    done = shared_demo.run("migrate", "--yes", "--fix")
    assert done.code == 0, done.err
    return shared_demo


def store_of(folder: Any) -> Path:
    root: Path = folder.home / "migrate" / "backups"
    return root


def first_id(folder: Any) -> str:
    return min(path.stem for path in store_of(folder).glob("*.json"))


def test_list_shows_backups_and_copies_of_both_forms(migrated: Any) -> None:
    by_hand = migrated.config.with_name("model-overrides.toml.backup.20251115-120000")
    by_hand.write_text("[overrides]\nenabled = false\n")
    done = migrated.run("backup.list", "--json")
    by_hand.unlink()
    assert done.code == 0, done.err
    assert [row["id"] for row in done.document["backups"]] == [first_id(migrated)]
    assert [row["restorable"] for row in done.document["backups"]] == [True]
    assert done.document["copies"] == [str(by_hand)]


def test_restore_and_its_undo_bring_both_states_back_to_the_byte(migrated: Any) -> None:
    after = migrated.tree()
    refused = migrated.run("backup.restore", "--id", first_id(migrated))
    assert (refused.code, migrated.tree()) == (12, after), refused.err
    shown = migrated.run("backup.restore", "--id", first_id(migrated), "--dry-run")
    assert (shown.code, migrated.tree()) == (0, after), shown.err
    assert "model-overrides.toml would be replaced" in shown.err
    done = migrated.run("backup.restore", "--id", first_id(migrated), "--yes", "--json")
    assert done.code == 0, done.err
    assert "enabled = false" in migrated.config.read_text()
    again = migrated.run("backup.restore", "--id", first_id(migrated), "--yes")
    assert "nothing to do" in again.out
    undone = migrated.run("backup.restore", "--id", done.document["before"], "--yes")
    assert (undone.code, migrated.tree()) == (0, after), undone.err


def test_damaged_journal_names_a_way_back_that_can_be_taken(migrated: Any) -> None:
    (journal,) = (migrated.home / "migrate" / "runs").glob("*/journal.jsonl")
    whole = journal.read_bytes()
    journal.write_bytes(whole.replace(b'"run"', b'"ran"', 1))
    for command in (("status",), ("rollback", "--by", "backup", "--yes")):
        refused = migrated.run(*command)
        assert refused.code == 8
        assert "backup.restore --id ID" in refused.err
        assert f"move {journal.parent} elsewhere" in refused.err
    done = migrated.run("backup.restore", "--id", first_id(migrated), "--yes", "--json")
    assert done.code == 0, done.err
    assert "whether a run is open cannot be told" in done.err
    assert "enabled = false" in migrated.config.read_text()
    undone = migrated.run("backup.restore", "--id", done.document["before"], "--yes")
    journal.write_bytes(whole)
    assert undone.code == 0, undone.err


def test_one_file_is_restored_from_a_copy_made_by_hand(migrated: Any) -> None:
    before = migrated.config.read_bytes()
    by_hand = migrated.config.with_name("model-overrides.toml.backup.20251115-120000")
    by_hand.write_text("[overrides]\nenabled = false\n")
    wrong = migrated.run("backup.restore", "--id", by_hand.name, "--file", "gateway.toml", "--yes")
    assert (wrong.code, migrated.config.read_bytes()) == (8, before)
    done = migrated.run("backup.restore", "--id", by_hand.name, "--yes", "--json")
    assert done.code == 0, done.err
    assert migrated.config.read_bytes() == by_hand.read_bytes()
    by_hand.unlink()
    undone = migrated.run("backup.restore", "--id", done.document["before"], "--yes")
    assert (undone.code, migrated.config.read_bytes()) == (0, before)


def test_restore_under_an_open_run_is_refused(migrated: Any) -> None:
    journal = next((migrated.home / "migrate" / "runs").glob("*/journal.jsonl"))
    whole, tree = journal.read_bytes(), migrated.tree()
    journal.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))  # killed before its end
    other = journal.parent.with_name("0-damaged")  # takes nothing from what the others say
    shutil.copytree(journal.parent, other)
    (other / "journal.jsonl").write_bytes(whole.replace(b'"run"', b'"ran"', 1))
    done = migrated.run("backup.restore", "--id", first_id(migrated), "--yes")
    shutil.rmtree(other)
    journal.write_bytes(whole)
    assert (done.code, migrated.tree()) == (8, tree)
    assert "is open" in done.err
    assert "rollback" in done.err


def test_verify_names_what_is_damaged_and_exits_8(migrated: Any) -> None:
    assert migrated.run("backup.verify").code == 0
    manifest = store_of(migrated) / f"{first_id(migrated)}.json"
    row = json.loads(manifest.read_bytes())
    digest = next(file["sha256"] for file in row["files"] if file["sha256"])
    saved = store_of(migrated) / "objects" / digest
    whole = saved.read_bytes()
    saved.write_bytes(whole[:-1])
    done = migrated.run("backup.verify", "--id", first_id(migrated), "--json")
    saved.write_bytes(whole)
    assert done.code == 8
    assert done.document["sound"] is False
    assert f"saved were {len(whole)}" in done.document["backups"][0]["damage"][0]
    text = manifest.read_text()
    manifest.write_text(text.replace("0600", "0644").replace(digest, "0" * 64))
    done = migrated.run("backup.verify")
    listed = migrated.run("backup.list")
    manifest.write_text(text)
    assert (done.code, listed.code) == (8, 0)
    assert "the manifest was changed since it was written" in done.out
    assert "DAMAGED" in listed.out


def test_verify_without_any_backup_is_no_success(migrated: Any) -> None:
    empty = migrated.path / "empty"
    empty.mkdir()
    done = migrated.run("backup.verify", "--home", str(empty))
    assert done.code == 8
    assert "there is no backup" in done.err


def test_export_is_verified_and_restored_where_the_store_is_lost(migrated: Any) -> None:
    after, backup_id = migrated.tree(), first_id(migrated)
    out = migrated.path / "exported"
    out.mkdir()
    done = migrated.run("backup.export", "--id", backup_id, "--out", "exported")
    packed = out / f"cco-backup-{backup_id}.tar.gz"
    assert done.code == 0, done.err
    assert packed.stat().st_mode & 0o777 == 0o600
    again = migrated.run("backup.export", "--id", backup_id, "--out", str(packed))
    assert "there already" in again.out
    store, lost = store_of(migrated), migrated.path / "lost"
    shutil.move(store, lost)
    try:
        store.mkdir(mode=0o700)
        assert migrated.run("backup.verify", "--archive", str(packed)).code == 0
        done = migrated.run("backup.restore", "--archive", str(packed), "--yes", "--json")
        assert done.code == 0, done.err
        assert "enabled = false" in migrated.config.read_text()
        undone = migrated.run("backup.restore", "--id", done.document["before"], "--yes")
        assert (undone.code, migrated.tree()) == (0, after)
    finally:
        shutil.rmtree(store)
        shutil.move(lost, store)
    packed.write_bytes(packed.read_bytes()[:-9])
    assert migrated.run("backup.verify", "--archive", str(packed)).code == 8


def test_export_never_writes_over_something_else(migrated: Any) -> None:
    mine = migrated.path / "mine.txt"
    mine.write_text("notes")
    done = migrated.run("backup.export", "--id", first_id(migrated), "--out", "mine.txt")
    assert (done.code, mine.read_text()) == (8, "notes")


@pytest.mark.parametrize("words", [("backup.export",), ("backup.restore", "--yes")])
def test_backup_that_is_not_named_is_asked_for(migrated: Any, words: tuple[str, ...]) -> None:
    done = migrated.run(*words)
    assert done.code == 8
    assert "--id" in done.err


def test_prune_shows_first_and_keeps_the_way_back(migrated: Any) -> None:
    kept = first_id(migrated)
    words = ("backup.prune", "--keep", "0", "--keep-days", "0")
    before = sorted(store_of(migrated).rglob("*"))
    assert migrated.run(*words, "--dry-run").code == 0
    assert migrated.run(*words).code in {0, 12}  # asks, when there is something to remove
    assert sorted(store_of(migrated).rglob("*")) == before
    done = migrated.run(*words, "--yes", "--json")
    assert done.code == 0, done.err
    assert "the last that succeeded" in done.document["kept"][kept]
    back = migrated.run("rollback", "--by", "backup", "--yes")
    assert back.code == 0, back.err
    assert "enabled = false" in migrated.config.read_text()
