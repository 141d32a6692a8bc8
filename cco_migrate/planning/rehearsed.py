"""Were the ways back rehearsed, of late, on these files? Asked before phases 2 and 3; reads files.

Without a rehearsal that counts a cutover is refused, unless a person waives it by name.
"""

from __future__ import annotations

from cco_migrate import config
from cco_migrate.context import Context
from cco_migrate.durations import show_duration
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations import Inputs
from cco_migrate.model import JsonObject
from cco_migrate.planning.outlook import REHEARSED
from cco_migrate.planning.preflight import Line, Mark
from cco_migrate.recovery.record import Record, read_record
from cco_migrate.recovery.standing import objection_to
from cco_migrate.rehearsal.settings import max_age

COMMAND = "invoke rollback.rehearse"


def check_rehearsal(inputs: Inputs, context: Context, waived: frozenset[str]) -> list[Line]:
    """Say what the record of the last rehearsal is worth for these files."""
    found = _found(inputs, context)
    if isinstance(found, str):
        return [_refused(found, inputs, waived)]
    times = ", ".join(
        f"by {one.way} {one.p95_s:.1f} s (p95 of {len(one.seconds)})" for one in found.timings
    )
    age = show_duration((context.world.clock.now() - found.origin.at).total_seconds())
    return [Line(Mark.OK, f"ways back rehearsed {age} ago: {times}")]


def relied_on(inputs: Inputs, context: Context) -> JsonObject | None:
    """Return the record of the last rehearsal as it is kept; None when it does not count."""
    found = _found(inputs, context)
    return None if isinstance(found, str) else found.to_json()


def _found(inputs: Inputs, context: Context) -> Record | str:
    """Return the last rehearsal, or why there is none that counts for these files."""
    instance, world = inputs.instance, context.world
    try:
        oldest = max_age(instance.home / "config", world)
        found = read_record(instance.migrate_dir, world.files)
    except InvalidInput as error:
        return str(error)
    if found is None:
        return "the ways back were never rehearsed"
    return objection_to(found, config.fingerprint(inputs.files), world.clock.now(), oldest) or found


def _refused(why: str, inputs: Inputs, waived: frozenset[str]) -> Line:
    if inputs.instance.demo:
        return Line(Mark.NOT_APPLICABLE, f"demo: {why}; elsewhere this is asked for: {COMMAND}")
    if REHEARSED in waived:
        return Line(Mark.WARN, f"{why}; waived by --waive {REHEARSED}")
    return Line(
        Mark.FAIL, f"{why}; rehearse, or accept it with --waive {REHEARSED}", next_command=COMMAND
    )
