"""One function per backup task: list, verify, restore, export, prune."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cco_migrate.backup import Backup, BackupStore, Contents, archive, s3, select
from cco_migrate.backup.proof import Proof, invalid, prove
from cco_migrate.backup.siblings import Sibling, siblings_of
from cco_migrate.commands.backup_choice import (
    Chosen,
    Consent,
    archive_bytes,
    originals,
    read_chosen,
    required_id,
    store_of,
)
from cco_migrate.commands.run_summary import undo_command
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.scratch import scratch
from cco_migrate.session import Result, Session, confirm, shown
from cco_migrate.world import World


def backup_list(session: Session) -> Result:
    """List the backups, each verified by a scratch restore, and the copies beside the files."""
    store, overrides = store_of(session), session.instance().config
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
    store, overrides = store_of(session), session.instance().config
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
    store = store_of(session)
    if not (chosen.archive or store.root.is_dir()):  # else a lock would be all there is
        read_chosen(session, store, chosen)
    with session.locked("backup.restore"):
        _refuse_open_run(session)
        backup, contents = read_chosen(session, store, chosen)
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
    store = store_of(session)
    backup = store.load(required_id(store, chosen.id))
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


def _proved(session: Session, store: BackupStore, name: str, overrides: Path) -> Proof:
    try:
        backup, contents = read_chosen(session, store, Chosen(name))
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
    backup, contents = archive.unpack(archive_bytes(world, chosen), chosen.archive)
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


def _beside(session: Session, store: BackupStore) -> tuple[Sibling, ...]:
    ours = set()
    for backup_id in store.ids():
        try:
            ours |= {file.sibling for file in store.load(backup_id).files}
        except ToolkitError:  # listed as damaged
            continue
    return tuple(one for one in siblings_of(originals(session)) if str(one.path) not in ours)


def _refuse_open_run(session: Session) -> None:
    unfinished, damages = session.store.open_or_damaged()
    for run in unfinished:
        raise InvalidInput(
            f"run {run.id} is open; files are not changed under it",
            state="Nothing was changed by this command.",
            next_command=f"{undo_command(run)} --by backup",
        )
    for damage in damages:  # of such a run a backup is the only way back that is left
        session.out.say(f"  warn  whether a run is open cannot be told: {damage}")


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
