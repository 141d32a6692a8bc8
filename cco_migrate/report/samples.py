"""The looks of a run's soaks, read from their evidence files beside the journal. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from cco_migrate.errors import Undecided
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.model import Plan
from cco_migrate.report.lines import Stage
from cco_migrate.soak.log import SoakLog
from cco_migrate.soak.looks import Look
from cco_migrate.soak.terms import USES as SOAK
from cco_migrate.world import Files

Stages = tuple[Stage, ...] | Unmeasured
"""All soaks in their order, or why they cannot be read."""


def looks_of(
    plan: Plan, directory: Path, files: Files, sizes: Mapping[str, int] | None = None
) -> Stages:
    """Return every look of the run in a folder, soak by soak; those without one are left out.

    Unmeasured names the line of a file that is damaged: then nothing is drawn.

    Args:
        sizes: Up to which byte a file is read, by name; what is not named is read whole.
    """
    soaks = [step for step in plan.steps if step.uses == SOAK]
    found, known = [], sizes or {}
    for step in soaks:
        try:
            path = SoakLog(directory, files, step.id).path  # proves the chain
        except Undecided as error:
            return Unmeasured(str(error))
        data = files.read_if_there(path) or b""
        looks = tuple(_looks(data[: known.get(path.name, len(data))]))
        if looks:
            found.append(Stage(step.title if len(soaks) > 1 else "", looks))
    return tuple(found)


def _looks(data: bytes) -> Iterator[Look]:
    *lines, _torn = data.split(b"\n")
    for row in map(json.loads, lines):
        if row["kind"] == "look":
            yield Look.from_json(row["data"])
