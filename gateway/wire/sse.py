"""Cut a byte stream of server-sent events into events. Pure.

Lines may end in LF or CRLF; an event ends with a blank line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

BREAK = re.compile(rb"\r?\n\r?\n")
"""The end of an event."""

_LINE = re.compile(rb"\r?\n")


def last_break(data: bytes) -> int:
    """Return the offset after the last blank line, or -1."""
    plain, mixed = data.rfind(b"\n\n"), data.rfind(b"\n\r\n")
    return max(plain + 2 if plain >= 0 else -1, mixed + 3 if mixed >= 0 else -1)


def fields(event: bytes) -> tuple[str, bytes]:
    """Return an event's name (empty when it has none) and its data, lines joined."""
    name, data = b"", []
    for line in _LINE.split(event.removeprefix(b"\xef\xbb\xbf")):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value
        elif field == b"data":
            data.append(value)
    return name.decode(errors="replace"), b"\n".join(data)


def split(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Return each event between two offsets, its blank line included, and where it begins."""
    while start < end:
        found = BREAK.search(data, start, end)
        stop = end if found is None else found.end()
        yield start, data[start:stop]
        start = stop
