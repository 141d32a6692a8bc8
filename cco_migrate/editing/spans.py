"""Finds where each value of a valid TOML or JSON document stands, as byte offsets. Pure.

Both scanners trust that a real parser accepted the document before, so they only have to find
borders, not faults. They work on bytes: every delimiter is ASCII, and no byte of a longer UTF-8
sequence looks like ASCII.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum

KeyPath = tuple[str | int, ...]

_BARE_KEY = re.compile(rb"[A-Za-z0-9_-]+")
_STRING = re.compile(
    # the three-quote forms end at the last of up to five quotes
    rb'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    rb"|'''.*?'''(?:'{0,2})"
    rb'|"(?:\\.|[^"\\])*"'
    rb"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(rb"(?:\d{4}-\d\d-\d\d (?=\d\d:))?[^\s,\]}#]+")
_BLANK = re.compile(rb"[ \t]*")
_TOML_SPACE = re.compile(rb"(?:[ \t\r\n]|#[^\n]*)*")
_JSON_SPACE = re.compile(rb"[ \t\r\n]*")


class Kind(StrEnum):
    """What stands at a key path."""

    SCALAR = "scalar"
    ARRAY = "array"
    LIST = "block list"  # YAML, one dash an element
    OBJECT = "object"  # JSON object, TOML inline table, YAML flow mapping: between braces
    BLOCK = "block mapping"  # YAML, one line a key
    TABLE = "table"  # TOML [header]
    TABLES = "tables"  # TOML [[header]]: all of them together
    IMPLIED = "implied"  # exists only because a longer key names it


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one value stands; all offsets in bytes, ends exclusive.

    Attributes:
        start: First byte of the value, of the header for a table, of the key for an implied one.
        end: One past its last byte.
        key_start: First byte of its key; equals start for array elements, headers and the root.
        key_end: One past the last byte of its key.
        guard: Why neither it nor anything in it may be edited; empty when it may.
    """

    kind: Kind
    start: int
    end: int
    key_start: int
    key_end: int
    guard: str = ""


class DuplicateKeyError(ValueError):
    """An object names a key twice.

    Attributes:
        path: The key.
        offset: Byte offset of its second value.
    """

    def __init__(self, path: KeyPath, offset: int) -> None:
        self.path, self.offset = path, offset
        super().__init__(dotted(path))


class UnreadableError(ValueError):
    """The document is not YAML, or not one that can be edited.

    Attributes:
        offset: Byte offset of the fault.
    """

    def __init__(self, reason: str, offset: int) -> None:
        self.offset = offset
        super().__init__(reason)


def dotted(path: KeyPath) -> str:
    """Return `path` as people write it, e.g. "overrides.rules[0][1]"."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        name = part if _BARE_KEY.fullmatch(part.encode("utf-8", "replace")) else json.dumps(part)
        text += f".{name}" if text else name
    return text


def scan_json(data: bytes) -> dict[KeyPath, Entry]:
    """Return every value of a valid JSON document by its path; the root is ().

    Raises:
        DuplicateKeyError: when an object names a key twice.
    """
    scan = _Scan(data, {}, _JSON_SPACE)
    scan.value((), scan.skip(0))
    return scan.found


def scan_toml(data: bytes) -> dict[KeyPath, Entry]:
    """Return every value and table of a valid TOML document by its path; the root is ()."""
    scan = _Scan(data, {(): Entry(Kind.TABLE, 0, 0, 0, 0)}, _TOML_SPACE)
    lengths: dict[KeyPath, int] = {}
    table: KeyPath = ()
    at = scan.skip(0)
    while at < len(data):
        if data[at : at + 1] == b"[":
            table, at = _header(scan, lengths, at)
        else:
            at = scan.pair(table, at)
        at = scan.skip(at)
    return scan.found


def _header(scan: _Scan, lengths: dict[KeyPath, int], at: int) -> tuple[KeyPath, int]:
    """Record the table whose header stands at `at`; `lengths` counts each array of tables."""

    def newest(path: KeyPath) -> KeyPath:
        return (*path, lengths[path] - 1) if path in lengths else path

    brackets = 2 if scan.data[at : at + 2] == b"[[" else 1
    names, key_end = scan.key(_after(_BLANK, scan.data, at + brackets))
    end = scan.skip(key_end) + brackets
    path: KeyPath = ()
    for name in names[:-1]:
        path = newest((*path, name))
        scan.imply(path, at, end)
    path = (*path, names[-1])
    if brackets == 2:
        lengths[path] = lengths.get(path, 0) + 1
        scan.found.setdefault(path, Entry(Kind.TABLES, at, end, at, at))
        path = newest(path)
    scan.found[path] = Entry(Kind.TABLE, at, end, at, at)
    return path, end


def _after(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Return where `pattern` ends at `at`, or `at` itself when it does not match there."""
    match = pattern.match(data, at)
    return at if match is None else match.end()


