"""The looks of a run's soaks, read from their evidence files beside the journal. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from cco_migrate.errors import Undecided
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.model import Plan
from cco_migrate.soak.evidence import Look
from cco_migrate.soak.log import SoakLog
from cco_migrate.soak.terms import USES as SOAK
from cco_migrate.world import Files

Looks = tuple[Look, ...] | Unmeasured
"""All looks in their order, or why they cannot be read."""


def looks_of(
    plan: Plan, directory: Path, files: Files, sizes: Mapping[str, int] | None = None
) -> Looks:
    """Return every look of the run in a folder, soak by soak; empty when there was none.

    Unmeasured names the line of a file that is damaged: then nothing is drawn.

    Args:
        sizes: Up to which byte a file is read, by name; what is not named is read whole.
    """
    soaks = [step.id for step in plan.steps if step.uses == SOAK]
    try:
        logs = [SoakLog(directory, files, name) for name in soaks]  # proves the chains
    except Undecided as error:
        return Unmeasured(str(error))
    known = sizes or {}
    found = ((log.path, files.read_if_there(log.path) or b"") for log in logs)
    return tuple(
        look for path, data in found for look in _looks(data[: known.get(path.name, len(data))])
    )


def _looks(data: bytes) -> Iterator[Look]:
    *lines, _torn = data.split(b"\n")
    for row in map(json.loads, lines):
        if row["kind"] == "look":
            yield Look.from_json(row["data"])
