"""One function per backup task: list, verify, restore, export, prune."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cco_migrate.backup import Backup, BackupStore, Contents, archive, retention, s3, select
from cco_migrate.backup.proof import Proof, invalid, prove
from cco_migrate.backup.siblings import Sibling, read_sibling, siblings_of
from cco_migrate.commands.run_summary import undo_command
from cco_migrate.config import ConfigName
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.runs.journal import Status
from cco_migrate.runs.store import UNFINISHED, Run
from cco_migrate.scratch import scratch
from cco_migrate.session import Result, Session, confirm, shown
from cco_migrate.world import World

_DIGEST = re.compile(r"[0-9a-f]{64}")


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


def backup_list(session: Session) -> Result:
    """List the backups, each verified by a scratch restore, and the copies beside the files."""
    store, overrides = _store(session), session.instance().config
    rows, lines = [], []
    for backup_id in reversed(store.ids()):
        try:
            backup = store.load(backup_id)
        except ToolkitError as error:
            rows.append({"id": backup_id, "restorable": False, "damage": [str(error)]})
            lines.append(f"{backup_id}  DAMAGED: {error}")
            continue
        proof = prove(store, backup, overrides)
        facts = {"made_at": backup.made_at, "run": backup.run, "files": proof.restored}
        rows.append({"id": backup_id, **facts, **_facts(proof)})
        said = _said(proof, f"{proof.restored} files, restorable")
        lines.append(f"{backup_id}  {backup.made_at}  run {backup.run}  {said}")
    beside = _beside(session, store)
    lines += [f"{one.path.name}  beside {shown(one.original)}, not of ours" for one in beside]
    document = {"schema_version": 1, "backups": rows, "copies": [str(one.path) for one in beside]}
    return Result("\n".join(lines) or "no backups yet", document)


def backup_verify(session: Session, chosen: Chosen) -> Result:
    """Restore to scratch, compare checksums, check every file; exit 8 when one is not sound."""
    store, overrides = _store(session), session.instance().config
    if chosen.archive:
        proofs = [_prove_archive(session.world, chosen, overrides)]
    elif chosen.id:
        proofs = [_proved(session, store, chosen.id, overrides)]
    else:
        proofs = [_proved(session, store, one, overrides) for one in reversed(store.ids())]
    if not proofs:
        raise InvalidInput(f"there is no backup under {store.root} that could be verified")
    bad = [proof for proof in proofs if not proof.passed]
    lines = [f"{p.backup}  {_said(p, f'{p.restored} files restored, valid')}" for p in proofs]
    lines.append(f"{len(proofs)} verified, {len(bad)} not sound; nothing was changed")
    rows = [{"id": p.backup, "files": p.restored, **_facts(p)} for p in proofs]
    document = {"schema_version": 1, "sound": not bad, "backups": rows}
    return Result("\n".join(lines), document, 8 if bad else 0)


def backup_restore(
    session: Session, chosen: Chosen, names: Sequence[str], consent: Consent
) -> Result:
    """Put saved files back; what stands there is saved first, so that this can be undone too."""
    with session.locked("backup.restore"):
        _refuse_open_run(session)
        store = _store(session)
        backup, contents = _read(session, store, chosen)
        backup = select(backup, names)
        wanted = {f.path: contents[f.path] for f in backup.files if f.sha256 is not None}
        differing = store.differing(backup, wanted)
        if not differing:
            return Result(f"{backup.id}: every file is as it was saved; nothing to do")
        for file in differing:
            done = "replaced" if file.sha256 else "removed: it did not exist"
            session.out.say(f"  {shown(file.path)} would be {done}")
        for finding in invalid(wanted, session.instance().config):
            session.out.say(f"  warn  the saved file is not valid: {finding}")
        if consent.dry_run:
            return Result(f"{backup.id}: {len(differing)} files differ; nothing was changed")
        question = f"Restore {len(differing)} files from {backup.id}?"
        confirm(session, question, yes=consent.yes, no_input=consent.no_input)
        before = store.create(
            store.free_id("before-restore"), "none", [Path(f.path) for f in differing], []
        )
        changed = _put_back(store, backup, wanted, before)
    undo = f"invoke backup.restore --id {before.id}"
    text = f"restored {', '.join(path.name for path in changed)} from {backup.id}\n"
    text += f"undo: {undo}\nthe gateway runs what it had loaded; next: invoke gateway.reload"
    files = [str(path) for path in changed]
    return Result(text, {"schema_version": 1, "restored": files, "before": before.id})


def backup_export(session: Session, chosen: Chosen, out: str) -> Result:
    """Write one backup as a tar.gz, to a file, a folder or an S3-compatible store; read it back."""
    store = _store(session)
    backup = store.load(_named(store, chosen.id))
    contents = store.contents(backup)
    data, name = archive.pack(backup, contents), archive.archive_name(backup)
    if archive.unpack(data, name)[1] != contents:
        raise ToolkitError(f"{name}: what was packed cannot be read back", state="Nothing written.")
    if out.startswith(s3.SCHEME):
        place = s3.S3Place.parse(out, chosen.endpoint).joined(name)
        fresh, where = s3.upload(place, data), str(place)
    else:
        fresh, where = _write(session.world, Path(out).expanduser() if out else Path(), name, data)
    text = f"{where}: {len(contents)} files, {len(data)} bytes, read back"
    text += "" if fresh else "; it was there already"
    return Result(text, {"schema_version": 1, "archive": where, "bytes": len(data), "new": fresh})


def backup_prune(session: Session, policy: retention.Policy, consent: Consent) -> Result:
    """Remove old backups; shows them first, and never touches what a way back needs."""
    if policy.keep < 0 or policy.keep_days < 0:
        raise InvalidInput("--keep and --keep-days cannot be negative")
    with session.locked("backup.prune"):
        store = _store(session)
        now = session.world.clock.now()
        pruning = retention.plan(store, _uses(session.store.all()), policy, now)
        for backup_id, why in pruning.kept.items():
            session.out.say(f"  keep    {backup_id}: {why}")
        for backup in pruning.removed:
            session.out.say(f"  remove  {backup.id}, made {backup.made_at}")
        count = f"{len(pruning.removed)} backups, {len(pruning.objects)} saved copies"
        document = {"schema_version": 1, "removed": [b.id for b in pruning.removed],
                    "kept": dict(pruning.kept), "copies": len(pruning.objects)}  # fmt: skip
        if not pruning.removed and not pruning.objects:
            return Result("nothing to prune", document)
        if consent.dry_run:
            return Result(f"{count} would go; nothing was changed", document)
        confirm(session, f"Remove {count}?", yes=consent.yes, no_input=consent.no_input)
        retention.carry_out(store, pruning)
    return Result(f"removed {count}; {len(pruning.kept)} backups stay", document)


def _store(session: Session) -> BackupStore:
    return BackupStore(session.home / "migrate" / "backups", session.world)


def _named(store: BackupStore, backup_id: str) -> str:
    if backup_id:
        return backup_id
    newest = max(store.ids(), default="")
    hint = f"--id {newest}   (the newest)" if newest else "invoke backup.list"
    raise InvalidInput("which backup? name it with --id", next_command=hint)


def _read(session: Session, store: BackupStore, chosen: Chosen) -> tuple[Backup, Contents]:
    if chosen.archive:
        return archive.unpack(_archive_bytes(session.world, chosen), chosen.archive)
    name = _named(store, chosen.id)
    for sibling in siblings_of(_originals(session)):
        if name in {sibling.path.name, str(sibling.path)}:
            return read_sibling(sibling, session.world)
    backup = store.load(name)
    return backup, store.contents(backup)


def _archive_bytes(world: World, chosen: Chosen) -> bytes:
    if chosen.archive.startswith(s3.SCHEME):
        return s3.download(s3.S3Place.parse(chosen.archive, chosen.endpoint))
    path = Path(chosen.archive).expanduser()
    try:
        return world.files.read(path)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from error


def _proved(session: Session, store: BackupStore, name: str, overrides: Path) -> Proof:
    try:
        backup, contents = _read(session, store, Chosen(name))
    except InvalidInput:
        raise
    except ToolkitError as error:
        if name in store.ids():
            return _of_damaged(store, name, overrides, error)
        raise
    if name in store.ids():
        return prove(store, backup, overrides)
    return _prove_apart(session.world, backup, contents, overrides)


def _of_damaged(store: BackupStore, name: str, overrides: Path, error: ToolkitError) -> Proof:
    try:
        return prove(store, store.load(name), overrides)
    except ToolkitError:  # the manifest itself
        return Proof(name, 0, (str(error),), ())


def _prove_archive(world: World, chosen: Chosen, overrides: Path) -> Proof:
    backup, contents = archive.unpack(_archive_bytes(world, chosen), chosen.archive)
    return _prove_apart(world, backup, contents, overrides)


def _prove_apart(world: World, backup: Backup, contents: Contents, overrides: Path) -> Proof:
    """Prove what is in no store: in one that lives as long as the proof."""
    with scratch("verify") as folder:
        store = BackupStore(folder, world)
        for data in contents.values():
            store.put(data)
        return prove(store, backup, overrides)


def _said(proof: Proof, sound: str) -> str:
    faults = [*proof.damage, *(f"not valid: {finding}" for finding in proof.findings)]
    if faults:
        return ("DAMAGED: " if proof.damage else "") + "; ".join(faults)
    return "; ".join([sound, *proof.notes])


def _facts(proof: Proof) -> dict[str, object]:
    findings = [str(finding) for finding in proof.findings]
    return {"restorable": not proof.damage, "damage": list(proof.damage), "findings": findings}


def _originals(session: Session) -> tuple[Path, ...]:
    instance = session.instance()
    others = (instance.config_dir / name.filename for name in ConfigName)
    return tuple(dict.fromkeys((instance.config, *others)))


def _beside(session: Session, store: BackupStore) -> tuple[Sibling, ...]:
    ours = set()
    for backup_id in store.ids():
        try:
            ours |= {file.sibling for file in store.load(backup_id).files}
        except ToolkitError:  # listed as damaged
            continue
    return tuple(one for one in siblings_of(_originals(session)) if str(one.path) not in ours)


def _refuse_open_run(session: Session) -> None:
    run = session.store.unfinished()
    if run is not None:
        raise InvalidInput(
            f"run {run.id} is open; files are not changed under it",
            state="Nothing was changed by this command.",
            next_command=f"{undo_command(run)} --by backup",
        )


def _put_back(
    store: BackupStore, backup: Backup, wanted: Contents, before: Backup
) -> tuple[Path, ...]:
    try:
        return store.restore(backup, wanted)
    except OSError as error:
        left = ", ".join(Path(f.path).name for f in store.differing(backup, wanted))
        raise ToolkitError(
            f"{error.filename or backup.id}: {error.strerror}; not restored: {left}",
            state=f"The other files are restored; what stood there is kept as {before.id}.",
            next_command=f"invoke backup.restore --id {before.id}   (puts all of it back)",
        ) from error


def _write(world: World, out: Path, name: str, data: bytes) -> tuple[bool, str]:
    path = out / name if out.is_dir() else out
    try:
        before = world.files.read_if_there(path)
        if before is not None and before != data:
            raise InvalidInput(f"{path} holds something else; it is not overwritten")
        if before is None:
            world.files.replace(path, data, mode=0o600)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from error
    return before is None, shown(path)


def _uses(runs: Sequence[Run]) -> list[retention.Use]:
    done = [run.id for run in runs if run.state.status is Status.DONE]
    uses = []
    for run in runs:
        needed = ""
        if run.state.status in UNFINISHED:
            needed = f"run {run.id} is {run.state.status}"
        elif run.id in done[-1:]:
            needed = f"the way back of run {run.id}, the last that succeeded"
        lines = [asdict(entry)["data"] for entry in run.journal.entries]
        uses.append(retention.Use(run.id, needed, frozenset(_digests(lines))))
    return uses


def _digests(value: object) -> Iterator[str]:
    """Yield every SHA-256 in a journal: whatever a step wrote down, it may need again."""
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        yield value
    for inner in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _digests(inner)
