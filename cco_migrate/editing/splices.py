"""Where a line, a member or an element goes in or comes out, in the style around it. Pure.

Nothing here is proved: `edits` reads every result again before anybody gets it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cco_migrate.editing.spans import Entry, KeyPath, Kind

_REST_OF_LINE = re.compile(rb"[ \t]*(?:#[^\r\n]*)?(?=\r?\n|\Z)")
# Possessive, so that a comma inside a comment is never taken for the one behind it.
_COMMA = re.compile(rb"(?:[ \t\r\n]|#[^\n]*+)*+,")
_HEADERS = (Kind.TABLE, Kind.TABLES, Kind.IMPLIED)


def members_of(entries: Mapping[KeyPath, Entry], table: KeyPath) -> list[Entry]:
    """Return the values in a table's own lines or braces, dotted keys included, by place."""
    size = len(table)
    found = [
        entry
        for path, entry in entries.items()
        if len(path) > size
        and path[:size] == table
        and entry.kind not in _HEADERS
        and all(entries[path[:n]].kind is Kind.IMPLIED for n in range(size + 1, len(path)))
    ]
    return sorted(found, key=lambda entry: entry.end)


def insert_line(data: bytes, table: Entry, members: Sequence[Entry], line: bytes) -> bytes:
    """Put `line` behind the last member's line, else behind the header, else on top."""
    if not members and table.start == table.end:
        return line + _newline(data) + data
    last = members[-1] if members else table
    indent = _indent(data, last.key_start) or b""
    if table.kind is Kind.BLOCK:  # its first key may share the line of a list's dash
        indent = b" " * (last.key_start - _line_start(data, last.key_start))
    at = _line_end(data, last.end)
    newline = _newline(data[at : at + 2] if data[at:] else data)
    return data[:at] + newline + indent + line + data[at:]


def insert_member(
    data: bytes, parent: Entry, members: Sequence[Entry], name: bytes, value: bytes, between: bytes
) -> bytes:
    """Put a member behind the last one between braces, spaced like it.

    Args:
        between: What stands between a key and its value when there is no other member to look at.
    """
    if not members:
        return data[: parent.start] + b"{" + name + between + value + b"}" + data[parent.end :]
    last = members[-1]
    lead = data[parent.start + 1 : last.key_start]
    space = lead[len(lead.rstrip()) :]
    if not space and len(members) == 1:
        space = b" "
    separator = data[last.key_end : last.start]
    return data[: last.end] + b"," + space + name + separator + value + data[last.end :]


def insert_items(data: bytes, anchor: Entry, following: Entry | None, texts: list[bytes]) -> bytes:
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
            indent = b" " * (anchor.start - _line_start(data, anchor.start))
        crlf = data[rest.end() : rest.end() + 2] == b"\r\n"
        lead, place = (b"\r\n" if crlf else b"\n") + indent, rest.end()
    if comma:
        added = b"".join(lead + text + b"," for text in texts)
        return data[:place] + added + data[place:]
    added = b",".join(lead + text for text in texts)
    return data[: anchor.end] + b"," + data[anchor.end : place] + added + data[place:]


def remove_line(data: bytes, member: Entry) -> bytes | None:
    """Take out the line of a key and its value, its comment too; None when it shares its line."""
    start, end = _line_start(data, member.key_start), _line_end(data, member.end)
    ends_line = data[end : end + 1] in {b"", b"\n"} or data[end : end + 2] == b"\r\n"
    if _indent(data, member.key_start) is None or not ends_line:
        return None
    after = data.find(b"\n", end) + 1
    if after == 0:  # the last line, without a line ending: that of the line before goes
        before = data[:start]
        return before.removesuffix(b"\n").removesuffix(b"\r")
    return data[:start] + data[after:]


def remove_member(data: bytes, parent: Entry, members: Sequence[Entry], member: Entry) -> bytes:
    """Take out a member between braces, with the comma that it no longer needs."""
    number = members.index(member)
    if number > 0:
        return data[: members[number - 1].end] + data[member.end :]
    if len(members) > 1:
        return data[: member.key_start] + data[members[1].key_start :]
    return data[: parent.start] + b"{}" + data[parent.end :]


def remove_item(data: bytes, element: Entry) -> bytes | None:
    """Take out the line of an array's element, its comma too; None when it shares its line."""
    start = _line_start(data, element.start)
    found = data.find(b"\n", element.end)
    end = len(data) if found < 0 else found + 1
    around = data[start : element.start] + data[element.end : end]
    return None if around.strip(b" \t\r\n") not in {b"", b","} else data[:start] + data[end:]


def append_table(data: bytes, name: str, key: str, value: bool | int | float | str) -> bytes:
    """Write a new TOML table with one key behind everything; what stood there keeps its bytes."""
    import tomlkit  # noqa: PLC0415  # 40 ms that few edits need

    new = tomlkit.document()
    new.add(name, tomlkit.table().add(key, value))
    newline = _newline(data)
    text = tomlkit.dumps(new).encode().replace(b"\n", newline)
    gap = b"" if not data else newline if data.endswith(b"\n") else newline * 2
    return data + gap + text


def _newline(data: bytes) -> bytes:
    return b"\r\n" if b"\r\n" in data else b"\n"


def _line_start(data: bytes, at: int) -> int:
    return data.rfind(b"\n", 0, at) + 1


def _line_end(data: bytes, at: int) -> int:
    """Return where the line of `at` ends, its comment included, its line ending not."""
    rest = _REST_OF_LINE.match(data, at)
    return at if rest is None else rest.end()


def _indent(data: bytes, at: int) -> bytes | None:
    """Return the blanks before `at` on its line; None when something else stands there."""
    blanks = data[_line_start(data, at) : at]
    return None if blanks.strip(b" \t") else blanks
