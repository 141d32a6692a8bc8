"""The task that rehearses the ways back: clone, rounds, record; here the parts are wired."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cco_migrate
from cco_migrate import config
from cco_migrate.config import ConfigName
from cco_migrate.demo import DIRECTORY, Demo
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.migrations import gateway_cutover
from cco_migrate.migrations.inputs import Cutover, Inputs, Verification
from cco_migrate.model import Instance
from cco_migrate.recovery import record, text
from cco_migrate.recovery.record import Origin, Record
from cco_migrate.recovery.ways import ROUNDS, Taken
from cco_migrate.rehearsal import clone, repository, rounds
from cco_migrate.rehearsal.rounds import Rehearsed
from cco_migrate.removal.looking import look
from cco_migrate.removal.planning import Removing
from cco_migrate.session import Result, Session, shown
from cco_migrate.target import Target
from cco_migrate.verdict import Verdict

STREAMS = Cutover().streams
_CODES = {Verdict.GO: 0, Verdict.NO_GO: 3, Verdict.INCONCLUSIVE: 4}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the operator asked for.

    Attributes:
        times: How many rounds.
        manifest: File that says what phase 3 removes; "" leaves its ways back out.
        repository: Where it is removed; "" for the repository the manifest is in.
    """

    times: int = ROUNDS
    manifest: str = ""
    repository: str = ""


def rehearse(session: Session, wanted: Wanted) -> Result:
    """Cut a clone over and take every way back, so many times; record what was seen.

    The deployment itself, its state root and its ports are only read; what is written there is
    the record, and the folder of the clone while it lives.

    Raises:
        InvalidInput: A file or an option is wrong; nothing was started.
        ToolkitError: The clone could not be made or cut over at all; no record was written.
    """
    if wanted.times < 1:
        said = f"--times {wanted.times}: at least one round; {ROUNDS} make a rehearsal"
        raise InvalidInput(said)
    if session.target.is_demo(os.environ):
        Demo(DIRECTORY, session.world).up(session.out.waiting, session.out.say, old_path=True)
    instance = session.instance()
    files = session.context(instance).config_files()
    cut_over = _cut_over(instance, files)  # a wrong file is refused before anything is started
    removing = _removing(session, instance, wanted)
    with _alone(session, instance).locked("rollback.rehearse"):
        seen = _rehearsed(session, instance, files, removing, wanted.times)
    session.out.waiting("", 0)
    origin = Origin(
        session.world.clock.now().replace(microsecond=0), cco_migrate.__version__,
        config.fingerprint(files), cut_over,
    )  # fmt: skip
    made = record.summed(origin, seen.rounds, seen.taken, seen.faults)
    return concluded(session, made, instance)


def concluded(session: Session, made: Record, instance: Instance) -> Result:
    """Show what a rehearsal came to, keep it unless it is too short to count, and say so."""
    for line in text.table(made):
        session.out.say(line)
    said, document = text.conclusion(made), made.to_json()
    if made.verdict is not Verdict.INCONCLUSIVE:  # it must not replace one that counts
        said += f"\nrecord {shown(_kept(session, made, instance))}"
    return Result(said, document, _CODES[made.verdict])


def _kept(session: Session, made: Record, instance: Instance) -> Path:
    try:
        return record.write_record(made, instance.migrate_dir, session.world.files)
    except OSError as error:
        raise ToolkitError(
            f"{record.path_in(instance.migrate_dir)}: {error.strerror}",
            state=f"The rehearsal is over, {made.verdict.value}, and not on record.",
            next_command="invoke rollback.rehearse",
        ) from error


def _alone(session: Session, instance: Instance) -> Session:
    """Return a session in the folder of the rehearsals: a rollback for real never waits for one."""
    return replace(session, target=Target(home=str(clone.folder_of(instance.migrate_dir))))


def _rehearsed(
    session: Session,
    instance: Instance,
    files: dict[ConfigName, bytes | None],
    removing: Removing | None,
    times: int,
) -> Rehearsed:
    out, rounds_text = session.out, f"{times} round{'s' * (times != 1)}"
    out.say(f"REHEARSAL  {rounds_text} on a clone of {instance.name}: ports and state its own")
    with clone.cloned(session.context(instance), files) as made:
        out.say(f"  nothing is sent to a provider: {made.upstream}, on this machine, answers")
        if made.began_back:
            out.say("  it is cut over already: the clone begins on the old path, as before")
        workers = instance.driver.kind == "process"
        if not workers:
            out.say("  as yours is restarted by command, the clone stops and starts when cut over")
        stage = rounds.prepared(made, STREAMS, replace_workers=workers)
        ways = rounds.ways_of(stage)
        if removing is None:
            out.say("  no --manifest: the ways back from phase 3, by git and bundle, are left out")
        else:
            ways |= repository.ways_of(repository.merged(stage, removing))

        def tell(number: int, taken: Sequence[Taken]) -> None:
            out.say(text.round_line(number, times, taken))

        return rounds.rehearse(ways, times, tell)


def _removing(session: Session, instance: Instance, wanted: Wanted) -> Removing | None:
    if not wanted.manifest:
        if wanted.repository:
            raise InvalidInput("--repository belongs to --manifest")
        return None
    where = Path(wanted.repository).expanduser() if wanted.repository else None
    return look(instance, Path(wanted.manifest).expanduser(), where, session.world)


def _cut_over(instance: Instance, files: dict[ConfigName, bytes | None]) -> str:
    """Return the fingerprint of the files as the soft cutover will leave them."""
    inputs = Inputs(
        instance, files, fix=False, replace=True, known_models=(), verification=Verification(),
        cutover=Cutover(gateway_cutover.SOFT),
    )  # fmt: skip
    return gateway_cutover.plan(inputs).fingerprint_after
