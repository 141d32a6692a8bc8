"""Look at the protocol that request lines name, of which httptools says the version alone. Pure.

llhttp reads RTSP and ICE, too, in the same shape. Where a request line begins is known as long as
no piece that it is given holds the end of one request and a part of the next one's line. So data is
cut where such a line may begin; the end of a body whose length is told is for the caller to cut at.
"""

from __future__ import annotations

import re

_OTHER = re.compile(rb" (?:RTSP|ICE)/")  # a target holds no blank


class RequestLine:
    """The request line under way on one connection."""

    __slots__ = ("_line",)

    def __init__(self) -> None:
        self._line: bytes | None = None

    def stretch(self, data: bytes, at: int) -> int:
        """Return up to where data may be parsed from here in one piece."""
        if self._line is None:
            found = _OTHER.search(data, at)
            last = data.rfind(b"\n", at, len(data) if found is None else found.start())
            if last >= 0:
                return last + 1
        return data.find(b"\n", at) + 1 or len(data)

    def is_foreign(self, piece: bytes, *, begins: bool) -> bool:
        """Return whether a request line has ended that names another protocol than HTTP.

        Args:
            piece: What has been parsed now, as far as a stretch.
            begins: Whether no request was under way before.
        """
        line = b"" if begins else self._line
        if line is None:
            return False
        more, end, _ = piece.partition(b"\n")
        line += more
        self._line = None if end else line
        return bool(end) and _OTHER.search(line) is not None