@dataclass(slots=True)
class _Scan:
    """One pass over one document; the two formats differ in their space and their keys."""

    data: bytes
    found: dict[KeyPath, Entry]
    space: re.Pattern[bytes]

    def skip(self, at: int) -> int:
        """Return where the next thing that is neither space nor comment begins."""
        return _after(self.space, self.data, at)

    def value(self, path: KeyPath, at: int, key: tuple[int, int] | None = None) -> int:
        """Record the value at `at` and all it holds; return where it ends."""
        if path in self.found:
            raise DuplicateKeyError(path, at)
        self.found[path] = Entry(Kind.SCALAR, at, at, at, at)  # stands before its children
        first = self.data[at : at + 1]
        kind = Kind.SCALAR
        if first == b"{":
            kind, end = Kind.OBJECT, self._members(path, at + 1)
        elif first == b"[":
            kind, end = Kind.ARRAY, self._items(path, at + 1)
        else:
            end = _after(_STRING if first in (b'"', b"'") else _SCALAR, self.data, at)
        self.found[path] = Entry(kind, at, end, *(key or (at, at)))
        return end

    def pair(self, path: KeyPath, at: int) -> int:
        """Record the key and value at `at`; return where the value ends."""
        names, key_end = self.key(at)
        for name in names[:-1]:
            path = (*path, name)
            self.imply(path, at, key_end)
        separator = self.skip(key_end)
        return self.value((*path, names[-1]), self.skip(separator + 1), (at, key_end))

    def key(self, at: int) -> tuple[list[str], int]:
        """Return the parts of the key at `at`, one when it is not dotted, and where it ends."""
        names: list[str] = []
        while True:
            quoted = self.data[at : at + 1] in (b'"', b"'")
            end = _after(_STRING if quoted else _BARE_KEY, self.data, at)
            raw = self.data[at:end].decode()
            names.append(self._unquoted(raw) if quoted else raw)
            dot = self.skip(end)
            if self.data[dot : dot + 1] != b".":
                return names, end
            at = self.skip(dot + 1)

    def imply(self, path: KeyPath, start: int, end: int) -> None:
        """Record a table that exists only because a longer key names it."""
        self.found.setdefault(path, Entry(Kind.IMPLIED, start, end, start, end))

    def _unquoted(self, raw: str) -> str:
        if self.space is _JSON_SPACE:
            return str(json.loads(raw))
        return next(iter(tomllib.loads(f"{raw} = 0")))

    def _members(self, path: KeyPath, at: int) -> int:
        at = self.skip(at)
        while self.data[at : at + 1] != b"}":
            at = self._comma(self.pair(path, at))
        return at + 1

    def _items(self, path: KeyPath, at: int) -> int:
        at, index = self.skip(at), 0
        while self.data[at : at + 1] != b"]":
            at, index = self._comma(self.value((*path, index), at)), index + 1
        return at + 1

    def _comma(self, at: int) -> int:
        """Skip a comma with the space around it; where there is none, only space."""
        at = self.skip(at)
        return self.skip(at + 1) if self.data[at : at + 1] == b"," else at
