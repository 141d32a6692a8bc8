"""Which backup a command is about, and how far it may go.

A backup is one of the store, a copy beside a file, or an exported archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cco_migrate.backup import Backup, BackupStore, Contents, archive, s3
from cco_migrate.backup.siblings import read_sibling, siblings_of
from cco_migrate.config import ConfigName
from cco_migrate.errors import InvalidInput
from cco_migrate.session import Session
from cco_migrate.world import World


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which backup a command is about.

    Attributes:
        id: Of a backup, or the name of a copy beside a file; empty when nothing was said.
        archive: Path or s3:// address of an exported archive; empty when it is none.
        endpoint: URL of an S3-compatible store; empty for boto3's own configuration.
    """

    id: str = ""
    archive: str = ""
    endpoint: str = ""


def store_of(session: Session) -> BackupStore:
    """Return where the backups of the target are kept."""
    return BackupStore(session.home / "migrate" / "backups", session.world)


def required_id(store: BackupStore, backup_id: str) -> str:
    """Return the id; raises InvalidInput, with the newest, when nothing was said."""
    if backup_id:
        return backup_id
    newest = max(store.ids(), default="")
    hint = f"the same with --id {newest}   (the newest)" if newest else "invoke backup.list"
    raise InvalidInput("which backup? name it with --id", next_command=hint)


def read_chosen(session: Session, store: BackupStore, chosen: Chosen) -> tuple[Backup, Contents]:
    """Return what was chosen; raises ToolkitError when it is not there or damaged."""
    if chosen.archive:
        return archive.unpack(archive_bytes(session.world, chosen), chosen.archive)
    name = required_id(store, chosen.id)
    for sibling in siblings_of(originals(session)):
        if name in {sibling.path.name, str(sibling.path)}:
            return read_sibling(sibling, session.world)
    backup = store.load(name)
    return backup, store.contents(backup)


def archive_bytes(world: World, chosen: Chosen) -> bytes:
    """Return an archive; raises InvalidInput when it cannot be read."""
    if chosen.archive.startswith(s3.SCHEME):
        return s3.download(s3.S3Place.parse(chosen.archive, chosen.endpoint))
    path = Path(chosen.archive).expanduser()
    try:
        return world.files.read(path)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from error


def originals(session: Session) -> tuple[Path, ...]:
    """Return the configuration files of the target, whether they exist or not."""
    instance = session.instance()
    others = (instance.config_dir / name.filename for name in ConfigName)
    return tuple(dict.fromkeys((instance.config, *others)))


@dataclass(frozen=True, slots=True)
class Consent:
    """How far a command may go.

    Attributes:
        yes: Answer the question with yes.
        no_input: Never ask: a question ends the command with exit 12.
        dry_run: Show what would happen and change nothing.
    """

    yes: bool = False
    no_input: bool = False
    dry_run: bool = False
