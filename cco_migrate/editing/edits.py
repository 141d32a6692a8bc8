"""Changes one value of a TOML, JSON or YAML document and not one byte more. Pure.

An edit splices bytes at the place a scanner found; then a parser reads the result and must see the
old document with only the addressed value changed. Otherwise the edit is refused, so a fault of the
scanner can never reach a file. What a YAML file says in two places, or by a reader's own rules
(anchors, aliases, merge keys, tags), is never edited.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cco_migrate.editing import splices
from cco_migrate.editing.documents import Format, Span, index, line_at, locate, parse
from cco_migrate.editing.literals import (
    SEPARATORS,
    Scalar,
    key_literal,
    literal,
    pair_literal,
    refused,
)
from cco_migrate.editing.spans import Entry, KeyPath, Kind, dotted
from cco_migrate.errors import EditRefused, InvalidInput

__all__ = [
    "Format", "KeyPath", "Span", "append_items", "locate", "parse", "remove_items", "remove_value",
    "replace_value", "same", "set_value", "unified_diff",
]  # fmt: skip

# A parsed document: dicts, lists and scalars to any depth, which static types cannot follow.
_Node = Any

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_MERGE_KEY = "<<"


def replace_value(data: bytes, key: KeyPath, value: Scalar, fmt: Format) -> bytes:
    """Return the document with another value at `key`; the same bytes when it stands there already.

    Raises:
        EditRefused: when the document cannot be read, `key` is not there or is not a scalar, or
            the result would differ in anything else.
    """
    before, entries = _read(data, key, fmt)
    entry = _scalar_at(entries, key, data)
    if same(_at(before, key), value):
        return data
    text = literal(value, key, fmt, data[entry.start : entry.end])
    if entry.start == entry.end:  # YAML: nothing stands behind the colon
        text = b" " + text
    after = data[: entry.start] + text + data[entry.end :]
    return _proved(after, key, fmt, _with(before, key, value))


def set_value(data: bytes, key: KeyPath, value: Scalar, fmt: Format) -> bytes:
    """Return the document with `value` at `key`, inserted at the end of its table when absent.

    A TOML table that is missing is written at the end of the document.

    Raises:
        EditRefused: as `replace_value`, and when the object or table around `key` cannot take it.
    """
    before, entries = _read(data, key, fmt)
    if key in entries:
        return replace_value(data, key, value, fmt)
    _refuse_guarded(entries, key, data)
    _refuse_merged(entries, key, data, fmt)
    parent, last = entries.get(key[:-1]), key[-1] if key else ""
    new_table = parent is None and fmt is Format.TOML and len(key) == 2
    if new_table and isinstance(last, str) and value is not None:
        after = splices.append_table(data, str(key[0]), last, value)
        return _proved(after, key, fmt, {**before, key[0]: {last: value}})
    if parent is None or not isinstance(last, str):
        raise refused(key, f"there is no {dotted(key[:-1]) or 'table'} to put it into")
    members = splices.members_of(entries, key[:-1])
    words = key_literal(last, fmt), literal(value, key, fmt)
    if parent.kind is Kind.OBJECT:
        after = splices.insert_member(data, parent, members, *words, SEPARATORS[fmt])
    elif parent.kind in {Kind.TABLE, Kind.BLOCK}:
        after = splices.insert_line(data, parent, members, SEPARATORS[fmt].join(words))
    else:
        raise refused(key, f"{dotted(key[:-1])} has no table of its own; write one")
    return _proved(after, key, fmt, _with(before, key, value))


def remove_value(data: bytes, key: KeyPath, fmt: Format) -> bytes:
    """Return the document without the scalar at `key`: what an inserting `set_value` undoes.

    A key that has a line takes its comment with it; comments on other lines stay.

    Raises:
        EditRefused: when the document cannot be read, `key` is not there, is not a scalar or shares
            its line, or the result would differ in anything else.
    """
    before, entries = _read(data, key, fmt)
    entry = _scalar_at(entries, key, data)
    parent = entries[key[:-1]] if key else entry
    if parent.kind is Kind.OBJECT:
        members = splices.members_of(entries, key[:-1])
        after: bytes | None = splices.remove_member(data, parent, members, entry)
    elif parent.kind in {Kind.TABLE, Kind.BLOCK, Kind.IMPLIED}:
        after = splices.remove_line(data, entry)
    else:
        raise refused(key, "is no key of a table")
    if after is None:
        raise refused(key, "shares its line with something else")
    expected = copy.deepcopy(before)
    del _at(expected, key[:-1])[key[-1]]
    return _proved(after, key, fmt, expected)


def append_items(
    data: bytes, key: KeyPath, items: Sequence[Sequence[str]], after: Sequence[int], fmt: Format
) -> bytes:
    """Return the document with each of `items` placed behind an element of the array at `key`.

    Args:
        data: The whole file.
        key: An array of arrays; in YAML one between brackets.
        items: The new elements.
        after: For each item the index, counted before the edit, of the element it follows. Items
            behind the same element keep their order.
        fmt: How to read and write the document.

    Raises:
        ValueError: when `items` and `after` differ in length.
        EditRefused: when the document cannot be read, `key` is not an array, an element is not
            there, or the result would differ in anything else.
    """
    behind: dict[int, list[list[str]]] = {}
    for item, anchor in zip(items, after, strict=True):
        behind.setdefault(anchor, []).append(list(item))
    before, entries = _read(data, key, fmt)
    _refuse_no_array(entries, key, data)
    edited = data
    for anchor in sorted(behind, reverse=True):  # from the end, so that earlier offsets hold
        entry = entries.get((*key, anchor))
        if entry is None:
            raise refused((*key, anchor), "is not there")
        texts = [pair_literal(item, key, fmt) for item in behind[anchor]]
        edited = splices.insert_items(edited, entry, entries.get((*key, anchor + 1)), texts)
    expected = [
        one
        for position, element in enumerate(_at(before, key))
        for one in (element, *behind.get(position, ()))
    ]
    return _proved(edited, key, fmt, _with(before, key, expected))


def remove_items(data: bytes, key: KeyPath, items: Sequence[Sequence[str]], fmt: Format) -> bytes:
    """Return the document without these elements of the array at `key`: what `append_items` undoes.

    Only elements that have a line of their own are taken out, each the first that equals its item.

    Raises:
        EditRefused: when the document cannot be read, an item is not there or shares its line, or
            the result would differ in anything else.
    """
    for item in items:
        before, entries = _read(data, key, fmt)
        _refuse_no_array(entries, key, data)
        elements = list(_at(before, key))
        if list(item) not in elements:
            raise refused(key, f"{list(item)} is not there any more")
        number = elements.index(list(item))
        after = splices.remove_item(data, entries[(*key, number)])
        if after is None:
            raise refused(key, "the element shares its line with something else")
        expected = elements[:number] + elements[number + 1 :]
        data = _proved(after, key, fmt, _with(before, key, expected))
    return data


def same(left: _Node, right: _Node) -> bool:
    """Return whether two parsed values are exactly equal: 1, 1.0 and true differ, NaN does not."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return repr(left) == repr(right)
    return bool(left == right)


