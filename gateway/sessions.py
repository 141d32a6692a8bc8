"""Which model a conversation runs on, asked of the ledger and told to it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict

import apsw

from gateway.store.conversations import ConversationKey, begin, bound_model
from gateway.store.ledger import Ledger

log = logging.getLogger(__name__)

MAX_SEEN = 16_384
LOOK_UP_S = 1.0
"""No request waits longer to learn which model its conversation runs on."""


class Sessions:
    """The conversations of all workers, as one of them sees them.

    Args:
        idle_s: After so many seconds without a request a conversation counts as ended.
    """

    def __init__(self, ledger: Ledger, idle_s: float) -> None:
        self._ledger, self._idle_us = ledger, round(idle_s * 1_000_000)
        self._seen: OrderedDict[ConversationKey, None] = OrderedDict()

    async def model(self, key: ConversationKey) -> str | None:
        """Return the model a live conversation runs on; None when it is new.

        While the ledger cannot be read every conversation counts as one on the model it asks for:
        better an override too few than a conversation that changes its model.
        """
        since_us = time.time_ns() // 1000 - self._idle_us
        try:
            async with asyncio.timeout(LOOK_UP_S):
                return await self._ledger.look_up(lambda file: bound_model(file, key, since_us))
        except (apsw.Error, TimeoutError) as error:
            reason = str(error) or "it takes too long"
            log.warning("conversation kept on its model, the ledger cannot be read: %s", reason)
            return key.requested

    def begun(self, key: ConversationKey, model: str, at_us: int) -> None:
        """Note a request, so that other workers know its conversation before it ends."""
        if key in self._seen:
            self._seen.move_to_end(key)
            return
        self._seen[key] = None
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        self._ledger.enqueue(lambda file: begin(file, key, model, at_us))
