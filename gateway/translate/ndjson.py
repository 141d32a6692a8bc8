"""Cut newline-delimited JSON into its lines, at any split of the bytes. Pure.

Source: the NDJSON specification: values end in LF, CRLF is allowed, blank lines may be passed over.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translate.answer import broken

MAX_LINE_BYTES = 8 * 1024 * 1024

_BLANKS = b" \t\r"


class LineReader:
    """Feed it the pieces of a stream in order; lines are events without a name."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield an empty name and the line for each line that is complete.

        Raises UpstreamError when a line is longer than `MAX_LINE_BYTES`.
        """
        *complete, rest = data.split(b"\n")
        for part in complete:
            self._take(part)
            yield from self.end()
        self._take(rest)

    def end(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield what is left as the last line: it may lack its line end."""
        line = self._buffer.strip(_BLANKS)
        self._buffer.clear()
        if line:
            yield b"", bytes(line)

    def _take(self, part: bytes) -> None:
        self._buffer += part
        if len(self._buffer) > MAX_LINE_BYTES:
            raise broken("a line of the answer is too long")
