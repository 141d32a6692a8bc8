"""The task that removes old backups, and what it has to keep."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from cco_migrate.backup import retention
from cco_migrate.commands.backup_choice import Consent, store_of
from cco_migrate.errors import InvalidInput
from cco_migrate.runs.journal import Status
from cco_migrate.runs.store import UNFINISHED, Run
from cco_migrate.session import Result, Session, confirm

_DIGEST = re.compile(r"[0-9a-f]{64}")


def backup_prune(session: Session, policy: retention.Policy, consent: Consent) -> Result:
    """Remove old backups; shows them first, and never touches what a way back needs."""
    if policy.keep < 0 or policy.keep_days < 0:
        raise InvalidInput("--keep and --keep-days cannot be negative")
    store = store_of(session)
    if not store.root.is_dir():  # a lock would be all there is
        return Result(
            "nothing to prune", {"schema_version": 1, "removed": [], "kept": {}, "copies": 0}
        )
    with session.locked("backup.prune"):
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
