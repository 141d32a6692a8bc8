"""Changes one value of a TOML or JSON document and not one byte more. Pure: bytes in, bytes out.

An edit splices bytes at the place a scanner found; then an independent parser reads the result and
must see the old document with only the addressed value changed. Otherwise the edit is refused, so a
fault of the scanner can never reach a file.
"""

from __future__ import annotations

import copy
import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cco_migrate.documents import Format, Span, index, locate, parse
from cco_migrate.errors import EditRefused, InvalidInput
from cco_migrate.spans import Entry, KeyPath, Kind, dotted

__all__ = [
    "Format", "KeyPath", "Span", "append_items", "locate", "parse", "remove_items", "replace_value",
    "same", "set_value", "unified_diff",
]  # fmt: skip

Scalar = bool | int | float | str
# A parsed document: dicts, lists and scalars to any depth, which static types cannot follow.
_Node = Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_REST_OF_LINE = re.compile(rb"[ \t]*(?:#[^\r\n]*)?(?=\r?\n|\Z)")
# Possessive, so that a comma inside a comment is never taken for the one behind it.
_COMMA = re.compile(rb"(?:[ \t\r\n]|#[^\n]*+)*+,")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


def replace_value(data: bytes, key: KeyPath, value: Scalar, fmt: Format) -> bytes:
    """Return the document with another value at `key`; the same bytes when it stands there already.

    Raises:
        EditRefused: when the document cannot be read, `key` is not there or is not a scalar, or
            the result would differ in anything else.
    """
    before, entries = _read(data, key, fmt)
    entry = entries.get(key)
    if entry is None:
        raise _refused(key, "is not there")
    if entry.kind is not Kind.SCALAR:
        raise _refused(key, f"is not a single value: {entry.kind}")
    if same(_at(before, key), value):
        return data
    after = data[: entry.start] + _scalar(value, key, fmt) + data[entry.end :]
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
    parent, name = entries.get(key[:-1]), key[-1] if key else ""
    if parent is None and fmt is Format.TOML and len(key) == 2 and isinstance(name, str):
        after = _add_table(data, key, value)
        return _proved(after, key, fmt, {**before, key[0]: {name: value}})
    if parent is None or not isinstance(name, str):
        raise _refused(key, f"there is no {dotted(key[:-1]) or 'table'} to put it into")
    own, text = _direct(entries, key[:-1]), _scalar(value, key, fmt)
    if parent.kind is Kind.OBJECT:
        after = _insert_member(data, parent, own, _name(name, fmt), text, fmt)
    elif parent.kind is Kind.TABLE:
        after = _insert_line(data, parent, own, _name(name, fmt) + b" = " + text)
    else:
        raise _refused(key, f"{dotted(key[:-1])} has no table of its own; write one")
    return _proved(after, key, fmt, _with(before, key, value))


def append_items(
    data: bytes, key: KeyPath, items: Sequence[Sequence[str]], after: Sequence[int], fmt: Format
) -> bytes:
    """Return the document with each of `items` placed behind an element of the array at `key`.

    Args:
        data: The whole file.
        key: An array of arrays.
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
    if key not in entries or entries[key].kind is not Kind.ARRAY:
        raise _refused(key, "is not there or not an array")
    edited = data
    for anchor in sorted(behind, reverse=True):  # from the end, so that earlier offsets hold
        entry = entries.get((*key, anchor))
        if entry is None:
            raise _refused((*key, anchor), "is not there")
        texts = [_pair(item, key, fmt) for item in behind[anchor]]
        edited = _insert_items(edited, entry, entries.get((*key, anchor + 1)), texts)
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
        if key not in entries or entries[key].kind is not Kind.ARRAY:
            raise _refused(key, "is not there or not an array")
        elements = list(_at(before, key))
        if list(item) not in elements:
            raise _refused(key, f"{list(item)} is not there any more")
        number = elements.index(list(item))
        start, end = _own_line(data, entries[(*key, number)], key)
        expected = elements[:number] + elements[number + 1 :]
        data = _proved(data[:start] + data[end:], key, fmt, _with(before, key, expected))
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
        reason = error.findings[0].message
        raise EditRefused(f"cannot be edited: {reason}", findings=error.findings) from error


def _proved(after: bytes, key: KeyPath, fmt: Format, expected: _Node) -> bytes:
    try:
        seen = parse(after, fmt, Path(f"document.{fmt}"))
    except InvalidInput as error:
        raise _refused(key, "the edit would break the document") from error
    if not same(seen, expected):
        raise _refused(key, "the edit would change something else too")
    return after


def _refused(key: KeyPath, reason: str) -> EditRefused:
    return EditRefused(f"{dotted(key) or 'document'}: {reason}")


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


def _scalar(value: Scalar, key: KeyPath, fmt: Format) -> bytes:
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, str):
        return _quoted(value, key)
    if isinstance(value, float) and not math.isfinite(value) and fmt is Format.JSON:
        raise _refused(key, f"JSON has no {value!r}")
    return repr(value).encode()


def _quoted(text: str, key: KeyPath) -> bytes:
    try:
        # TOML wants DEL escaped too; a JSON string is a TOML string otherwise.
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f").encode()
    except UnicodeEncodeError as error:
        raise _refused(key, "the text is not valid Unicode") from error


def _name(name: str, fmt: Format) -> bytes:
    bare = fmt is Format.TOML and _BARE_KEY.fullmatch(name)
    return name.encode() if bare else _quoted(name, (name,))


def _pair(item: Sequence[str], key: KeyPath, fmt: Format) -> bytes:
    return b"[" + b", ".join(_scalar(text, key, fmt) for text in item) + b"]"


def _direct(entries: Mapping[KeyPath, Entry], table: KeyPath) -> list[Entry]:
    """Return the values in a table's own lines or braces, dotted keys included, by place."""
    size = len(table)
    found = [
        entry
        for path, entry in entries.items()
        if len(path) > size
        and path[:size] == table
        and entry.kind not in (Kind.TABLE, Kind.TABLES, Kind.IMPLIED)
        and all(entries[path[:n]].kind is Kind.IMPLIED for n in range(size + 1, len(path)))
    ]
    return sorted(found, key=lambda entry: entry.end)


