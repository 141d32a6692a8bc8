"""Reads TOML, JSON and YAML bytes into objects and says where each value stands. Pure."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

from cco_migrate.editing.spans import (
    DuplicateKeyError,
    Entry,
    KeyPath,
    UnreadableError,
    dotted,
    scan_json,
    scan_toml,
)
from cco_migrate.errors import InvalidInput
from cco_migrate.verdict import Finding, Severity

if TYPE_CHECKING:
    from cco_migrate.editing import yaml_spans

_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_POSITION = re.compile(r" \(at line (\d+), column (\d+)\)$")
_MAX_DEPTH = 100  # far below what the recursion of parser and scanner can take
# What the parsers say, and what to write instead; the first that fits wins.
_FIXES: tuple[tuple[str, str], ...] = (
    (r"at end of document|Unclosed|Unterminated", "close the bracket or quote that is still open"),
    (r"Expected '\]'", "close the bracket that is still open"),
    (r"overwrite|twice|redefine|mutable|Duplicate", "keep one of the two"),
    (r"Invalid value|Expecting value", 'write true, false, a number or a text in "quotes"'),
    (r"',' delimiter", "put a comma between the two"),
    (r"property name|trailing comma", "put keys in double quotes and no comma after the last"),
    (r"Expected newline or end", "one key a line; text needs quotes, a note needs #"),
    (r"Expected '='", 'write key = value; text needs "quotes"'),
)


class Format(StrEnum):
    """The formats configuration files have."""

    TOML = "toml"
    JSON = "json"
    YAML = "yaml"

    @classmethod
    def of(cls, path: Path) -> Format:
        """Return the format the file name says.

        Raises:
            InvalidInput: when the name ends in none of .toml, .json, .yaml and .yml.
        """
        suffix = path.suffix.removeprefix(".").lower()
        try:
            return cls("yaml" if suffix == "yml" else suffix)
        except ValueError as error:
            raise InvalidInput(f"{path}: not a .toml, .json or .yaml file") from error


@dataclass(frozen=True, slots=True)
class Span:
    """Where a value stands: byte offsets, end exclusive, and the 1-based line of its start."""

    start: int
    end: int
    line: int


def parse(data: bytes, fmt: Format, path: Path, *, decimals: bool = False) -> object:
    """Return the document: dicts, lists and scalars; of YAML as `yaml_spans` says.

    Args:
        data: The whole file.
        fmt: How to read it.
        path: Named in messages only.
        decimals: Read what JSON writes with a fraction or an exponent as it is written, not as a
            float: what is money must not be rounded.

    Raises:
        InvalidInput: with one finding: a byte-order mark, not UTF-8, a syntax error, a key named
            twice or a second YAML document, with its line.
    """
    text = _text(data, path)
    if fmt is Format.JSON and not text.strip():
        _refuse(path, "file-syntax", "is empty", "write {}, or remove the file", line=1)
    try:
        document = _document(data, text, fmt, decimals)
    except json.JSONDecodeError as error:
        _refuse_syntax(path, error.msg, error.lineno, error.colno)
    except DuplicateKeyError as error:
        _refuse(path, "file-duplicate-key", "the key is named twice", "keep one of the two",
                line=line_at(data, error.offset), key=dotted(error.path))  # fmt: skip
    except UnreadableError as error:
        _refuse_syntax(path, str(error), line_at(data, error.offset), None)
    except RecursionError:
        _refuse(path, "file-syntax", "nested too deeply to be read", "flatten it")
    except ValueError as error:
        position = _POSITION.search(str(error))
        message = _POSITION.sub("", str(error))
        if position is None:
            last = text.rstrip().count("\n") + 1
            _refuse_syntax(path, message, last if "at end of document" in message else None, None)
        _refuse_syntax(path, message, int(position[1]), int(position[2]))
    if _depth(document) > _MAX_DEPTH:
        _refuse(path, "file-syntax", "nested too deeply to be read", "flatten it")
    return document


def locate(data: bytes, key: KeyPath, fmt: Format) -> Span | None:
    """Return where the value at `key` stands in a valid document; None when it is not there.

    A table is found at its header, a table that only longer keys name at the first of them.
    """
    entry = index(data, fmt).get(key)
    return None if entry is None else Span(entry.start, entry.end, line_at(data, entry.start))


@lru_cache(maxsize=8)  # many checks look at the same few files, one after another
def index(data: bytes, fmt: Format) -> Mapping[KeyPath, Entry]:
    """Return every key path of a valid document with its place, in one pass; read-only."""
    if fmt is Format.YAML:
        return MappingProxyType(_yaml(data.decode()).entries)
    return MappingProxyType(scan_toml(data) if fmt is Format.TOML else scan_json(data))


def line_at(data: bytes, offset: int) -> int:
    """Return the 1-based line of a byte offset."""
    return data.count(b"\n", 0, offset) + 1


def line_of(data: bytes, entries: Mapping[KeyPath, Entry], key: KeyPath) -> int | None:
    """Return the line of `key`, else of the nearest thing around it; None for a missing section."""
    while key:
        if key in entries:
            return line_at(data, entries[key].key_start)
        key = key[:-1]
    return None


def _text(data: bytes, path: Path) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            _refuse(path, "file-bom", f"begins with a byte-order mark ({encoding})",
                    "save it as UTF-8 without BOM", line=1)  # fmt: skip
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        _refuse(path, "file-encoding", f"byte 0x{data[error.start]:02x} is not UTF-8",
                "save it as UTF-8", line=line_at(data, error.start))  # fmt: skip


def _document(data: bytes, text: str, fmt: Format, decimals: bool) -> object:
    if fmt is Format.YAML:
        return _yaml(text).value
    return tomllib.loads(text) if fmt is Format.TOML else _json(data, text, decimals)


def _yaml(text: str) -> yaml_spans.Document:
    from cco_migrate.editing.yaml_spans import scan_yaml  # noqa: PLC0415  # 30 ms that few commands need

    return scan_yaml(text)


def _json(data: bytes, text: str, decimals: bool) -> object:
    repeated = False

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal repeated
        members = dict(pairs)
        repeated = repeated or len(members) < len(pairs)
        return members

    document: object = json.loads(
        text,
        object_pairs_hook=unique,
        parse_float=_number if decimals else None,
        parse_constant=_refuse_constant,
    )
    if repeated:
        scan_json(data)  # raises DuplicateKeyError with the place
    return document


def _depth(document: object) -> int:
    depth, level = 0, [document]
    while level:
        depth += 1
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
    return depth


def _number(digits: str) -> Decimal | int:
    """Return a number as it is written; a whole one as an integer, as JSON Schema sees it."""
    try:
        value = Decimal(digits)
    except InvalidOperation as error:
        raise ValueError(f"{digits} is not a number of any use") from error
    # 1e999999 is better left as it is.
    whole = value.adjusted() < 19 and value == value.to_integral_value()
    return int(value) if whole else value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refuse_syntax(path: Path, message: str, line: int | None, column: int | None) -> NoReturn:
    fix = next((fix for pattern, fix in _FIXES if re.search(pattern, message)), "correct this line")
    where = f" in column {column}" if column is not None else ""
    _refuse(path, "file-syntax", f"syntax error{where}: {message}", fix, line=line)


def _refuse(
    path: Path, rule: str, message: str, fix: str, *, line: int | None = None, key: str = ""
) -> NoReturn:
    finding = Finding(rule, Severity.ERROR, path, message, line=line, key=key, fix=fix)
    raise InvalidInput(str(finding), findings=(finding,))
