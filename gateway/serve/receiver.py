"""The receiving side of one connection: from pieces to requests, within time and memory. Pure."""

from __future__ import annotations

from collections import deque

from .memory import Hold
from .request_parser import Inbound, Limits, Phase, Refusal, RequestParser

RETRY_AFTER_S = 5
"""What a client is told whose body there was no memory for."""

_UNREAD_BYTES = 64 << 10  # kept while a request is being answered; above it TCP holds the rest
_SLICE_BYTES = 64 << 10  # bounds how many pipelined requests are parsed ahead


class Receiver:
    """Takes what arrives on a connection and returns it as requests.

    A body is read on only while there is memory for it, see `Hold`: what is known to come is asked
    for before it comes. Times are those of the event loop, in seconds.

    Attributes:
        moved_at: When something arrived last, or the client's turn to send began.
    """

    def __init__(self, limits: Limits, hold: Hold, now: float) -> None:
        self._limits, self._hold = limits, hold
        self._parser = RequestParser(limits, hold)
        self._unread: deque[bytes | memoryview] = deque()
        self._unread_bytes = 0
        self.moved_at = self._body_at = now
        self._asked_at: float | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing has arrived of a next request."""
        return not self._unread and self._parser.phase is Phase.IDLE

    @property
    def partial(self) -> bool:
        """Whether a request has begun to arrive, or bytes are unread."""
        return bool(self._unread) or self._parser.phase in (Phase.HEAD, Phase.BODY)

    @property
    def waits_for_memory(self) -> bool:
        """Whether nothing is to be read from the client until the hold is granted."""
        return self._asked_at is not None

    @property
    def full(self) -> bool:
        """Whether no more is to be read from the client while a request is being answered."""
        return self._unread_bytes > _UNREAD_BYTES

    def keep(self, data: bytes) -> None:
        """Take what has arrived."""
        if len(data) <= _SLICE_BYTES:
            self._unread.append(data)
        else:
            view = memoryview(data)
            for start in range(0, len(data), _SLICE_BYTES):
                self._unread.append(view[start : start + _SLICE_BYTES])
        self._unread_bytes += len(data)

    def next(self, now: float) -> Inbound | Refusal | None:
        """Return the next request; None when more has to arrive for it, or memory is missing.

        What a request holds is released by the caller when it has been answered.
        """
        parser, ready = self._parser, self._parser.ready
        while not ready and (parser.phase is not Phase.BODY or self._has_room(now)):
            if not self._unread:
                break
            data = self._unread.popleft()
            self._unread_bytes -= len(data)
            self._feed(data, now)
        if not ready:
            return None
        found = ready.popleft()
        if isinstance(found, Inbound):
            self._hold.take(len(found.request.body))
        return found

    def invites(self) -> bool:
        """Return whether to send `100 Continue` now; true once for each request that asks."""
        parser = self._parser
        wanted = parser.expects_continue and parser.phase is Phase.BODY
        if not wanted or self._unread or self.waits_for_memory:
            return False
        parser.expects_continue = False
        return True

    def answered(self, now: float) -> None:
        """Note that the request before is over: the next one's time counts from here."""
        self.moved_at = self._body_at = now

    def clear(self) -> None:
        """Forget what is unread."""
        self._unread.clear()
        self._unread_bytes = 0

    def check(self, now: float) -> None:
        """Give up on a request that takes too long; `next` then returns its refusal."""
        limits, parser, waited_s = self._limits, self._parser, now - self.moved_at
        if self._asked_at is not None:
            if now - self._asked_at > limits.memory_wait_s:
                text = "the gateway has no memory left for this request's body; try again later"
                self._give_up(503, text, RETRY_AFTER_S)
        elif parser.phase is Phase.HEAD and waited_s > limits.head_timeout_s:
            self._give_up(408, "the request's head did not arrive in time")
        elif parser.phase is Phase.BODY and waited_s > limits.body_idle_timeout_s:
            self._give_up(408, "the request's body stopped arriving")
        elif parser.phase is Phase.BODY and self._is_slow(now - self._body_at):
            self._give_up(408, "the request's body arrives too slowly")

    # -- helpers

    def _feed(self, data: bytes | memoryview, now: float) -> None:
        before = self._parser.phase
        self._parser.feed(data, now)
        phase = self._parser.phase
        if phase is not before or phase is Phase.BODY:
            self.moved_at = now  # a head's time is counted from its first byte only
        if phase is Phase.BODY and before is not Phase.BODY:
            self._body_at = now

    def _has_room(self, now: float) -> bool:
        """Return whether there is memory for the body under way; if not, wait for it."""
        if not self._hold.ask(self._parser.body_room):
            if self._asked_at is None:
                self._asked_at = now
            return False
        if self._asked_at is not None:  # the time spent waiting was not the client's
            self._asked_at = None
            self.moved_at = self._body_at = now
        return True

    def _is_slow(self, taken_s: float) -> bool:
        limits = self._limits
        due_s = self._parser.body_bytes / limits.body_bytes_per_s
        return taken_s > limits.body_idle_timeout_s + due_s

    def _give_up(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        self._asked_at = None
        self._hold.release()
        self._parser.refuse(status, message, retry_after_s)
