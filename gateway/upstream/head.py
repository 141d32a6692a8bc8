"""Heads of providers' answers, and the reading of the plainest ones. Pure but for its memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol, TypeVar

import msgspec

from gateway.wire.hops import HOP_BY_HOP, OWN
from gateway.wire.http import Header, first_values

T = TypeVar("T")

_HEAD_BYTES = 8 << 10  # a longer head is not plain
_MEMORY, _LINE_BYTES = 1024, 256  # so many lines are remembered, none that is longer

# RFC 9112 §4 and §5, without what is seldom seen: blanks other than one after the colon, empty
# values, folded lines. No line of this form has a break or a control character in it.
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [ -~]*)?")
_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([!-~\x80-\xff](?:[ -~\x80-\xff]*[!-~\x80-\xff])?)"
)
_LENGTH = re.compile(rb"[0-9]{1,15}")
_BODILESS = frozenset((204, 304))


class AnswerHead(msgspec.Struct, frozen=True):
    """What an answer says before its body.

    Attributes:
        status: 200 or above.
        headers: Names in lower case, values stripped of outer blanks; without hop-by-hop headers,
            and without those that pose as the gateway's own.
        first: The first value of each of them.
    """

    status: int
    headers: tuple[Header, ...]
    first: Mapping[bytes, bytes]


Begun = tuple[AnswerHead, int, bytes]
"""A head, how long the body is, and the bytes that followed the head."""


class HeadReader(Protocol):
    """Knows some answers by their first bytes."""

    def read(self, data: bytes) -> Begun | None:
        """Return how an answer begins; None leaves that to the general parser."""


class PlainHeads:
    """Reads the heads that leave no doubt, of answers whose body is counted by its length.

    A plain head is there as a whole and of HTTP/1.1; its status has a body; it has exactly one
    Content-Length, no Transfer-Encoding, no Connection other than `keep-alive`, and only lines of
    the usual form.

    What such a line says follows from its own bytes, and most lines of a provider's answers stay
    the same. So lines are remembered; when there are too many, all are forgotten.
    """

    __slots__ = ("_lines", "_statuses")

    def __init__(self) -> None:
        self._lines: dict[bytes, Header | None] = {}  # None: travels no further
        self._statuses: dict[bytes, int] = {}

    def __len__(self) -> int:
        """Return how many lines are remembered."""
        return len(self._lines) + len(self._statuses)

    def read(self, data: bytes) -> Begun | None:
        """Return how an answer begins; None leaves that to the general parser."""
        head, blank_line, rest = data.partition(b"\r\n\r\n")
        if not blank_line or len(head) > _HEAD_BYTES:
            return None
        lines = head.split(b"\r\n")
        status_line = lines.pop(0)
        known = self._lines
        try:
            status = self._statuses[status_line]
            headers = tuple(filter(None, map(known.__getitem__, lines)))
        except KeyError:
            told = self._status(status_line)
            if told is None:
                return None
            status, found = told, [self._header(line) for line in lines]
            if () in found:
                return None
            headers = tuple([header for header in found if header])
        first: Mapping[bytes, bytes] = dict(headers)
        if len(first) < len(headers):  # some stand twice
            if _stands_twice(headers):
                return None
            first = first_values(headers)
        length = first.get(b"content-length")
        if length is None:
            return None
        return AnswerHead(status, headers, first), int(length), rest

    def _status(self, line: bytes) -> int | None:
        """Return the status of a plain status line, and remember it; None when it is not plain."""
        match = _STATUS_LINE.fullmatch(line)
        status = int(match[1]) if match is not None else 204
        if status in _BODILESS:
            return None
        _remember(self._statuses, line, status)
        return status

    def _header(self, line: bytes) -> Header | tuple[()] | None:
        """Return what a plain line says, and remember it; empty when it is not plain."""
        if line in self._lines:
            return self._lines[line]
        match = _LINE.fullmatch(line)
        header = () if match is None else _meaning(match[1].lower(), match[2])
        if header is None or header:
            _remember(self._lines, line, header)
        return header


def _meaning(name: bytes, value: bytes) -> Header | tuple[()] | None:
    """Return a header, None for one that ends here, an empty one for one that is not plain."""
    if name == b"content-length":
        return (name, value) if _LENGTH.fullmatch(value) else ()
    if name not in HOP_BY_HOP:
        return None if name.startswith(OWN) else (name, value)
    harmless = name == b"keep-alive" or (name == b"connection" and value.lower() == b"keep-alive")
    return None if harmless else ()


def _stands_twice(headers: tuple[Header, ...]) -> bool:
    return [name for name, _ in headers].count(b"content-length") > 1


def _remember(memory: dict[bytes, T], line: bytes, meaning: T) -> None:
    if len(line) <= _LINE_BYTES:
        if len(memory) >= _MEMORY:
            memory.clear()
        memory[line] = meaning
