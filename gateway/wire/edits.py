"""Find and change members of a JSON value by their offsets; every other byte stays. Pure.

The value is known to be valid. Nested values that nobody asks for stay slices of the input, so that
a walk costs what the members of one level cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gateway.errors import RequestError
from gateway.wire.decoding import members

_string = msgspec.json.Decoder(str).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_BLANK = re.compile(rb"[ \t\n\r]*")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_SCALAR = re.compile(rb"[^ \t\n\r,}\]]+")
_NESTING = re.compile(_STRING.pattern + rb"|[][{}]")
_NO_CONTENT = (b"[]", b'""', b"null")

EACH = "*"
"""In a path: every item of an array."""


class Edit(msgspec.Struct, frozen=True, gc=False):
    """One member to replace or to cut, wherever it stands; where it does not, nothing.

    An object that has lost its last member is cut as well, and so is a message that has lost all
    it said.

    Attributes:
        path: Names from the top level inwards.
        value: What it becomes; None cuts it.
        add: Whether a member that does not stand is added to the object it belongs in.
    """

    path: tuple[str, ...]
    value: str | int | None
    add: bool = False


class Member(msgspec.Struct, frozen=True, gc=False):
    """Where one member of an object, or one item of an array, stands, in byte offsets."""

    name: str
    at: int
    start: int
    end: int


def members_of(data: bytes, values: Mapping[str, msgspec.Raw]) -> tuple[Member, ...]:
    """Return where the members stand, in order. `data` is known to be a valid JSON object.

    Args:
        values: Its members, each name once, in the order of their first places.
    """
    return _compact(data, values) or tuple(_walk(data, values))


def _compact(data: bytes, values: Mapping[str, msgspec.Raw]) -> tuple[Member, ...] | None:
    """Return the members of an object without blanks, by adding up lengths; None for others.

    When names, values, quotes, colons, commas and braces make up every byte, there is no room for
    a blank, an escape in a name, or a member that stands twice: each would make the whole longer.
    """
    found, at = [], 1
    for name, value in values.items():
        start = at + len(name) + 3
        end = start + len(memoryview(value))
        found.append(Member(name, at, start, end))
        at = end + 1
    return tuple(found) if at == len(data) else None


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


def refuse_twice(layout: Sequence[Member], names: frozenset[str] | None = None) -> None:
    """Raise RequestError (400) when one of these names stands twice; None means any name."""
    seen: set[str] = set()
    for member in layout:
        if member.name in seen and (names is None or member.name in names):
            text = f"{member.name}: stands twice in the request body"
            raise RequestError(400, "invalid_request_error", text)
        seen.add(member.name)


def edited(data: bytes, layout: Sequence[Member], edits: Sequence[Edit]) -> bytes:
    """Return an object or array with edits made to its members.

    Args:
        layout: Where its members stand.

    Raises:
        RequestError: An object on the way to an edit has a member twice (400).
    """
    if not edits:
        return data
    spans: list[tuple[int, int, bytes]] = []
    cut: set[int] = set()
    touched = {edit.path[0] for edit in edits}
    for index, member in enumerate(layout):
        if member.name not in touched:
            continue
        own = [edit for edit in edits if edit.path[0] == member.name]
        old = data[member.start : member.end]
        new = _new_value(old, own)
        if new is None:
            cut.add(index)
        elif new is not old:
            spans.append((member.start, member.end, new))
    if cut:
        spans += ((start, end, b"") for start, end in _cuts(layout, cut))
    if any(edit.add for edit in edits):
        spans += _additions(layout, edits)
    return _replaced(data, spans)


def _replaced(data: bytes, spans: list[tuple[int, int, bytes]]) -> bytes:
    """Return data with these spans replaced, copied once however many they are."""
    view, parts, at = memoryview(data), list[bytes | memoryview](), 0
    for start, end, new in sorted(spans):
        parts += view[at:start], new
        at = end
    return b"".join((*parts, view[at:]))


def _new_value(old: bytes, edits: Sequence[Edit]) -> bytes | None:
    """Return a member's value after the edits; None when nothing is left of it."""
    for edit in edits:
        if len(edit.path) == 1:
            return None if edit.value is None else msgspec.json.encode(edit.value)
    inner = [Edit(edit.path[1:], edit.value, edit.add) for edit in edits]
    if not any(_may_hold(old, edit) for edit in inner):
        return old
    layout = _layout(old, array=inner[0].path[0] == EACH)
    new = old if layout is None else edited(old, layout, inner)
    return None if new is not old and _says_nothing(new) else new


def _may_hold(value: bytes, edit: Edit) -> bool:
    """Return whether a walk can find something to edit. Most of many messages are passed over."""
    # A name is spelt as it is, or with an escape that begins with `\u`.
    name = edit.path[-1].encode()
    return edit.add or value.rfind(name) >= 0 or value.rfind(b"\\u") >= 0


def _layout(value: bytes, *, array: bool) -> tuple[Member, ...] | None:
    """Return where the members of a nested value stand; None when it is of another type."""
    if value[0] != (ord("[") if array else ord("{")):
        return None
    if array:
        return tuple(_walk_items(value))
    layout = members_of(value, members(value))
    refuse_twice(layout)
    return layout


def _says_nothing(value: bytes) -> bool:
    """Return whether a value is an empty object, or a message without any content."""
    if value[0] != ord("{"):
        return False
    left = dict(members(value))
    left.pop("role", None)
    content = left.pop("content", None)
    return not left and (content is None or bytes(content) in _NO_CONTENT)


def _cuts(layout: Sequence[Member], cut: set[int]) -> Iterator[tuple[int, int]]:
    """Return what to remove so that these members are gone and the commas still fit."""
    kept = [index for index in range(len(layout)) if index not in cut]
    last = kept[-1] if kept else -1
    yield from ((layout[index].at, layout[index + 1].at) for index in cut if index < last)
    if last + 1 < len(layout):
        yield layout[last].end if kept else layout[0].at, layout[-1].end


def _additions(layout: Sequence[Member], edits: Sequence[Edit]) -> Iterator[tuple[int, int, bytes]]:
    """Return the members to add behind the last one."""
    standing = {member.name for member in layout}
    for edit in edits:
        if edit.add and len(edit.path) == 1 and edit.path[0] not in standing and layout:
            end = layout[-1].end
            member = msgspec.json.encode(edit.path[0]) + b":" + msgspec.json.encode(edit.value)
            yield end, end, b"," + member


def _walk_items(data: bytes) -> Iterator[Member]:
    """Return where the items stand. `data` is known to be a valid JSON array."""
    at = _skip(data, _skip(data, 0) + 1)
    for item in _items(data):
        end = at + len(memoryview(item))
        yield Member(EACH, at, at, end)
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
