"""What the request bodies and buffered answers of one process may take in memory in all. Pure.

Who asks for more than is left waits for its turn. Waiting never becomes a deadlock: a body of known
length is granted whole before any of it is read, so nobody waits with a part of it in hand. A body
of unknown length grows, and may have to wait with a part in hand; when all that is held is held by
such bodies, nobody would ever give anything back, so the oldest of them goes on beyond the limit.
Everybody else waits then until it has ended: the limit is exceeded by one body at most. What an
answer asks for is granted at once or not at all.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable

SMALL_BYTES = 64 << 10
"""A body up to this size does not wait behind larger ones when there is room for it."""


class MemoryBudget:
    """Bytes that are shared out to connections.

    Attributes:
        limit: What may be held by all.
        used: What is held by all.
        queue: Who waits, in the order in which they came.
    """

    __slots__ = ("_asked", "limit", "queue", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.queue: list[Hold] = []
        self._asked = 0  # numbers those who hold or wait, in the order in which they came

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self.queue)

    def hold(self, granted: Callable[[], object]) -> Hold:
        """Return a holder of nothing yet.

        Args:
            granted: Called each time that it gets what it had to wait for.
        """
        return Hold(self, granted)

    # -- what holders ask

    def grant(self, hold: Hold, size: int) -> bool:
        """Let a holder have `size` bytes in all, now or when its turn comes."""
        if hold.wanted:
            return False  # it waits already
        if hold.since is None:
            hold.since = self._asked = self._asked + 1
        hold.wanted = size
        insort(self.queue, hold, key=_age)
        self.settle(asking=hold)
        return hold.held == size

    def settle(self, asking: Hold | None = None) -> None:
        """Grant what can be granted; who is asking right now is not called back."""
        while self.queue and (following := self._next()) is not None:
            self.queue.remove(following)
            following.take(following.wanted)
            following.wanted = 0
            if following is not asking:
                following.granted()

    # -- helpers

    def _next(self) -> Hold | None:
        """Return whose turn it is; None while there is no room."""
        first = self.queue[0]
        for hold in self.queue:
            room = self.used - hold.held + hold.wanted <= self.limit
            if room and (hold is first or hold.wanted <= SMALL_BYTES):
                return hold
        if self.used > sum(hold.held for hold in self.queue):
            return None  # somebody can go on, and will give back what it holds
        return next((hold for hold in self.queue if hold.held), first)


class Hold:
    """What one connection holds, for the request it receives or answers.

    Attributes:
        held: Bytes.
        wanted: Bytes in all that it waits for; 0 while it waits for nothing.
        since: Its age among all holders; None while it holds nothing and waits for nothing.
        granted: Told when it need not wait any longer.
    """

    __slots__ = ("_budget", "granted", "held", "since", "wanted")

    def __init__(self, budget: MemoryBudget, granted: Callable[[], object]) -> None:
        self.held = self.wanted = 0
        self.since: int | None = None
        self.granted = granted
        self._budget = budget

    def ask(self, size: int) -> bool:
        """Hold `size` bytes in all; when that is not possible yet, `granted` is called later."""
        return size <= self.held or self._budget.grant(self, size)

    def take(self, size: int) -> None:
        """Hold at least `size` bytes in all: they are in memory already."""
        if size > self.held:
            self._budget.used += size - self.held
            self.held = size

    def try_more(self, size: int) -> bool:
        """Hold `size` bytes beside what is held; return False, and change nothing, without room."""
        budget = self._budget
        used = budget.used + size
        if budget.queue or used > budget.limit:
            return False
        budget.used = used
        self.held += size
        return True

    def release(self, keep: int = 0) -> None:
        """Hold no more than `keep` bytes, and wait for nothing."""
        budget = self._budget
        if self.held > keep:
            budget.used -= self.held - keep
            self.held = keep
        if self.since is not None:  # it has asked, and may be waiting
            if self.wanted:
                budget.queue.remove(self)
                self.wanted = 0
            if not self.held:
                self.since = None
        if budget.queue:
            budget.settle()


def _age(hold: Hold) -> int:
    return hold.since or 0