def _add_table(data: bytes, key: KeyPath, value: Scalar) -> bytes:
    """Write a new table with one key behind everything else; what stood there keeps its bytes."""
    import tomlkit  # noqa: PLC0415  # 40 ms that few edits need

    new = tomlkit.document()
    new.add(str(key[0]), tomlkit.table().add(str(key[1]), value))
    text = tomlkit.dumps(new).encode()
    if b"\r\n" in data:
        text = text.replace(b"\n", b"\r\n")
    newline = b"\r\n" if b"\r\n" in data else b"\n"
    gap = b"" if not data else newline if data.endswith(b"\n") else newline * 2
    return data + gap + text


def _insert_line(data: bytes, table: Entry, members: Sequence[Entry], line: bytes) -> bytes:
    """Put `line` behind the last member's line, else behind the header, else on top."""
    newline = b"\r\n" if b"\r\n" in data else b"\n"
    if not members and table.start == table.end:
        return line + newline + data if data else line + newline
    last = members[-1] if members else table
    indent = _indent(data, last.key_start) or b""
    at = _line_end(data, last.end)
    return data[:at] + newline + indent + line + data[at:]


def _insert_member(
    data: bytes, parent: Entry, members: Sequence[Entry], name: bytes, value: bytes, fmt: Format
) -> bytes:
    """Put a member behind the last one between braces, spaced like it."""
    if not members:
        separator = b": " if fmt is Format.JSON else b" = "
        return data[: parent.start] + b"{" + name + separator + value + b"}" + data[parent.end :]
    last = members[-1]
    lead = data[parent.start + 1 : last.key_start]
    space = lead[len(lead.rstrip()) :]
    if not space and len(members) == 1:
        space = b" "
    separator = data[last.key_end : last.start]
    return data[: last.end] + b"," + space + name + separator + value + data[last.end :]


def _own_line(data: bytes, entry: Entry, key: KeyPath) -> tuple[int, int]:
    """Return the bytes of the line that holds this element, its comma and nothing else."""
    start = data.rfind(b"\n", 0, entry.start) + 1
    found = data.find(b"\n", entry.end)
    end = len(data) if found < 0 else found + 1
    around = data[start : entry.start] + data[entry.end : end]
    if around.strip(b" \t\r\n") not in {b"", b","}:
        raise _refused(key, "the element shares its line with something else")
    return start, end


def _insert_items(data: bytes, anchor: Entry, following: Entry | None, texts: list[bytes]) -> bytes:
    """Put elements behind `anchor`: on lines of their own when it ends its line, else beside it."""
    comma = _COMMA.match(data, anchor.end)
    at = comma.end() if comma else anchor.end
    rest = _REST_OF_LINE.match(data, at)
    if rest is None:
        lead, place = b" ", at
    else:
        indent = _indent(data, anchor.start)
        if indent is None and following is not None:
            indent = _indent(data, following.start)
        if indent is None:
            indent = b" " * (anchor.start - (data.rfind(b"\n", 0, anchor.start) + 1))
        crlf = data[rest.end() : rest.end() + 2] == b"\r\n"
        lead, place = (b"\r\n" if crlf else b"\n") + indent, rest.end()
    if comma:
        added = b"".join(lead + text + b"," for text in texts)
        return data[:place] + added + data[place:]
    added = b",".join(lead + text for text in texts)
    return data[: anchor.end] + b"," + data[anchor.end : place] + added + data[place:]


def _indent(data: bytes, at: int) -> bytes | None:
    """Return the blanks before `at` on its line; None when something else stands there."""
    blanks = data[data.rfind(b"\n", 0, at) + 1 : at]
    return None if blanks.strip(b" \t") else blanks


def _line_end(data: bytes, at: int) -> int:
    """Return where the line of `at` ends, its comment included, its line ending not."""
    rest = _REST_OF_LINE.match(data, at)
    return at if rest is None else rest.end()
