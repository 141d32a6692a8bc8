"""Does a rehearsal still count, for these files, today? Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from cco_migrate.durations import show_duration
from cco_migrate.recovery.record import Record
from cco_migrate.recovery.ways import ROUNDS
from cco_migrate.verdict import Verdict


def objection_to(found: Record, fingerprint: str, now: datetime, oldest: timedelta) -> str:
    """Return why a rehearsal does not count; "" when it does.

    Args:
        fingerprint: Of the configuration files as they are.
        now: Aware.
        oldest: How old it may be.
    """
    age = now - found.origin.at
    if found.verdict is Verdict.NO_GO:
        return f"the last rehearsal was NO-GO: {'; '.join(found.shortfalls)}"
    if found.verdict is not Verdict.GO:
        return f"the last rehearsal had {found.rounds} of {ROUNDS} rounds"
    if fingerprint not in {found.origin.fingerprint, found.origin.cut_over}:
        made_of = f"{found.origin.fingerprint}; the files are {fingerprint} now"
        return f"the ways back were rehearsed with other files, {made_of}"
    if age < timedelta(0):
        return f"the last rehearsal is of {found.origin.at.isoformat()}: is the clock right?"
    if age > oldest:
        ages = [show_duration(one.total_seconds()) for one in (age, oldest)]
        return f"the last rehearsal is {ages[0]} old, at most {ages[1]} are allowed"
    return ""