def unified_diff(before: bytes, after: bytes, name: str) -> str:
    """Return the difference as `diff -u` prints it; empty when there is none."""
    old, new = (_LINE.findall(data.decode("utf-8", "replace")) for data in (before, after))
    lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")
    return "".join(
        line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines
    )


def _read(data: bytes, key: KeyPath, fmt: Format) -> tuple[_Node, Mapping[KeyPath, Entry]]:
    try:
        return parse(data, fmt, Path(f"document.{fmt}")), index(data, fmt)
    except InvalidInput as error:
        finding = error.findings[0]
        where = f"line {finding.line}: " if finding.line else ""
        raise EditRefused(
            f"cannot be edited: {where}{finding.message}", findings=error.findings
        ) from error


def _scalar_at(entries: Mapping[KeyPath, Entry], key: KeyPath, data: bytes) -> Entry:
    """Return the entry of a single value that may be edited; raises EditRefused for any other."""
    entry = entries.get(key)
    if entry is None:
        raise refused(key, "is not there")
    _refuse_guarded(entries, key, data)
    if entry.kind is not Kind.SCALAR:
        raise refused(key, f"is not a single value: {entry.kind}")
    return entry


def _refuse_no_array(entries: Mapping[KeyPath, Entry], key: KeyPath, data: bytes) -> None:
    if key not in entries or entries[key].kind is not Kind.ARRAY:
        raise refused(key, "is not there or not an array")
    _refuse_guarded(entries, key, data)


def _refuse_guarded(entries: Mapping[KeyPath, Entry], key: KeyPath, data: bytes) -> None:
    """Refuse what stands, in YAML, for more than itself."""
    for path in (key[:size] for size in range(len(key) + 1)):
        entry = entries.get(path)
        if entry is not None and entry.guard:
            raise refused(key, f"line {line_at(data, entry.start)}: {entry.guard}")


def _refuse_merged(
    entries: Mapping[KeyPath, Entry], key: KeyPath, data: bytes, fmt: Format
) -> None:
    merge = entries.get((*key[:-1], _MERGE_KEY))
    if fmt is Format.YAML and merge is not None:
        line = line_at(data, merge.key_start)
        raise refused(key, f"line {line}: a merge key (<<) brings in values from elsewhere")


def _proved(after: bytes, key: KeyPath, fmt: Format, expected: _Node) -> bytes:
    try:
        seen = parse(after, fmt, Path(f"document.{fmt}"))
    except InvalidInput as error:
        raise refused(key, "the edit would break the document") from error
    if not same(seen, expected):
        raise refused(key, "the edit would change something else too")
    return after


def _at(document: _Node, key: KeyPath) -> _Node:
    for part in key:
        document = document[part]
    return document


def _with(document: _Node, key: KeyPath, value: _Node) -> _Node:
    """Return a copy of the parsed document with `value` at `key`."""
    changed = [copy.deepcopy(document)]  # in a list, so that the root has a place too
    path = (0, *key)
    _at(changed, path[:-1])[path[-1]] = value
    return changed[0]
