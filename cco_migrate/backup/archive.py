"""A backup as one `tar.gz`: reproducible to the byte, and read back with suspicion. Pure."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from datetime import datetime
from pathlib import Path, PurePosixPath

from cco_migrate.backup.manifest import Backup, decode, encode
from cco_migrate.backup.store import Contents
from cco_migrate.errors import InvalidInput, ToolkitError

MAX_BYTES = 256 << 20
"""What an archive may hold when it is unpacked; configuration is far smaller."""

_MANIFEST = "manifest.json"


def archive_name(backup: Backup) -> str:
    """Return the file name of a backup's archive."""
    return f"{_root(backup)}.tar.gz"


def pack(backup: Backup, contents: Contents) -> bytes:
    """Return the archive: the manifest, and every saved file under `files/` by its path.

    No owner, no time but that of the backup, no absolute name: who unpacks it gets one folder.
    """
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as file:
        _add(file, f"{_root(backup)}/{_MANIFEST}", encode(backup), backup, 0o600)
        for one in sorted(backup.files, key=lambda saved: saved.path):
            if one.sha256 is not None:
                name = f"{_root(backup)}/{_member(one.path)}"
                _add(file, name, contents[one.path], backup, one.mode)
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream:
        stream.write(tar.getvalue())
    return packed.getvalue()


def unpack(data: bytes, where: str) -> tuple[Backup, Contents]:
    """Return the backup an archive holds, every checksum compared; nothing is written.

    Args:
        where: Named in messages only.

    Raises:
        InvalidInput: It is no such archive, is damaged, or holds what a backup never does: links,
            devices, names that lead out of its folder, files the manifest does not know.
    """
    members = _members(data, where)
    manifests = [name for name in members if PurePosixPath(name).name == _MANIFEST]
    manifest = min(manifests, key=len, default="")
    if not manifest:
        raise _refused(where, f"it has no {_MANIFEST}")
    try:
        backup = decode(members[manifest], Path(f"{where}:{manifest}"))
    except ToolkitError as error:
        raise InvalidInput(str(error)) from error
    return backup, _checked(backup, members, where)


def _checked(backup: Backup, members: dict[str, bytes], where: str) -> Contents:
    root = _root(backup)
    named = {f"{root}/{_member(f.path)}": f for f in backup.files if f.sha256 is not None}
    known = {*named, f"{root}/{_MANIFEST}"}
    if strange := sorted(set(members) - known):
        raise _refused(where, f"{strange[0]} is not in its manifest")
    for name, file in named.items():
        if name not in members:
            raise _refused(where, f"{name} is missing")
        if hashlib.sha256(members[name]).hexdigest() != file.sha256:
            raise _refused(where, f"{name} is damaged: its SHA-256 differs")
    return {file.path: members[name] for name, file in named.items()}


def _members(data: bytes, where: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            tar = stream.read(MAX_BYTES + 1)
        if len(tar) > MAX_BYTES:
            raise _refused(where, f"it unpacks to more than {MAX_BYTES >> 20} MiB")
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as file:
            for member in file:
                _refuse_strange(member, found, where)
                content = file.extractfile(member)
                found[member.name] = content.read() if content is not None else b""
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise _refused(where, f"it is not a whole tar.gz ({error})") from error
    return found


def _refuse_strange(member: tarfile.TarInfo, found: dict[str, bytes], where: str) -> None:
    name = PurePosixPath(member.name)
    if member.issym() or member.islnk():
        raise _refused(where, f"{member.name} is a link to {member.linkname}")
    if not member.isreg():
        raise _refused(where, f"{member.name} is not a file")
    if name.is_absolute() or ".." in name.parts or member.name in found:
        raise _refused(where, f"{member.name} leads out of its folder, or stands in it twice")


def _add(file: tarfile.TarFile, name: str, data: bytes, backup: Backup, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), mode, _epoch(backup)
    file.addfile(member, io.BytesIO(data))


def _epoch(backup: Backup) -> int:
    return int(datetime.fromisoformat(backup.made_at).timestamp()) if backup.made_at else 0


def _root(backup: Backup) -> str:
    return f"cco-backup-{backup.id}"


def _member(path: str) -> str:
    return f"files/{Path(path).relative_to(Path(path).anchor).as_posix()}"


def _refused(where: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"{where}: not an archive that could be restored: {why}",
        next_command="invoke backup.list   (take another backup)",
    )
