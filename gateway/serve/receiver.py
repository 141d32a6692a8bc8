"""The receiving side of one connection: from pieces to requests, within time and memory. Pure."""

from __future__ import annotations

from .head_memory import HeadMemory
from .limits import Limits
from .memory import Hold
from .request_parser import Inbound, Phase, Refusal, RequestParser

RETRY_AFTER_S = 5
"""What a client is told whose body there was no memory for."""

_UNREAD_BYTES = 64 << 10  # kept while a request is being answered; above it TCP holds the rest
_SLICE_BYTES = 64 << 10  # bounds how many pipelined requests are parsed ahead

# Python 3.11 looks up an enum's member by way of its metaclass, and these are needed per request.
_IDLE, _HEAD, _BODY, _ = Phase


class Receiver:
    """Takes what arrives on a connection and returns it as requests.

    A body is read on only while there is memory for it, see `Hold`: what is known to come is asked
    for before it comes. Times are those of the event loop, in seconds.

    Attributes:
        moved_at: When something arrived last, or the client's turn to send began.
        unread: What has arrived that no request was looked for in yet; the connection adds to it.
        waits_since: Since when nothing is to be read from the client, for want of memory; None
            when there is enough.
    """

    __slots__ = (
        "_body_at",
        "_hold",
        "_limits",
        "_parser",
        "moved_at",
        "unread",
        "waits_since",
    )

    def __init__(
        self, limits: Limits, hold: Hold, now: float, heads: HeadMemory | None = None
    ) -> None:
        self._limits, self._hold = limits, hold
        self._parser = RequestParser(limits, hold, heads)
        self.unread = b""
        self.moved_at = self._body_at = now
        self.waits_since: float | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing has arrived of a next request."""
        parser = self._parser
        return not (self.unread or parser.ready) and parser.phase is _IDLE

    @property
    def partial(self) -> bool:
        """Whether a request has begun to arrive, or bytes are unread."""
        return bool(self.unread) or self._parser.phase in (_HEAD, _BODY)

    @property
    def full(self) -> bool:
        """Whether no more is to be read from the client while a request is being answered."""
        return len(self.unread) > _UNREAD_BYTES

    def next(self, now: float) -> Inbound | Refusal | None:
        """Return the next request; None when more has to arrive for it, or memory is missing.

        The caller takes memory for a request, and releases it when it has been answered.
        """
        parser = self._parser
        ready, phase = parser.ready, parser.phase
        while not ready and (phase is not _BODY or self._has_room(now)) and self.unread:
            data, before = self.unread, phase
            self.unread = b""
            if len(data) > _SLICE_BYTES:
                data, self.unread = data[:_SLICE_BYTES], data[_SLICE_BYTES:]
            parser.feed(data, now)
            phase = parser.phase
            if phase is not before or phase is _BODY:
                self._note_progress(before, now)
        return ready.popleft() if ready else None

    def invites(self) -> bool:
        """Return whether to send `100 Continue` now; true once for each request that asks."""
        parser = self._parser
        wanted = parser.expects_continue and parser.phase is _BODY
        if not wanted or self.unread or self.waits_since is not None:
            return False
        parser.expects_continue = False
        return True

    def answered(self, now: float) -> bool:
        """Note that the request before is over: the next one's time counts from here.

        Returns whether anything of the next one has arrived.
        """
        self.moved_at = self._body_at = now
        parser = self._parser
        return bool(self.unread or parser.ready or parser.phase is not _IDLE)

    def clear(self) -> None:
        """Forget what is unread."""
        self.unread = b""

    def check(self, now: float) -> None:
        """Give up on a request that takes too long; `next` then returns its refusal."""
        limits, parser, waited_s = self._limits, self._parser, now - self.moved_at
        if self.waits_since is not None:
            if now - self.waits_since > limits.memory_wait_s:
                text = "the gateway has no memory left for this request's body; try again later"
                self._give_up(503, text, RETRY_AFTER_S)
        elif parser.phase is _HEAD and waited_s > limits.head_timeout_s:
            self._give_up(408, "the request's head did not arrive in time")
        elif parser.phase is _BODY and waited_s > limits.body_idle_timeout_s:
            self._give_up(408, "the request's body stopped arriving")
        elif parser.phase is _BODY and self._is_slow(now - self._body_at):
            self._give_up(408, "the request's body arrives too slowly")

    # -- helpers

    def _note_progress(self, before: Phase, now: float) -> None:
        self.moved_at = now  # a head's time is counted from its first byte only
        if self._parser.phase is _BODY and before is not _BODY:
            self._body_at = now

    def _has_room(self, now: float) -> bool:
        """Return whether there is memory for the body under way; if not, wait for it."""
        if not self._hold.ask(self._parser.body_room):
            if self.waits_since is None:
                self.waits_since = now
            return False
        if self.waits_since is not None:  # the time spent waiting was not the client's
            self.waits_since = None
            self.moved_at = self._body_at = now
        return True

    def _is_slow(self, taken_s: float) -> bool:
        limits = self._limits
        due_s = self._parser.body_bytes / limits.body_bytes_per_s
        return taken_s > limits.body_idle_timeout_s + due_s

    def _give_up(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        self.waits_since = None
        self._hold.release()
        self._parser.refuse(status, message, retry_after_s)
