"""Let an answer's last byte wait for its record, but not longer than a client should notice."""

from __future__ import annotations

from asyncio import Future

from gateway.store import deadlines
from gateway.store.ledger import Ledger

COMMIT_WAIT_S = deadlines.WAIT_S
"""Longest time the last byte of an answer waits for its record."""


def committed(ledger: Ledger, future: Future[bool]) -> Future[bool]:
    """Return what to wait for: a record, as `record` of this ledger gave it, or until it is late.

    Whoever stops waiting cancels the future; the record is written all the same.
    """
    ledger.wait_for(future)
    return future
