"""Split a byte stream into server-sent events, at any split of its bytes. Pure.

Source: WHATWG HTML, "9.2.6 Interpreting an event stream": lines end in LF, CR or CRLF, a blank line
ends an event, a line that begins with a colon is a comment. Line ends are made LF as the bytes
arrive, so that everything after that knows one form.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translate.answer import broken

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""The Responses API repeats the whole answer, and the request's tools, in its last event."""

_BOM = b"\xef\xbb\xbf"


class EventReader:
    """Feed it the pieces of an event stream in order."""

    __slots__ = ("_after_cr", "_begun", "_buffer", "_seen")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._seen = 0  # no blank line begins before this offset
        self._after_cr = False
        self._begun = False

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield name and data of each event that is complete; the name is empty when none is given.

        Events without data (comments, keep-alives) are not yielded. Raises UpstreamError when an
        event is longer than `MAX_EVENT_BYTES`.
        """
        buffer = self._buffer
        buffer += self._normal(data)
        if not self._begun and not self._begin():
            return
        start = 0
        while (end := buffer.find(b"\n\n", max(start, self._seen))) >= 0:
            event = bytes(buffer[start:end])
            start = self._seen = end + 2
            fields = _fields(event)
            if fields is not None:
                yield fields
        if start:
            del buffer[:start]
        self._seen = max(0, len(buffer) - 1)
        if len(buffer) > MAX_EVENT_BYTES:
            raise broken("an event of the answer is too long")

    def end(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield nothing: an event that no blank line ended is not one."""
        return iter(())

    def _normal(self, data: bytes) -> bytes:
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _begin(self) -> bool:
        """Cut off a byte order mark; False while it cannot be told whether there is one."""
        buffer = self._buffer
        if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
            return False
        if buffer.startswith(_BOM):
            del buffer[: len(_BOM)]
        self._begun = True
        return True


def _fields(event: bytes) -> tuple[bytes, bytes] | None:
    """Return name and data of an event whose lines end in LF; None when it has no data."""
    if event.startswith(b"data: ") and b"\n" not in event:
        return b"", event[6:]
    name = b""
    data: list[bytes] = []
    for line in event.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value
        elif field == b"data":
            data.append(value)
    return (name, b"\n".join(data)) if data else None
