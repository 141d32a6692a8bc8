"""A damaged copy or manifest is found, named, and never restored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cco_migrate.backup import (
    Backup,
    BackupStore,
)
from cco_migrate.backup.proof import prove
from cco_migrate.errors import Damaged

ID = "20261121-140311"


def saved(store: BackupStore, *paths: Path) -> Backup:
    return store.create(ID, "mo-1", paths, ())


def object_of(store: BackupStore, backup: Backup, number: int = 0) -> Path:
    return store.object(backup.files[number].sha256 or "")


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
    with pytest.raises(Damaged, match=word):
        store.verify(backup)
    with pytest.raises(Damaged, match=word):
        store.restore(backup)
    assert (config.read_text(), other.read_text()) == ("now", "also now")


def test_damaged_copy_is_replaced_by_the_next_backup(store: BackupStore, config: Path) -> None:
    backup = saved(store, config)
    (store.root / "objects" / (backup.files[0].sha256 or "")).write_bytes(b"x")
    assert store.verify(saved(store, config)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"v": 1, "id": "x", "made_at": "", "run": "", "files": [{}]}',
        '{"v": 9, "id": "x", "made_at": "", "run": "", "files": []}',
        '{"v": 1, "id": "x", "made_at": "", "run": "", "files": [{"path": "a", "sha256": null}]}',
    ],
)  # fmt: skip
def test_unreadable_manifest_is_named(store: BackupStore, text: str) -> None:
    path = store.root / f"{ID}.json"
    path.write_text(text)
    with pytest.raises(Damaged, match=rf"{ID}\.json: not a readable backup manifest") as raised:
        store.load(ID)
    assert "invoke backup.list" in str(raised.value.next_command)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda data: bytes([data[0] ^ 1]) + data[1:], "its SHA-256 differs"),
        (lambda data: data[:7], "it has 7 bytes, saved were 18"),
        (None, "missing"),
    ],
    ids=["flipped bit", "truncated", "lost"],
)
def test_damage_is_found_and_named(
    store: BackupStore, config: Path, damage: Callable[[bytes], bytes] | None, word: str
) -> None:
    backup = saved(store, config, config.with_name("absent.json"))
    path = object_of(store, backup)
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    proof = prove(store, backup)
    assert (proof.passed, proof.restored, len(proof.damage)) == (False, 0, 1)
    assert str(config) in proof.damage[0]
    assert path.name in proof.damage[0]
    assert word in proof.damage[0]


def test_every_flipped_bit_of_a_manifest_is_found(store: BackupStore, config: Path) -> None:
    backup = saved(store, config)
    path = store.manifest(ID)
    whole = path.read_bytes()
    for place, byte in enumerate(whole):
        path.write_bytes(whole[:place] + bytes([byte ^ 1]) + whole[place + 1 :])
        try:
            found = store.load(ID)
        except Damaged as error:
            assert path.name in str(error)
        else:
            assert found == backup  # a blank between two values: nothing it says has changed


def test_manifest_under_another_name_is_refused(store: BackupStore, config: Path) -> None:
    saved(store, config)
    store.manifest(ID).rename(store.manifest("20260101-000000"))
    with pytest.raises(Damaged, match=f"it says it is {ID}"):
        store.load("20260101-000000")


def test_manifest_without_checksum_is_read_and_said_to_be_so(
    store: BackupStore, config: Path
) -> None:
    config.write_text("[overrides]\nenabled = false\n")
    saved(store, config)
    row = json.loads(store.manifest(ID).read_bytes())
    del row["sha256"]
    store.manifest(ID).write_text(json.dumps({**row, "v": 1}))
    proof = prove(store, store.load(ID))
    assert proof.passed
    assert "older version" in proof.notes[0]
    store.manifest(ID).write_text(json.dumps(row))
    with pytest.raises(Damaged, match="SHA-256 does not fit"):
        store.load(ID)


def test_proof_names_what_the_gateway_would_refuse(store: BackupStore, config: Path) -> None:
    other = config.with_name("other-name.toml")
    config.write_text("[overrides]\nenabled = 1\n")
    other.write_text("[overrides]\nenabled = 2\n")
    proof = prove(store, saved(store, config, other))
    assert [finding.path for finding in proof.findings] == [config]
    assert (proof.findings[0].line, proof.restored, proof.passed) == (2, 2, False)
    assert len(prove(store, store.load(ID), overrides=other).findings) == 2
