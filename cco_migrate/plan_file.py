"""A plan as a file: canonical JSON under its own SHA-256, refused when one byte differs. Pure."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from cco_migrate import resources
from cco_migrate.editing.documents import Format, index, parse
from cco_migrate.errors import InvalidInput
from cco_migrate.model import Plan, canonical
from cco_migrate.validate import Source, validate
from cco_migrate.verdict import Severity

VERSION = 1
MAKE_ANOTHER = "invoke plan --out FILE"


def encode(plan: Plan) -> bytes:
    """Return the file's bytes; raises ValueError for a plan that does not say what it rests on."""
    if plan.basis is None:
        raise ValueError("a plan without a basis cannot be held against what it rests on")
    row = plan.to_json()
    return canonical({"schema_version": VERSION, "sha256": _sha256(row), "plan": row}) + b"\n"


def decode(data: bytes, path: Path) -> Plan:
    """Return the plan in a file.

    Args:
        path: Named in messages only.

    Raises:
        InvalidInput: It is no plan of this version, or was changed after it was saved.
    """
    document: Any = parse(data, Format.JSON, path)  # Any: JSON
    source = Source(path, data, index(data, Format.JSON))
    found = validate(document, resources.schema("plan"), source)
    if findings := tuple(one for one in found if one.severity is Severity.ERROR):
        said = f"{path} is not a plan this tool can carry out: {findings[0].message}"
        raise InvalidInput(said, findings=findings, next_command=MAKE_ANOTHER)
    if _sha256(document["plan"]) != document["sha256"]:
        raise InvalidInput(
            f"{path} was changed after it was saved: its plan is not the one of its sha256",
            next_command=MAKE_ANOTHER,
        )
    try:
        return Plan.from_json(document["plan"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"{path} is not a plan this tool can carry out: {error}", next_command=MAKE_ANOTHER
        ) from error


def _sha256(row: object) -> str:
    return hashlib.sha256(canonical(row)).hexdigest()
