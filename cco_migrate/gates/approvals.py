"""What people say of criteria that nothing can measure: a file of JSON lines. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cco_migrate.errors import InvalidInput
from cco_migrate.gates.checked import checked
from cco_migrate.judge.attestations import Attestation


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


def _approval(line: bytes, where: Path) -> tuple[str, Attestation]:
    row = checked(line, where, "gate-approval")
    at, expires = (_time(row[name], name, where) for name in ("at", "expires"))
    approves = row.get("approves", True)
    return row["criterion"], Attestation(row["by"], at, row["scope"], expires, approves)


def _time(text: str, name: str, where: Path) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{where}: {name}: {text!r} is no RFC 3339 time") from error
    if found.tzinfo is None:
        raise InvalidInput(f"{where}: {name}: {text!r} names no offset; write e.g. {text}Z")
    return found
