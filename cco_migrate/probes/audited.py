"""What an audit record is to the toolkit, and whose requests are real ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

LONGEST_REQUEST_S = 900.0
"""A record is written when its request ends: so long after its arrival one is still looked for."""

OWN_CLIENT = "cco-migrate verification"
"""What the user agent of every request of the toolkit says."""

_ASIDE = "count_tokens"  # it asks no model

Record = Mapping[str, Any]  # Any: JSON


def real(records: Iterable[Record]) -> tuple[Record, ...]:
    """Return the records of requests to a model that are not the toolkit's own."""
    return tuple(
        row for row in records
        if row.get("endpoint") != _ASIDE and OWN_CLIENT not in str(row.get("client") or "")
    )  # fmt: skip
