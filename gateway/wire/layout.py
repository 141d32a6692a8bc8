"""Find where the members of a JSON object, and the items of an array, stand, by their bytes. Pure.

The value is known to be valid. Nested values that nobody asks for stay slices of the input, so that
a walk costs what the members of one level cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gateway.errors import RequestError

_string = msgspec.json.Decoder(str).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
compact = msgspec.json.Encoder().encode
"""Return a JSON value without blanks; what is undecoded stays as it is."""

_SHORT_BYTES = 64 << 10
_BLANK = re.compile(rb"[ \t\n\r]*")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_SCALAR = re.compile(rb"[^ \t\n\r,}\]]+")
_NESTING = re.compile(_STRING.pattern + rb"|[][{}]")


class Member(msgspec.Struct, frozen=True, gc=False):
    """Where one member of an object, or one item of an array, stands, in byte offsets."""

    name: str
    at: int
    start: int
    end: int


def is_compact(data: bytes, values: Mapping[str, msgspec.Raw]) -> bool:
    """Return whether an object is what its members are written as: without blanks, each once.

    Args:
        data: Known to be a valid JSON object.
        values: Its members, each name once.
    """
    if len(data) <= _SHORT_BYTES:
        return compact(values) == data
    # Written anew a long one would take its memory twice. Blanks and doubles would make it longer
    # than its members are, and their values are its own bytes.
    layout = compact_layout(values)
    end = layout[-1].end + 1 if layout else 2
    return end == len(data) and all(data.startswith(compact(one.name), one.at) for one in layout)


def compact_layout(values: Mapping[str, msgspec.Raw]) -> tuple[Member, ...]:
    """Return where the members of a compact object stand: its members, in order."""
    found, at = [], 1
    for name, value in values.items():
        start = at + len(compact(name)) + 1
        end = start + len(value)
        found.append(Member(name, at, start, end))
        at = end + 1
    return tuple(found)


def walked_layout(data: bytes, values: Mapping[str, msgspec.Raw]) -> tuple[Member, ...]:
    """Return where the members of any object stand, in order, also those that stand twice.

    Args:
        data: Known to be a valid JSON object.
        values: Its members, each name once.
    """
    return tuple(_walk(data, values))


def item_layout(data: bytes, name: str) -> tuple[Member, ...]:
    """Return where the items stand, all by one name. `data` is known to be a valid JSON array."""
    found, at = [], _skip(data, _skip(data, 0) + 1)
    for item in _items(data):
        end = at + len(item)
        found.append(Member(name, at, at, end))
        at = _next(data, end)
    return tuple(found)


def refuse_twice(layout: Sequence[Member], names: frozenset[str] | None = None) -> None:
    """Raise RequestError (400) when one of these names stands twice; None means any name."""
    seen: set[str] = set()
    for member in layout:
        if member.name in seen and (names is None or member.name in names):
            text = f"{member.name}: stands twice in the request body"
            raise RequestError(400, "invalid_request_error", text)
        seen.add(member.name)


def _walk(data: bytes, values: Mapping[str, msgspec.Raw]) -> Iterator[Member]:
    """Return where the members stand, in order. `data` is known to be a valid JSON object."""
    seen: set[str] = set()
    at = _skip(data, _skip(data, 0) + 1)
    while data[at] != ord("}"):
        colon = _string_end(data, at)
        name = _string(data[at:colon])
        start = _skip(data, _skip(data, colon) + 1)
        # Each value is compared once, whatever stands twice: the walk stays linear.
        end = _measure(data, start) if name in seen else _end(data, start, bytes(values[name]))
        seen.add(name)
        yield Member(name, at, start, end)
        at = _next(data, end)


def _next(data: bytes, end: int) -> int:
    """Return where the member after the one that ends here begins, or the closing bracket."""
    after = _skip(data, end)
    return _skip(data, after + 1) if data[after] == ord(",") else after


def _end(data: bytes, start: int, value: bytes) -> int:
    """Return where the value at `start` ends; `value` is that of the last field of this name."""
    end = start + len(value)
    if data.startswith(value, start) and data[_skip(data, end)] in b",}":
        return end
    return _measure(data, start)  # the name stands again further on, with another value


def _measure(data: bytes, start: int) -> int:
    """Return where the value at `start` ends, by its own bytes. `data` is valid JSON."""
    if data[start] == ord('"'):
        return _string_end(data, start)
    if data[start] not in b"[{":
        scalar = _SCALAR.match(data, start)
        return start if scalar is None else scalar.end()
    depth, end = 0, start
    for token in _NESTING.finditer(data, start):
        depth += (token[0] in (b"[", b"{")) - (token[0] in (b"]", b"}"))
        if depth == 0:
            end = token.end()
            break
    return end


def _string_end(data: bytes, start: int) -> int:
    string = _STRING.match(data, start)
    return start if string is None else string.end()


def _skip(data: bytes, at: int) -> int:
    blank = _BLANK.match(data, at)
    return at if blank is None else blank.end()
