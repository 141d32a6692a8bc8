"""The seam between HTTP framing and everything above it: what a handler is given. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cached_property, wraps
from typing import Any, Protocol, TypeVar

import msgspec

Header = tuple[bytes, bytes]
T = TypeVar("T")


def first_values(headers: Sequence[Header]) -> Mapping[bytes, bytes]:
    """Return the first value of each header, by its name in lower case."""
    return dict(reversed(headers))


def all_values(
    headers: Sequence[Header], first: Mapping[bytes, bytes], name: bytes
) -> tuple[bytes, ...]:
    """Return every value of a header, in order.

    Args:
        first: What `first_values` returned for these headers.
    """
    if name not in first:
        return ()
    if len(first) == len(headers):  # none stands twice
        return (first[name],)
    return tuple([value for key, value in headers if key == name])


class Memory(Protocol):
    """What one exchange may keep in memory; it is given back when the handler returns."""

    def try_more(self, size: int) -> bool:
        """Ask for `size` bytes beside the request's; False when there is no room for them."""


class _Unbounded:
    def try_more(self, size: int) -> bool:
        return True


UNBOUNDED: Memory = _Unbounded()
"""For requests that nobody else has to make room for."""


class Head(msgspec.Struct, frozen=True, dict=True, eq=False):
    """The line and the headers of a request, and what was found out from them alone.

    A client sends the same head again and again: the parser then hands out the same object, and
    what `per_head` functions found out about it is there already.

    Attributes:
        method: Upper-case, as received.
        target: Path and query, byte for byte as received (origin form).
        headers: In the order received; names in lower case, values stripped of outer blanks.
            Without Content-Length, whose value is the length of the body.
        notes: What `per_head` functions returned, by function.
    """

    method: bytes
    target: bytes
    headers: tuple[Header, ...]
    notes: dict[object, Any] = msgspec.field(default_factory=dict)  # Any: a type for each function

    @cached_property
    def path(self) -> bytes:
        """The target up to its query."""
        return self.target.partition(b"?")[0]

    @cached_property
    def first(self) -> Mapping[bytes, bytes]:
        """The first value of each header."""
        return first_values(self.headers)


def per_head(read: Callable[[Head], T]) -> Callable[[Head], T]:
    """Return a pure function of a head, made to find its answer on a head it has seen."""

    @wraps(read)
    def noted(head: Head) -> Any:  # Any: a T; its notes are of many types
        try:
            return head.notes[read]
        except KeyError:
            found = head.notes[read] = read(head)
            return found

    return noted


class Request(msgspec.Struct, frozen=True):
    """One complete request.

    Attributes:
        body: Decoded of transfer coding; empty when there is none.
        received: Event-loop time (seconds) at which the first byte of the head arrived.
        memory: Where to ask for room before more is kept than the request itself.
    """

    head: Head
    body: bytes
    received: float
    memory: Memory = UNBOUNDED

    @property
    def method(self) -> bytes:
        """Upper-case, as received."""
        return self.head.method

    @property
    def target(self) -> bytes:
        """Path and query, byte for byte as received (origin form)."""
        return self.head.target

    @property
    def headers(self) -> tuple[Header, ...]:
        """See `Head`."""
        return self.head.headers

    @property
    def path(self) -> bytes:
        """The target up to its query."""
        return self.head.path

    @property
    def query(self) -> bytes:
        """The query without its question mark; empty when there is none."""
        return self.target.partition(b"?")[2]

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header (name in lower case), or None."""
        return self.head.first.get(name)


def header_lines(headers: Iterable[Header]) -> bytes:
    """Return headers as lines of a head; none of them may hold a line break."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


class ReadSide(Protocol):
    """Something that can be asked to stop delivering bytes for a while."""

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`."""

    def resume_reading(self) -> None:
        """Deliver again."""


class Responder(Protocol):
    """The means to answer one request. Either `reply` once, or `start`, `write`…, `end`.

    Nothing here blocks: bytes go to the transport's buffer, and a source set with `throttle` is
    paused while that buffer is above its high-water mark.
    """

    @property
    def started(self) -> bool:
        """Whether the head has been written."""

    def reply(
        self,
        status: int,
        body: bytes,
        content_type: bytes = b"application/json",
        headers: tuple[Header, ...] = (),
    ) -> None:
        """Answer in one piece, with Content-Length."""

    def start(
        self, status: int, headers: tuple[Header, ...], first: bytes = b"", lines: bytes = b""
    ) -> None:
        """Write the head, and a first piece of body in the same segment.

        With a Content-Length among the headers, of several the last, the body is sent as it is,
        else chunked (HTTP/1.1) or ended by closing (HTTP/1.0). Hop-by-hop headers are dropped.

        Args:
            lines: More of the head, as `header_lines` makes it; it is not looked at.
        """

    def write(self, data: bytes) -> None:
        """Send a piece of body; empty pieces are ignored."""

    def end(self) -> None:
        """Finish the body cleanly."""

    def abort(self) -> None:
        """Cut the connection, so that an unfinished answer is visibly unfinished."""

    def throttle(self, source: ReadSide | None) -> None:
        """Pause and resume this source with the client's reading; None unlinks it."""


Handler = Callable[[Request, Responder], Awaitable[None]]
"""Answers one request. Cancelled when the client leaves. An exception before `start` is a 500."""
