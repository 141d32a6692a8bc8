"""How much each client may ask for: requests, tokens, and exchanges at once. Pure.

A limit per minute is a token bucket that holds one minute's worth. All there is to know about it is
the moment at which it will be full again: one whole number, so workers can share a bucket as one
word of memory. Two that decide in the same microsecond may let one request too many through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.config.settings import LimitSettings
from gateway.errors import RequestError
from gateway.wire.usage import Usage

MAX_RETRY_AFTER_S = 60
"""Told to stay away for longer, clients give up."""

_SECOND_NS = 10**9
_MINUTE_NS = 60 * _SECOND_NS
_MAX_DEBT_NS = 60 * _MINUTE_NS  # an answer with an absurd count must not lock its client out
_BUSY_NS = _SECOND_NS  # when an exchange will end is not known

_BUCKETS = 3
_REQUESTS, _ASIDES, _TOKENS = range(_BUCKETS)


class Limit(StrEnum):
    """What can be limited."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENCY = "concurrency"


class Cells(Protocol):
    """Numbered places for whole numbers, 0 at first."""

    def __getitem__(self, index: int, /) -> int:
        """Return the number at a place."""

    def __setitem__(self, index: int, value: int, /) -> None:
        """Change it."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker has of the buckets of all.

    Attributes:
        cells: As many as `cells_needed`.
        slot: Its place among the workers that share the cells, from 0.
    """

    cells: Cells
    slot: int
    workers: int


class OverLimit(RequestError):
    """A client is over one of its limits: 429 with `retry-after`."""

    def __init__(self, limit: Limit, message: str, wait_ns: int) -> None:
        self.limit = limit
        wait_s = max(1, min(MAX_RETRY_AFTER_S, -(-wait_ns // _SECOND_NS)))
        headers = ((b"retry-after", b"%d" % wait_s),)
        text = f"{message}; try again in {wait_s} s"
        super().__init__(429, "rate_limit_error", text, headers=headers)


def cells_needed(clients: int, workers: int) -> int:
    """Return how many cells so many workers need; everybody without a name is one client."""
    return clients * (_BUCKETS + workers)


class RateLimiter:
    """Lets requests in, or not. A request that is refused draws nothing.

    Attributes:
        limits_some: Whether there is a limit for anybody.
    """

    def __init__(
        self,
        limits: Mapping[str | None, LimitSettings],
        share: Share,
        clock: Callable[[], int],
        on_refusal: Callable[[Limit], None] = lambda _: None,
    ) -> None:
        """Begin with no exchange open in this worker's slot, whoever had it before.

        Args:
            limits: By client, in an order all workers agree on; None is everybody without a name.
            clock: Steady, the same in all workers, in nanoseconds.
            on_refusal: Told each time that a request is not let in.
        """
        size = cells_needed(1, share.workers)
        self._clients = {
            name: _Client(name, entry, share, at * size)
            for at, (name, entry) in enumerate(limits.items())
            if entry != LimitSettings()
        }
        self.limits_some = bool(self._clients)
        self._clock, self._on_refusal = clock, on_refusal
        self._unlimited = Admission(None, clock)

    def admit(self, client: str | None, *, aside: bool = False) -> Admission:
        """Let a request in; the caller must release what is returned.

        Args:
            client: Its name; None without one.
            aside: Whether the request generates nothing (token counts, lists of models). Such
                requests draw on a bucket of their own, of the same size, and never on tokens.

        Raises OverLimit.
        """
        found = self._clients.get(client)
        if found is None:
            return self._unlimited
        try:
            found.enter(self._clock(), aside=aside)
        except OverLimit as refusal:
            self._on_refusal(refusal.limit)
            raise
        return Admission(found, self._clock)


class Admission:
    """One request that was let in."""

    __slots__ = ("_client", "_clock")

    def __init__(self, client: _Client | None, clock: Callable[[], int]) -> None:
        self._client, self._clock = client, clock

    def charge(self, usage: Usage) -> None:
        """Draw the tokens an answer has taken: input, output and what was written to a cache.

        What was read from a prompt cache is free, as it is under the providers' own limits. When
        the bucket holds less, the client is let in again once it has made up for it.
        """
        if self._client is not None:
            written = usage.cache_write_tokens
            tokens = usage.input_tokens + usage.output_tokens + written
            self._client.charge(tokens, self._clock())

    def release(self) -> None:
        """Say that the exchange is over. Idempotent."""
        client, self._client = self._client, None
        if client is not None:
            client.leave()


class _Client:
    """One client's limits, and where its buckets and its open exchanges are counted."""

    def __init__(self, name: str | None, limits: LimitSettings, share: Share, first: int) -> None:
        self._who = "this gateway" if name is None else f'client "{name}"'
        self._limits, self._cells, self._first = limits, share.cells, first
        self._open = range(first + _BUCKETS, first + _BUCKETS + share.workers)
        self._own = self._open[share.slot]
        self._cells[self._own] = 0

    def enter(self, now: int, *, aside: bool) -> None:
        self._check_open()
        if not aside:
            self._check_tokens(now)
        self._draw_request(_ASIDES if aside else _REQUESTS, now)
        self._cells[self._own] += 1

    def charge(self, tokens: int, now: int) -> None:
        limit = self._limits.tokens_per_minute
        if limit is not None:
            full_at = self._full_at(_TOKENS, now) + tokens * _MINUTE_NS // limit
            self._cells[self._first + _TOKENS] = min(full_at, now + _MAX_DEBT_NS)

    def leave(self) -> None:
        self._cells[self._own] -= 1

    def _check_open(self) -> None:
        most = self._limits.concurrent_requests
        if most is not None and sum(self._cells[place] for place in self._open) >= most:
            raise self._over(Limit.CONCURRENCY, f"{most} requests at once", _BUSY_NS)

    def _check_tokens(self, now: int) -> None:
        """Refuse while the bucket is empty: what an answer will take is not known before."""
        limit = self._limits.tokens_per_minute
        missing_ns = self._full_at(_TOKENS, now) - now
        if limit is not None and missing_ns >= _MINUTE_NS:
            wait_ns = missing_ns - _MINUTE_NS + 1
            raise self._over(Limit.TOKENS, f"{limit} tokens a minute", wait_ns)

    def _draw_request(self, bucket: int, now: int) -> None:
        limit = self._limits.requests_per_minute
        if limit is None:
            return
        full_at = self._full_at(bucket, now) + _MINUTE_NS // limit
        wait_ns = full_at - now - _MINUTE_NS
        if wait_ns > 0:
            raise self._over(Limit.REQUESTS, f"{limit} requests a minute", wait_ns)
        self._cells[self._first + bucket] = full_at

    def _full_at(self, bucket: int, now: int) -> int:
        return max(self._cells[self._first + bucket], now)

    def _over(self, limit: Limit, what: str, wait_ns: int) -> OverLimit:
        return OverLimit(limit, f"{self._who} is limited to {what}", wait_ns)
