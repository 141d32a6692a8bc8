"""Archives: the same to the byte, opened by ordinary tools, and refused when not our own."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from cco_migrate.backup import (
    Backup,
    BackupStore,
    archive,
)
from cco_migrate.backup.manifest import encode
from cco_migrate.errors import InvalidInput

ID = "20261121-140311"


def saved(store: BackupStore, *paths: Path) -> Backup:
    return store.create(ID, "mo-1", paths, ())


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
