"""Backups: what was saved comes back byte for byte, and a damaged copy is never restored."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cco_migrate.backup import (
    Backup,
    BackupStore,
    archive,
    retention,
    s3,
    select,
    sibling_name,
)
from cco_migrate.backup.manifest import encode
from cco_migrate.backup.proof import prove
from cco_migrate.backup.s3 import S3Place
from cco_migrate.backup.siblings import read_sibling, siblings_of
from cco_migrate.errors import InvalidInput, ToolkitError
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


def redated(store: BackupStore, backup_id: str, made_at: str) -> None:
    """Write a manifest as it would have been written at another time."""
    backup = replace(store.load(backup_id), made_at=made_at)
    store.manifest(backup_id).write_bytes(encode(backup))


def object_of(store: BackupStore, backup: Backup, number: int = 0) -> Path:
    return store.object(backup.files[number].sha256 or "")


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
        redated(store, name, made_at)
    assert [backup.id for backup in store.all()] == [
        "20261121-140311-before-rollback", "20261121-140400", "20261121-140311",
    ]  # fmt: skip


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
        except ToolkitError as error:
            assert path.name in str(error)
        else:
            assert found == backup  # a blank between two values: nothing it says has changed


def test_manifest_under_another_name_is_refused(store: BackupStore, config: Path) -> None:
    saved(store, config)
    store.manifest(ID).rename(store.manifest("20260101-000000"))
    with pytest.raises(ToolkitError, match=f"it says it is {ID}"):
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
    with pytest.raises(ToolkitError, match="SHA-256 does not fit"):
        store.load(ID)


def test_proof_names_what_the_gateway_would_refuse(store: BackupStore, config: Path) -> None:
    other = config.with_name("other-name.toml")
    config.write_text("[overrides]\nenabled = 1\n")
    other.write_text("[overrides]\nenabled = 2\n")
    proof = prove(store, saved(store, config, other))
    assert [finding.path for finding in proof.findings] == [config]
    assert (proof.findings[0].line, proof.restored, proof.passed) == (2, 2, False)
    assert len(prove(store, store.load(ID), overrides=other).findings) == 2


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


def test_archive_is_the_same_to_the_byte_and_comes_back(store: BackupStore, config: Path) -> None:
    backup = saved(store, config, config.with_name("absent.json"))
    contents = store.contents(backup)
    packed = archive.pack(backup, contents)
    assert packed == archive.pack(store.load(ID), store.contents(backup))
    assert archive.unpack(packed, "x") == (backup, contents)


def test_archive_unpacks_into_one_folder_with_ordinary_tools(
    store: BackupStore, config: Path, tmp_path: Path
) -> None:
    backup = saved(store, config)
    packed = tmp_path / archive.archive_name(backup)
    packed.write_bytes(archive.pack(backup, store.contents(backup)))
    with tarfile.open(packed) as file:
        members = file.getmembers()
        file.extractall(tmp_path / "there", filter="data")
    assert {(one.uid, one.gid, one.uname, one.gname) for one in members} == {(0, 0, "", "")}
    assert {Path(one.name).parts[0] for one in members} == {f"cco-backup-{ID}"}
    unpacked = tmp_path / "there" / f"cco-backup-{ID}" / "files" / str(config)[1:]
    assert unpacked.read_bytes() == config.read_bytes()
    assert unpacked.stat().st_mode & 0o777 == 0o640


def packed_by_hand(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as file:
        for member, data in members:
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return gzip.compress(tar.getvalue())


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"not an archive", "not a whole"),
        (gzip.compress(b"not a tar" * 100), "not a whole"),
        (packed_by_hand(), "no manifest.json"),
        (packed_by_hand((member("a/x", tarfile.SYMTYPE, "/etc/passwd"), b"")), "a link to /etc"),
        (packed_by_hand((member("a/x", tarfile.LNKTYPE, "../../y"), b"")), r"a link to \.\./"),
        (packed_by_hand((member("a/x", tarfile.FIFOTYPE), b"")), "is not a file"),
        (packed_by_hand((member("a/x", tarfile.DIRTYPE), b"")), "is not a file"),
        (packed_by_hand((member("/etc/x"), b"")), "leads out"),
        (packed_by_hand((member("a/../../x"), b"")), "leads out"),
        (packed_by_hand((member("a/x"), b""), (member("a/x"), b"")), "twice"),
        (packed_by_hand((member("a/manifest.json"), b"{}")), "not a readable backup manifest"),
        (gzip.compress(bytes(archive.MAX_BYTES + 1), 1), "more than 256 MiB"),
    ],
    ids=[
        "no gzip", "no tar", "empty", "symbolic link", "hard link", "pipe", "folder",
        "absolute name", "name with dots", "twice", "no manifest of ours", "bomb",
    ],
)  # fmt: skip
def test_archive_that_no_backup_would_make_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        archive.unpack(data, "strange.tar.gz")


def test_archive_cut_anywhere_is_refused(store: BackupStore, config: Path) -> None:
    backup = saved(store, config)
    packed = archive.pack(backup, store.contents(backup))
    for size in range(len(packed)):
        with pytest.raises(InvalidInput):
            archive.unpack(packed[:size], "cut.tar.gz")


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({"files/": b"changed"}, "damaged: its SHA-256 differs"),
        ({}, "is missing"),
        ({"files/": b"enabled = false\r\n\xff", "more": b""}, "more is not in its manifest"),
    ],
    ids=["changed", "missing", "more"],
)
def test_archive_that_does_not_fit_its_manifest_is_refused(
    store: BackupStore, config: Path, contents: dict[str, bytes], said: str
) -> None:
    backup = saved(store, config)
    root = f"cco-backup-{ID}"
    names = {"files/": f"{root}/files{config}", "more": f"{root}/more"}
    rows = [(member(names[key]), data) for key, data in contents.items()]
    data = packed_by_hand((member(f"{root}/manifest.json"), encode(backup)), *rows)
    with pytest.raises(InvalidInput, match=said):
        archive.unpack(data, "x.tar.gz")


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
    with pytest.raises(ToolkitError, match=year[3].id):
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


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [("s3://", ""), ("s3://key:secret@bucket/x", ""), ("http://bucket/x", ""),
     ("s3://bucket/x?y", ""), ("s3://bucket/x", "ftp://host"),
     ("s3://bucket/x", "http://key:secret@host")],
)  # fmt: skip
def test_s3_place_that_makes_no_sense_is_refused_without_repeating_it(
    url: str, endpoint: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        S3Place.parse(url, endpoint)
    assert "secret" not in str(refused.value)


def test_s3_place_of_a_file_is_below_its_prefix() -> None:
    assert str(S3Place.parse("s3://bucket", "").joined("x.tar.gz")) == "s3://bucket/x.tar.gz"
    assert str(S3Place.parse("s3://bucket/a/b/", "").joined("x")) == "s3://bucket/a/b/x"


def test_s3_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    with pytest.raises(InvalidInput, match="needs boto3") as refused:
        s3.upload(S3Place.parse("s3://bucket/x", ""), b"data")
    assert refused.value.next_command == "pip install 'cco-migrate[s3]'"
