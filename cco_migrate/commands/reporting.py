"""The report of a run on disk, with the manifest of its evidence; and the proof that both hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cco_migrate
from cco_migrate import report
from cco_migrate.errors import InvalidInput, LockLost, NotJournaled, ToolkitError
from cco_migrate.progress import typed
from cco_migrate.report import manifest
from cco_migrate.report.manifest import FILENAME, Origin
from cco_migrate.report.samples import looks_of
from cco_migrate.report.verification import Verification, verify
from cco_migrate.runs.store import RUN_FILES, Run
from cco_migrate.session import Result, Session, shown

DRIFT = 9


def write_report(session: Session, run: Run) -> list[Path]:
    """Write the report from the run's files, and the manifest that seals all of them.

    Raises:
        OSError: They cannot be written; what stood there is untouched.
        ToolkitError: The plan or the journal is damaged.
    """
    kept, files = session.store.load(run.id), session.world.files  # as the disk has it
    files.remove(kept.directory / FILENAME)  # killed from here on, nothing is said of the files
    lines, now = kept.journal.entries, session.world.clock.now()
    version, program = cco_migrate.__version__, session.out.program
    looks, paths = looks_of(kept.plan, kept.directory, files), []
    for name, text in report.render(kept.plan, kept.state, version, now, lines, looks).items():
        paths.append(kept.directory / name)
        files.replace(paths[-1], typed(text, program).encode(), mode=0o600)
    origin = Origin(kept.id, now, version, program, len(lines))
    made = manifest.make(kept.directory, files, origin)
    files.replace(kept.directory / FILENAME, made.to_bytes(), mode=0o600)
    return paths


def reported(session: Session, run: Run, act: Callable[[], None]) -> None:
    """Carry a run out; however that ends, its report and the manifest of its files are written."""
    try:
        act()
    except (LockLost, NotJournaled):
        raise  # nothing may, or can, be written any more
    except ToolkitError:
        _try_to_report(session, run)
        raise
    _try_to_report(session, run)


def verify_report(session: Session, *, run_id: str, directory: str) -> Result:
    """Prove a run's folder, or a copy of one; exit 9 when anything in it is not as it was written.

    Args:
        run_id: Id of a run; "" for the newest.
        directory: A folder in its place, e.g. an unpacked archive; "" for none.

    Raises:
        InvalidInput: There is no such run or folder, or no manifest in it.
    """
    if run_id and directory:
        raise InvalidInput("give either --run or --dir, not both")
    where = Path(directory) if directory else _folder(session, run_id)
    if not where.is_dir():
        raise InvalidInput(f"{where}: there is no such folder", next_command="invoke status")
    try:
        found = verify(where, session.world.files)
    except OSError as error:
        raise InvalidInput(f"{error.filename or where}: {error.strerror}") from error
    return Result(_text(where, found), _document(where, found), DRIFT if found.faults else 0)


def _try_to_report(session: Session, run: Run) -> None:
    """Write the report; how the run ended weighs more than a report that cannot be written."""
    try:
        write_report(session, run)
    except (OSError, ToolkitError) as error:
        session.out.say(f"  warn  no report was written: {error}; try again: invoke report")


def _folder(session: Session, run_id: str) -> Path:
    """Return the folder of a run; where no run can be told the newest, of the last one written."""
    root = session.store.root
    if run_id:
        if Path(run_id).name != run_id:
            raise InvalidInput(f"--run {run_id}: not the id of a run; name a folder with --dir")
        return root / run_id
    try:
        newest = session.store.latest()
    except ToolkitError:  # one of them is damaged, which is what we are asked to look for
        written = [path for name in RUN_FILES for path in root.glob(f"*/{name}")]
        return max(written, key=lambda path: path.stat().st_mtime_ns).parent
    if newest is None:
        raise InvalidInput(f"there is no run under {root}", next_command="invoke migrate")
    return newest.directory


def _text(where: Path, found: Verification) -> str:
    notes = [f"  note  {one}" for one in found.notes]
    if found.faults:
        faults = [f"  {shown(where / one.file)}{_line(one.line)}: {one.said}"
                  for one in found.faults]  # fmt: skip
        said = f"CHANGED  {shown(where)}: the first of {len(faults)} differences comes first"
        rest = "Nothing was changed by this command; restore the folder from a copy of it."
        return "\n".join([said, *faults, *notes, rest])
    judged = sum(one.found is not None for one in found.verdicts)
    said = f"VERIFIED  {shown(where)}: {found.files} files as they were written, "
    said += f"{judged} verdicts judged again, all the same"
    if unmeasured := len(found.verdicts) - judged:
        said += f"; {unmeasured} without facts, none of them GO"
    return "\n".join([said, *notes, f"seal {found.seal}"])


def _line(number: int | None) -> str:
    return "" if number is None else f":{number}"


def _document(where: Path, found: Verification) -> dict[str, object]:
    return {
        "schema_version": 1,
        "directory": str(where),
        "verified": not found.faults,
        "seal": found.seal or None,
        "files": found.files,
        "faults": [{"file": one.file, "line": one.line, "said": one.said} for one in found.faults],
        "verdicts": [
            {
                "line": one.line,
                "step": one.step,
                "journal": one.told,
                "recomputed": one.found.value if one.found else None,
            }
            for one in found.verdicts
        ],
        "notes": list(found.notes),
    }


def show_report(session: Session, run_id: str) -> Result:
    """Write the report again from the journal and say where it is."""
    run = chosen_run(session, run_id)
    paths = write_report(session, run)
    return Result(
        "\n".join(shown(path) for path in paths),
        {"schema_version": 1, "files": [str(p) for p in paths]},
    )


def chosen_run(session: Session, run_id: str) -> Run:
    """Return a run, the newest for ""; raises InvalidInput when there is none."""
    run = session.store.load(run_id) if run_id else session.store.latest()
    if run is None:
        raise InvalidInput(
            f"there is no run under {session.store.root}", next_command="invoke migrate"
        )
    return run
