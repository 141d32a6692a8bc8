"""Change members of a JSON value by their offsets; every other byte stays. Pure.

The value is known to be valid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from gateway.wire.decoding import members
from gateway.wire.layout import (
    Member,
    compact_layout,
    is_compact,
    item_layout,
    refuse_twice,
    walked_layout,
)

EACH = "*"
"""In a path: every item of an array."""

_NO_CONTENT = (b"[]", b'""', b"null")


class Which(msgspec.Struct, frozen=True, gc=False):
    """Tells the items of an array apart.

    Attributes:
        name: A member that every item in question holds: what does not mention it is passed over.
        holds: From an item's bytes to whether it is meant.
    """

    name: str
    holds: Callable[[bytes], bool]


class Edit(msgspec.Struct, frozen=True, gc=False):
    """One member to replace or to cut, wherever it stands; where it does not, nothing.

    An object that has lost its last member is cut as well, and so is a message that has lost all
    it said.

    Attributes:
        path: Names from the top level inwards.
        value: What it becomes; None cuts it.
        add: Whether a member that does not stand is added to the object it belongs in.
        which: Of the items that the path ends with, those that are meant; None means all.
    """

    path: tuple[str, ...]
    value: str | int | None
    add: bool = False
    which: Which | None = None


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
    if cut and len(cut) == len(layout) and data.startswith(b"["):
        return b"[]"  # without the blanks around its items
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
        if len(edit.path) == 1 and (edit.which is None or edit.which.holds(old)):
            return None if edit.value is None else msgspec.json.encode(edit.value)
    inner = [
        Edit(edit.path[1:], edit.value, edit.add, edit.which)
        for edit in edits
        if len(edit.path) > 1
    ]
    if not any(_may_hold(old, edit) for edit in inner):
        return old
    layout = _layout(old, array=inner[0].path[0] == EACH)
    new = old if layout is None else edited(old, layout, inner)
    return None if new is not old and _says_nothing(new) else new


def _may_hold(value: bytes, edit: Edit) -> bool:
    """Return whether a walk can find something to edit. Most of many messages are passed over."""
    # A name is spelt as it is, or with an escape that begins with `\u`.
    name = (edit.path[-1] if edit.which is None else edit.which.name).encode()
    return edit.add or value.rfind(name) >= 0 or value.rfind(b"\\u") >= 0


def _layout(value: bytes, *, array: bool) -> tuple[Member, ...] | None:
    """Return where the members of a nested value stand; None when it is of another type."""
    if value[0] != (ord("[") if array else ord("{")):
        return None
    if array:
        return item_layout(value, EACH)
    values = members(value)
    if is_compact(value, values):
        return compact_layout(values)
    layout = walked_layout(value, values)
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
