"""Were the ways back rehearsed, of late, on these files? Asked before phases 2 and 3; reads files.

Without a rehearsal that counts a cutover is refused, unless a person waives it by name.
"""

from __future__ import annotations

from cco_migrate import config
from cco_migrate.context import Context
from cco_migrate.durations import show_duration
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations import Inputs
from cco_migrate.planning.outlook import REHEARSED
from cco_migrate.planning.preflight import Line, Mark
from cco_migrate.recovery.record import read_record
from cco_migrate.recovery.standing import objection_to
from cco_migrate.rehearsal.settings import max_age

COMMAND = "invoke rollback.rehearse"


def check_rehearsal(inputs: Inputs, context: Context, waived: frozenset[str]) -> list[Line]:
    """Say what the record of the last rehearsal is worth for these files."""
    instance, world = inputs.instance, context.world
    try:
        oldest = max_age(instance.home / "config", world)
        found = read_record(instance.migrate_dir, world.files)
    except InvalidInput as error:
        return [_refused(str(error), inputs, waived)]
    if found is None:
        return [_refused("the ways back were never rehearsed", inputs, waived)]
    now = world.clock.now()
    why = objection_to(found, config.fingerprint(inputs.files), now, oldest)
    if why:
        return [_refused(why, inputs, waived)]
    times = ", ".join(
        f"by {one.way} {one.p95_s:.1f} s (p95 of {len(one.seconds)})" for one in found.timings
    )
    age = show_duration((now - found.origin.at).total_seconds())
    return [Line(Mark.OK, f"ways back rehearsed {age} ago: {times}")]


def _refused(why: str, inputs: Inputs, waived: frozenset[str]) -> Line:
    if inputs.instance.demo:
        return Line(Mark.NOT_APPLICABLE, f"demo: {why}; elsewhere this is asked for: {COMMAND}")
    if REHEARSED in waived:
        return Line(Mark.WARN, f"{why}; waived by --waive {REHEARSED}")
    return Line(
        Mark.FAIL, f"{why}; rehearse, or accept it with --waive {REHEARSED}", next_command=COMMAND
    )
