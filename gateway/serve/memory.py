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
        used: What is held by all.
    """

    def __init__(self, limit: int) -> None:
        self.used = 0
        self._limit = limit
        self._asked = 0  # numbers those who hold or wait, in the order in which they came
        self._waiting: list[Hold] = []

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def hold(self, granted: Callable[[], object]) -> Hold:
        """Return a holder of nothing yet.

        Args:
            granted: Called each time that it gets what it had to wait for.
        """
        return Hold(self, granted)

    # -- what holders ask

    def grant(self, hold: Hold, size: int) -> bool:
        """Let a holder have `size` bytes in all, now or when its turn comes."""
        if hold.wanted > hold.held:
            return False  # it waits already
        if hold.since is None:
            hold.since = self._asked = self._asked + 1
        hold.wanted = size
        insort(self._waiting, hold, key=_age)
        self._settle(asking=hold)
        return hold.held == size

    def take(self, hold: Hold, size: int) -> None:
        """Let a holder have `size` bytes in all, whether they are there or not."""
        self.used += size - hold.held
        hold.held = hold.wanted = size

    def fits(self, size: int) -> bool:
        """Return whether so many bytes are left, and nobody waits for them."""
        return not self._waiting and self.used + size <= self._limit

    def give_back(self, hold: Hold, keep: int) -> None:
        """Take back from a holder all but `keep` bytes, and let others have it."""
        if hold.wanted > hold.held:
            self._waiting.remove(hold)
        self.used -= hold.held - keep
        hold.held = hold.wanted = keep
        hold.since = hold.since if keep else None
        self._settle()

    # -- helpers

    def _settle(self, asking: Hold | None = None) -> None:
        """Grant what can be granted; who is asking right now is not called back."""
        while self._waiting and (following := self._next()) is not None:
            self._waiting.remove(following)
            self.take(following, following.wanted)
            if following is not asking:
                following.granted()

    def _next(self) -> Hold | None:
        """Return whose turn it is; None while there is no room."""
        first = self._waiting[0]
        for hold in self._waiting:
            room = self.used - hold.held + hold.wanted <= self._limit
            if room and (hold is first or hold.wanted <= SMALL_BYTES):
                return hold
        if self.used > sum(hold.held for hold in self._waiting):
            return None  # somebody can go on, and will give back what it holds
        return next((hold for hold in self._waiting if hold.held), first)


class Hold:
    """What one connection holds, for the request it receives or answers.

    Attributes:
        held: Bytes.
        wanted: Bytes in all that it waits for; the same as `held` while it waits for nothing.
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
            self._budget.take(self, size)

    def try_more(self, size: int) -> bool:
        """Hold `size` bytes beside what is held; return False, and change nothing, without room."""
        if not self._budget.fits(size):
            return False
        self._budget.take(self, self.held + size)
        return True

    def release(self, keep: int = 0) -> None:
        """Hold no more than `keep` bytes, and wait for nothing."""
        if self.wanted > keep:
            self._budget.give_back(self, min(keep, self.held))


def _age(hold: Hold) -> int:
    return hold.since or 0
