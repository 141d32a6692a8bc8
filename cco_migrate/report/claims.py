"""Compares the reports of a run with what its journal gives. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from cco_migrate.model import JsonObject, Plan
from cco_migrate.progress import typed
from cco_migrate.report.conclusions import conclusions
from cco_migrate.report.context import build
from cco_migrate.report.faults import Fault
from cco_migrate.report.manifest import Checksum, Manifest
from cco_migrate.report.rendering import DOCUMENT, TEMPLATES, render
from cco_migrate.report.samples import Stages
from cco_migrate.runs.journal import Entry, replay


def report_faults(
    plan: Plan,
    entries: Sequence[Entry],
    bundle: Mapping[str, bytes],
    manifest: Manifest,
    stages: Stages,
) -> Iterator[Fault]:
    """Say in which line a report was changed, and what it claims that the journal does not."""
    origin = manifest.origin
    told = entries[: origin.journal_lines]
    state = replay(told)
    if state is None:
        return
    changed = [
        name
        for name in (DOCUMENT, *TEMPLATES)
        if name in bundle and manifest.files.get(name) != Checksum.of(bundle[name])
    ]
    written = render(plan, state, origin.version, origin.at, told, stages) if changed else {}
    for name in changed:
        data = typed(written[name], origin.program).encode()
        if manifest.files.get(name) == Checksum.of(data):  # else another version had written it
            line = _first_difference(data, bundle[name])
            yield Fault(name, line, "it was changed after it was written")
    if DOCUMENT in bundle and DOCUMENT not in changed:
        expected = build(plan, state, origin.version, origin.at, stages=stages)
        yield from _claims(bundle[DOCUMENT], expected)


def _claims(data: bytes, expected: JsonObject) -> Iterator[Fault]:
    """Compare what a report concludes with what the journal does."""
    try:
        written = json.loads(data)
        claimed, found = conclusions(written), conclusions(expected)
    except (ValueError, KeyError, TypeError) as error:
        yield Fault(DOCUMENT, None, f"not a readable report ({error!r})")
        return
    for one, other in zip_longest(claimed, found):
        if one != other:
            yield Fault(DOCUMENT, None, f"it says {one}, the journal gives {other}")


def _first_difference(before: bytes, now: bytes) -> int:
    """Return the first line that differs, counted from 1."""
    pairs = zip(before.split(b"\n"), now.split(b"\n"), strict=False)
    same = 0
    for one, other in pairs:
        if one != other:
            break
        same += 1
    return same + 1
