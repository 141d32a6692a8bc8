"""Delete what is too old, a batch at a time, so that other workers need not wait."""

from __future__ import annotations

import time
from collections.abc import Callable

import apsw

from gateway.store import conversations, links, writing
from gateway.store.rows import transaction

SWEEP_ROWS = 500
"""So many old records are deleted in one transaction."""

_DAY_US = 86_400_000_000

Kind = tuple[Callable[[apsw.Connection, int, int], int], int]
"""What deletes one kind of records, and for how many microseconds they are kept."""

_KINDS: tuple[Kind, ...] = (
    (conversations.forget, conversations.KEPT_US),
    (links.forget_spawns, links.SPAWNS_KEPT_US),
    (links.forget_names, links.NAMES_KEPT_US),
)


def kinds(keep_days: int | None) -> tuple[Kind, ...]:
    """Return what is to be deleted when it is old.

    Args:
        keep_days: Age at which an entry is; None keeps all.
    """
    if keep_days is None:
        return _KINDS
    return (*_KINDS, (writing.delete_before, keep_days * _DAY_US))


def delete_old(connection: apsw.Connection, kind: Kind) -> bool:
    """Delete a batch of a kind; return whether there is more. Raises apsw.Error."""
    delete, keep_us = kind
    with transaction(connection):
        deleted = delete(connection, time.time_ns() // 1000 - keep_us, SWEEP_ROWS)
    return deleted == SWEEP_ROWS
