"""What people say of criteria that nothing can measure: a file of JSON lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cco_migrate.errors import InvalidInput
from cco_migrate.gates.checked import checked
from cco_migrate.gates.phases import PHASES, TABLE
from cco_migrate.judge.attestations import Attestation
from cco_migrate.judge.criterion import Kind
from cco_migrate.model import canonical

COUNTED = ("complaints",)
"""Ids of the criteria that a person answers with figures: how many, of how many."""

ATTESTED = (
    *(name for name, one in TABLE.items() if one.kind is Kind.ATTESTATION),
    *COUNTED,
)
"""Ids of the criteria that only a person can answer."""

FILENAME = "approvals.jsonl"
"""Name of the file of a state root, beside its runs, that gates read unless another is named."""

_SCOPE = re.compile(rf"phase-[{min(PHASES)}-{max(PHASES)}]:[^\s:]+")


def read_approvals(data: bytes, path: Path) -> Mapping[str, tuple[Attestation, ...]]:
    """Return the attestations of a file by criterion.

    Raises:
        InvalidInput: A line is none; with its number and what to write.
    """
    found: dict[str, tuple[Attestation, ...]] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            name, one = _approval(line, Path(f"{path}:{number}"))
            found[name] = (*found.get(name, ()), one)
    return found


def is_asked_for(scope: str) -> bool:
    """Return whether a scope has the form in which gates ask: phase-N:FINGERPRINT."""
    return _SCOPE.fullmatch(scope) is not None


def approval_line(criterion: str, word: Attestation) -> bytes:
    """Return the line that `read_approvals` reads back.

    Raises:
        InvalidInput: No gate asks for such a criterion or scope: nobody would ever read the line.
    """
    if criterion not in ATTESTED:
        raise InvalidInput(f"--gate {criterion}: unknown; there is: {', '.join(ATTESTED)}")
    if not is_asked_for(word.scope):
        raise InvalidInput(
            f"--scope {word.scope}: no gate asks for it; write phase-N:FINGERPRINT, "
            "as the gate names it beside the criterion"
        )
    if fault := _count_fault(criterion, word.counted):
        raise InvalidInput(f"--gate {criterion}: {fault}")
    row: dict[str, object] = {
        "criterion": criterion,
        "by": word.by,
        "at": word.at.isoformat(),
        "scope": word.scope,
        "expires": word.expires.isoformat(),
    }
    if word.counted is not None:
        row |= dict(zip(("count", "of"), word.counted, strict=True))
    return canonical(row if word.approves else {**row, "approves": False}) + b"\n"


def _approval(line: bytes, where: Path) -> tuple[str, Attestation]:
    row = checked(line, where, "gate-approval")
    at, expires = (_time(row[name], name, where) for name in ("at", "expires"))
    counted = (row["count"], row["of"]) if {"count", "of"} <= row.keys() else None
    if fault := _count_fault(row["criterion"], counted):
        raise InvalidInput(f"{where}: {row['criterion']}: {fault}")
    approves = row.get("approves", True)
    return row["criterion"], Attestation(row["by"], at, row["scope"], expires, approves, counted)


def _count_fault(criterion: str, counted: tuple[int, int] | None) -> str:
    """Return what is wrong with the figures of a word; empty when nothing is."""
    if criterion not in COUNTED:
        return "" if counted is None else "it takes a word, no figures"
    if counted is None:
        return "say how many, of how many active users: --count N --of USERS"
    count, of = counted
    return "" if 0 <= count <= of and of else f"{count} of {of} cannot be"


def _time(text: str, name: str, where: Path) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{where}: {name}: {text!r} is no RFC 3339 time") from error
    if found.tzinfo is None:
        raise InvalidInput(f"{where}: {name}: {text!r} names no offset; write e.g. {text}Z")
    return found
