"""Turn the bytes of a provider's connection into one answer at a time, within bounds. Pure."""

from __future__ import annotations

import httptools

from gateway.upstream.head import AnswerHead, HeadReader
from gateway.wire.hops import OWN, end_to_end
from gateway.wire.http import Header, all_values, first_values

_SILENT_BYTES = 256 << 10  # bound of a head, and of anything that yields no body


class AnswerParser:
    """One connection's answers, in order.

    The body of an answer that begins plainly is counted here; all others are httptools' to read,
    from their first byte, and so is what follows the end of an answer.

    Args:
        plain: Knows the answers that begin plainly.

    Attributes:
        begun: Whether a byte of the answer has come.
        head: None until it is in. A 1xx is none; trailers never are part of it.
        finished: Whether the answer is whole.
        keep_alive: Whether the connection may be used again; says nothing before the end.
        error: What is wrong with the bytes, or with those after the end; None when nothing is.
    """

    __slots__ = (
        "_headers",
        "_left",
        "_parser",
        "_parts",
        "_plain",
        "_silent_bytes",
        "_sized",
        "begun",
        "error",
        "finished",
        "head",
        "keep_alive",
    )

    def __init__(self, plain: HeadReader) -> None:
        self._plain = plain
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[Header] = []
        self._parts: list[bytes] = []  # of the segment being parsed
        self._left = -1  # bytes that are missing of a body counted here; negative for any other
        self._silent_bytes = 0
        self._sized = self.keep_alive = False
        self.error: Exception | None = None
        self.reset()

    def reset(self) -> None:
        """Expect the next answer; only after one that is finished and without an error."""
        self.begun = self.finished = False
        self.head: AnswerHead | None = None

    def feed(self, data: bytes) -> bytes:
        """Return what of the body is in the next bytes; the attributes tell the rest."""
        if not self.begun:
            self.begun = True
            plain = self._plain.read(data)
            if plain is not None:
                self.head, self._left, rest = plain
                return self._counted(rest)
            self._silent_bytes = 0
        elif self._left >= 0:
            return self._counted(data)
        self._parse(data)
        parts = self._parts
        if parts:
            self._silent_bytes = 0
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            return body
        self._silent_bytes += len(data)
        if self._silent_bytes > _SILENT_BYTES and not self.finished:
            self.error = self.error or _Violation("endless head, trailer or extension")
        return b""

    def end(self) -> bool:
        """Take the end of the connection; return whether it ended the answer (RFC 9112 §6.3)."""
        if self.head is None or self.finished or self._left >= 0 or self._sized:
            return False
        self.finished, self.keep_alive = True, False
        return True

    # -- callbacks of httptools, in the order of a message

    def on_message_begin(self) -> None:  # noqa: D102 - named by httptools
        if self.finished:
            raise _Violation("bytes after the end of the message")
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: D102 - named by httptools
        if self.head is None:  # after the body it is a trailer
            self._headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:  # noqa: D102 - named by httptools
        status = self._parser.get_status_code()
        if status == 101:
            raise _Violation("101 Switching Protocols, though no upgrade was asked for")
        if status < 200:
            return
        headers, first = self._headers, first_values(self._headers)
        codings = all_values(headers, first, b"transfer-encoding")
        if any(value.lower() != b"chunked" for value in codings):
            raise _Violation("a transfer coding other than chunked")
        self._sized = bool(codings) or b"content-length" in first
        kept = end_to_end(headers, all_values(headers, first, b"connection"))
        travelling = tuple([header for header in kept if not header[0].startswith(OWN)])
        self.head = AnswerHead(status, travelling, first_values(travelling))

    def on_body(self, piece: bytes) -> None:  # noqa: D102 - named by httptools
        self._parts.append(piece)

    def on_message_complete(self) -> None:  # noqa: D102 - named by httptools
        if self.head is not None:
            self.finished, self.keep_alive = True, self._parser.should_keep_alive()

    # -- helpers

    def _counted(self, data: bytes) -> bytes:
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return data
        self._left = -1
        self.finished = self.keep_alive = True
        if left == 0:
            return data
        self._parse(data[left:])
        return data[:left]

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.error = _Violation("an upgrade, though none was asked for")
        except httptools.HttpParserError as error:
            cause = error.__context__
            self.error = cause if isinstance(cause, _Violation) else error


class _Violation(Exception):
    """Ends parsing from inside a callback."""
