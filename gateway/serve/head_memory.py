"""Remember request heads by their bytes, so that one sent again need not be parsed again. Pure.

A client sends the same head with each request but for the digits of its Content-Length, and what
the full parser says of a head depends on these only as the length they mean. So a head is looked
up by its bytes without them: what is found is what the parser made of these very bytes. Whatever is
not found, or is not of the plainest form, the parser reads.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.wire.http import Head

_MAX_HEADS = 1024
_MAX_HEAD_BYTES = 8 << 10
_MAX_BYTES = 2 << 20  # of keys; a head takes several times as much
_MAX_DIGITS = 15

_MARK = b"ength: "  # of Content-Length and content-length, as clients write them
_BEFORE_MARK = b"\r\ncontent-l"

Key = tuple[bytes, bytes]
"""A head up to the mark, and what follows the line of its length; empty when that is the last."""


def cut(data: bytes) -> tuple[Key, int, bytes] | None:
    """Return the key of the head that data begins with, its length, and what is behind the head.

    None when the head is not whole or has no plain length. Heads with equal keys differ in nothing
    but the digits; that these belong to a Content-Length is looked at once, by `HeadMemory.keep`.
    """
    head, blank, rest = data.partition(b"\r\n\r\n")
    before, _, behind = head.partition(_MARK)
    digits, _, behind = behind.partition(b"\r\n")
    if not blank or not digits.isdigit() or len(digits) > _MAX_DIGITS:
        return None
    return (before, behind), int(digits), rest


class HeadMemory:
    """The heads that the clients of one worker sent last; they hold secrets and are never shown.

    Attributes:
        known: Heads by their key, see `cut`; the oldest ones first.
    """

    __slots__ = ("_bytes", "_heads", "known")

    def __init__(self) -> None:
        self._heads: dict[Key, Head] = {}
        self._bytes = 0
        self.known: Mapping[Key, Head] = self._heads

    def keep(self, key: Key, head: Head) -> None:
        """Remember a head; the oldest ones make way.

        Args:
            head: What the full parser made of these bytes, and would with any length. Its framing
                is a single Content-Length, and its connection stays open.
        """
        before, behind = key
        size = len(before) + len(behind)
        is_length = before[-len(_BEFORE_MARK) :].lower() == _BEFORE_MARK
        if not is_length or size > _MAX_HEAD_BYTES or key in self._heads:
            return
        self._heads[key] = head
        self._bytes += size
        while len(self._heads) > _MAX_HEADS or self._bytes > _MAX_BYTES:
            oldest = next(iter(self._heads))
            del self._heads[oldest]
            self._bytes -= sum(map(len, oldest))
