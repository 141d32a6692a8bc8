"""Verifies the folder of a run offline: every checksum, every chain, every verdict. Reads only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cco_migrate.errors import InvalidInput, ToolkitError, Undecided
from cco_migrate.model import Plan, Step, canonical
from cco_migrate.report import manifest as manifests
from cco_migrate.report.claims import report_faults
from cco_migrate.report.faults import Fault
from cco_migrate.report.manifest import FILENAME, GROWING, Checksum, Manifest
from cco_migrate.report.recomputation import Recomputed, recompute
from cco_migrate.report.samples import looks_of
from cco_migrate.runs.journal import Entry, Event, read_lines
from cco_migrate.soak.log import SoakLog, filename
from cco_migrate.soak.terms import USES as SOAK
from cco_migrate.soak.terms import Soak
from cco_migrate.world import Files

PLAN, JOURNAL = "plan.json", "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Attributes:
        faults: The first one first; empty when everything is as it was written.
        verdicts: Every verdict of the journal, judged again; empty when it cannot be read.
        files: How many files the manifest names.
        seal: Of the manifest; empty when that is damaged.
        notes: What a person should know and is no fault.
    """

    faults: tuple[Fault, ...]
    verdicts: tuple[Recomputed, ...]
    files: int
    seal: str
    notes: tuple[str, ...]


def verify(directory: Path, files: Files) -> Verification:
    """Compare the folder of a run, or a copy of it, with what its manifest and journal say.

    Raises:
        InvalidInput: It is no such folder, or has no manifest to compare with.
        OSError: A file cannot be read.
    """
    data = files.read_if_there(directory / FILENAME)
    if data is None:
        raise InvalidInput(
            f"{directory / FILENAME} does not exist: nothing says what the files were like",
            next_command="invoke report (writes one, of the files as they are now)",
        )
    bundle = {name: files.read(directory / name) for name in manifests.names(directory)}
    try:
        manifest = manifests.parse(data)
    except ValueError as error:
        return Verification((Fault(FILENAME, 1, str(error)),), (), 0, "", ())
    found, verdicts = _content_faults(directory, files, bundle, manifest)
    located = {fault.file for fault in found}
    found += [one for one in _changed(bundle, manifest) if one.file not in located]
    return Verification(
        tuple(found), verdicts, len(manifest.files), manifest.seal, _notes(bundle, manifest)
    )


def _content_faults(
    directory: Path, files: Files, bundle: Mapping[str, bytes], manifest: Manifest
) -> tuple[list[Fault], tuple[Recomputed, ...]]:
    """Return what is wrong in the files, with its place, and the verdicts judged again."""
    try:
        entries, _, _ = read_lines(bundle.get(JOURNAL, b""), Path(JOURNAL))
    except ToolkitError as error:
        return [_placed(JOURNAL, error)], ()
    found: list[Fault] = []
    plan = _plan(bundle, entries, found)
    if plan is None:
        return found, ()
    verdicts = recompute(plan, entries)
    found += [
        Fault(JOURNAL, one.line, f"step {one.step}: {one.fault}") for one in verdicts if one.fault
    ]
    found += _soak_faults(plan, entries, directory, files)
    if len(entries) >= manifest.origin.journal_lines > 0:
        # A soak may have gone on: the report was written of what there was then.
        sizes = {name: one.size_bytes for name, one in manifest.files.items()}
        stages = looks_of(plan, directory, files, sizes)
        found += report_faults(plan, entries, bundle, manifest, stages)
    return found, verdicts


def _plan(bundle: Mapping[str, bytes], entries: Sequence[Entry], found: list[Fault]) -> Plan | None:
    """Return the plan; None, and a fault, when it is not the one that the run began with."""
    try:
        plan = Plan.from_json(json.loads(bundle[PLAN]))
        digest = plan.digest
    except KeyError as error:
        found.append(Fault(PLAN, None, f"it is missing, or lacks {error}"))
        return None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        found.append(Fault(PLAN, None, f"not a readable plan ({error})"))
        return None
    if not entries:
        found.append(Fault(JOURNAL, None, "it is missing or empty"))
        return None
    if entries[0].reason != digest:
        said = f"the plan's digest is {digest}, the journal began with {entries[0].reason}"
        found.append(Fault(PLAN, None, said))
        return None
    return plan


def _soak_faults(
    plan: Plan, entries: Sequence[Entry], directory: Path, files: Files
) -> Iterator[Fault]:
    """Fold the samples of each soak again, and compare with what the journal was told of them."""
    for step in plan.steps:
        if step.uses == SOAK:
            yield from _soak_differs(step, entries, directory, files)


def _soak_differs(
    step: Step, entries: Sequence[Entry], directory: Path, files: Files
) -> Iterator[Fault]:
    name = filename(step.id)
    try:
        log = SoakLog(directory, files, step.id)
    except Undecided as error:
        yield _placed(name, error)
        return
    lines = (files.read_if_there(log.path) or b"").split(b"\n")
    heads = {hashlib.sha256(line).hexdigest() for line in lines}
    for line, entry in enumerate(entries, 1):
        if entry.event is not Event.JUDGED or entry.step != step.id:
            continue
        told = entry.data["evidence"]
        head = told["samples"]["head"]
        if head not in heads:
            yield Fault(JOURNAL, line, f"{name} has no line of hash {head}")
        elif head == log.head and log.closed is not None and log.evidence is not None:
            found = log.evidence.statistics(Soak.from_json(step.params), log.closed.at)
            if canonical(found) != canonical(told["statistics"]):
                yield Fault(JOURNAL, line, f"its statistics are not those of {name}")


def _changed(bundle: Mapping[str, bytes], manifest: Manifest) -> Iterator[Fault]:
    for name, known in manifest.files.items():
        data = bundle.get(name)
        if data is None:
            yield Fault(name, None, "it is missing")
            continue
        kept = data[: known.size_bytes] if name.endswith(GROWING) else data
        if (now := Checksum.of(kept)) != known:
            yield Fault(name, None, f"its SHA-256 is {now.sha256}, it was {known.sha256}")


def _notes(bundle: Mapping[str, bytes], manifest: Manifest) -> tuple[str, ...]:
    notes = [f"{name} is not in the manifest" for name in bundle if name not in manifest.files]
    for name in sorted(bundle.keys() & manifest.files.keys()):
        if not name.endswith(GROWING):
            continue
        lines = bundle[name][manifest.files[name].size_bytes :].count(b"\n")
        if lines:
            notes.append(f"{name} has {lines} lines from after the manifest")
    return tuple(notes)


def _placed(name: str, error: ToolkitError) -> Fault:
    """Return the fault an error tells, whose message names file and line first."""
    _, _, rest = str(error).partition(f"{name}:")
    line, _, said = rest.partition(":")
    return Fault(name, int(line), said.strip())
