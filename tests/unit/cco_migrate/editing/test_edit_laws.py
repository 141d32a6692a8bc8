"""The laws of edits, on any TOML and JSON document: one value changes, and nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from cco_migrate.editing.documents import index
from cco_migrate.editing.edits import Format, KeyPath, locate, parse, replace_value, set_value
from cco_migrate.editing.spans import Kind, dotted

NAMES = st.text(max_size=6) | st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True)
VALUES = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=12)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


TOML_SCALARS = st.one_of(
    VALUES.filter(lambda value: not isinstance(value, str)).map(
        lambda value: str(value).lower() if isinstance(value, bool) else repr(value)
    ),
    st.sampled_from([
        "0xDEAD", "1_000", "'lit#]eral'", '"""m"l\n"""""', "'''a\n'b'''''", "1979-05-27",
        "1979-05-27 07:32:00Z", "07:32:00.5", '"\\"}#"', "''", '""', "-nan",
    ]),
    st.text(max_size=8).map(_quoted),
)  # fmt: skip


def _toml_name(name: str, literal: bool) -> str:
    if name and all(one.isascii() and (one.isalnum() or one in "_-") for one in name):
        return name
    if literal and name.isprintable() and "'" not in name:
        return f"'{name}'"
    return _quoted(name)


@st.composite
def toml_values(draw: st.DrawFn, depth: int = 2) -> str:
    """A scalar, an array in some style, or an inline table."""
    kind = draw(st.sampled_from(["scalar", "scalar", "array", "inline"])) if depth else "scalar"
    if kind == "scalar":
        return draw(TOML_SCALARS)
    parts = draw(st.lists(toml_values(depth - 1), max_size=3))
    if kind == "inline":
        names = draw(st.lists(NAMES, min_size=len(parts), max_size=len(parts), unique=True))
        members = (f"{_toml_name(n, True)} = {v}" for n, v in zip(names, parts, strict=True))
        return "{ " + ", ".join(members) + "}"
    gap = draw(st.sampled_from(["", " ", "\n  ", " # it's, a ] \"note\n\t"]))
    comma = draw(st.sampled_from([",", gap + ","])) if parts else ""
    return "[" + gap + f"{comma}{gap}".join(parts) + draw(st.sampled_from(["", comma])) + gap + "]"


@st.composite
def toml_pairs(draw: st.DrawFn) -> str:
    """Lines `key = value` with dotted and quoted keys, comments and empty lines."""
    lines = []
    for name in draw(st.lists(NAMES, max_size=3, unique=True)):
        key = _toml_name(name, draw(st.booleans()))
        key += draw(st.sampled_from(["", "", ".'q.d'", " . d . e"]))
        tail = draw(st.sampled_from(["", "  # x = 'y", "\n"]))
        lines.append(f"{draw(st.sampled_from(['', '  ']))}{key} = {draw(toml_values())}{tail}\n")
    return "".join(lines)


MANY = "[[many-tables]]"
# Longer than any of NAMES, so that no document names a key twice.
TABLES = ["[table-{}]", "[table-{}.'x y'. z]", MANY, "[many-tables.b{}]", "[ 'quoted-{}' ] #"]


@st.composite
def toml_documents(draw: st.DrawFn) -> bytes:
    """A document with tables, sub-tables and arrays of tables, either line ending."""
    text = draw(toml_pairs())
    for number in range(draw(st.integers(0, 3))):
        head = draw(st.sampled_from(TABLES)).format(number)
        text += ("" if MANY in text or "[many-tables." not in head else f"{MANY}\n") + head + "\n"
        text += draw(toml_pairs())
    text = text.removesuffix("\n") if draw(st.booleans()) else text
    return (text.replace("\n", "\r\n") if draw(st.booleans()) else text).encode()


@st.composite
def json_documents(draw: st.DrawFn) -> bytes:
    """A document in any of the usual layouts."""
    tree = draw(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
            max_leaves=8,
        ).filter(lambda value: "inf" not in repr(value))
    )
    indent = draw(st.sampled_from([None, 0, 2, "\t"]))
    text = json.dumps(tree, indent=indent, ensure_ascii=draw(st.booleans()))
    return (text.replace("\n", "\r\n") if draw(st.booleans()) else text).encode()


DOCUMENTS = st.one_of(
    toml_documents().map(lambda data: (data, Format.TOML)),
    json_documents().map(lambda data: (data, Format.JSON)),
)


def _leaves(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    else:
        yield path, value
    for name, child in children:
        yield from _leaves(child, (*path, name))


def _facts(document: object) -> dict[KeyPath, str]:
    """Return each leaf with its exact value: 1, 1.0 and true differ."""
    return {path: f"{type(leaf).__name__} {leaf!r}" for path, leaf in _leaves(document)}


def _read(data: bytes, fmt: Format) -> object:
    return parse(data, fmt, Path("document"))


@given(DOCUMENTS)
def test_every_value_of_any_document_is_located(case: tuple[bytes, Format]) -> None:
    data, fmt = case
    leaves = dict(_leaves(_read(data, fmt)))
    entries = index(data, fmt)
    assert {path for path, entry in entries.items() if entry.kind is Kind.SCALAR} == set(leaves)
    for path, leaf in leaves.items():
        text = data[entries[path].start : entries[path].end]
        alone = b"x = " + text if fmt is Format.TOML else b'{"x": ' + text + b"}"
        assert _facts(_read(alone, fmt)) == {("x",): f"{type(leaf).__name__} {leaf!r}"}


@given(DOCUMENTS, st.data(), VALUES)
def test_replace_on_any_document_changes_only_the_addressed_value(
    case: tuple[bytes, Format], choice: st.DataObject, value: Any
) -> None:
    data, fmt = case
    leaves = sorted(_facts(_read(data, fmt)), key=dotted)
    assume(leaves)
    assume(fmt is Format.TOML or not isinstance(value, float) or math.isfinite(value))
    key = choice.draw(st.sampled_from(leaves))
    # The first replacement brings the value into our spelling; from there, there and back.
    canonical = replace_value(data, key, "start", fmt)
    edited = replace_value(canonical, key, value, fmt)
    expected = _facts(_read(data, fmt)) | {key: f"{type(value).__name__} {value!r}"}
    assert _facts(_read(edited, fmt)) == expected
    assert replace_value(edited, key, "start", fmt) == canonical
    assert edited.count(b"\r\n") == data.count(b"\r\n") - _line_ends_inside(data, key, fmt)


def _line_ends_inside(data: bytes, key: KeyPath, fmt: Format) -> int:
    span = locate(data, key, fmt)
    assert span is not None
    return data[span.start : span.end].count(b"\r\n")


@given(DOCUMENTS, st.data(), NAMES)
def test_set_on_any_table_of_any_document_adds_only_the_key(
    case: tuple[bytes, Format], choice: st.DataObject, name: str
) -> None:
    data, fmt = case
    entries = index(data, fmt)
    tables = [path for path, one in entries.items() if one.kind in (Kind.TABLE, Kind.OBJECT)]
    assume(tables)
    key = (*choice.draw(st.sampled_from(sorted(tables, key=dotted))), name)
    assume(key not in entries)
    before = _facts(_read(data, fmt))
    assert _facts(_read(set_value(data, key, True, fmt), fmt)) == before | {key: "bool True"}
