"""Let an answer's last byte wait for its record, but not longer than a client should notice."""

from __future__ import annotations

import asyncio

from gateway.store.ledger import Ledger

COMMIT_WAIT_S = 0.25
"""Longest time the last byte of an answer waits for its record."""


async def committed(ledger: Ledger, future: asyncio.Future[bool]) -> None:
    """Wait for a record; one that takes too long is counted as late."""
    waiting = future.get_loop().create_future()

    def over(_: object = None) -> None:
        if not waiting.done():
            waiting.set_result(None)

    # As asyncio.wait does it, without what is needed for several: each answer passes here.
    future.add_done_callback(over)
    timer = future.get_loop().call_later(COMMIT_WAIT_S, over)
    try:
        await waiting
    finally:
        timer.cancel()
        future.remove_done_callback(over)
    ledger.late += not future.done()
