"""Edits change the addressed value and nothing else, on any document, or are refused."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cco_migrate.documents import index, line_of
from cco_migrate.edits import (
    Format,
    KeyPath,
    append_items,
    locate,
    parse,
    remove_items,
    replace_value,
    set_value,
    unified_diff,
)
from cco_migrate.errors import EditRefused, InvalidInput
from cco_migrate.spans import Kind, dotted

ENABLED: KeyPath = ("overrides", "enabled")
RULES: KeyPath = ("overrides", "rules")

DEMO = b"""# who answers for whom
[overrides]
enabled = false  # MUST be true

rules = [
    ["claude-sonnet-4.5-20250929", "claude-haiku-4-5-20251001"],
    ["claude-sonnet-4", "claude-haiku-4-5-20251001"], # old
]

[analytics]
enabled = false
"""


# --- replace ---------------------------------------------------------------------------------


def test_replace_changes_one_line_and_keeps_the_comment() -> None:
    edited = replace_value(DEMO, ENABLED, True, Format.TOML)
    assert edited == DEMO.replace(b"enabled = false  #", b"enabled = true  #")
    assert replace_value(edited, ENABLED, False, Format.TOML) == DEMO


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ("a = 1\r\nb = 2 # x\r\n", ("b",), 3, "a = 1\r\nb = 3 # x\r\n"),
        ("a.b = true", ("a", "b"), False, "a.b = false"),
        ("a . 'b.c' = 1", ("a", "b.c"), 2, "a . 'b.c' = 2"),
        ("a = {b = 'x', c = [1, 2]}", ("a", "c", 1), 9, "a = {b = 'x', c = [1, 9]}"),
        ('"a#b" = "]#"  # c', ("a#b",), "ä\n\x7f", '"a#b" = "ä\\n\\u007f"  # c'),
        ("[[t]]\nx = 1\n[[t]]\nx = 2\n[t.u]\ny = 3", ("t", 1, "u", "y"), 4,
         "[[t]]\nx = 1\n[[t]]\nx = 2\n[t.u]\ny = 4"),
        ("d = 1979-05-27 07:32:00 # d", ("d",), 1.5, "d = 1.5 # d"),
        ('s = """a"""""#', ("s",), "b", 's = "b"#'),
        ("s = '''\nx''''\nt = 1", ("t",), 2, "s = '''\nx''''\nt = 2"),
        ("f = inf", ("f",), -math.inf, "f = -inf"),
        ("same = 0x10 # hex", ("same",), 16, "same = 0x10 # hex"),
    ],
)  # fmt: skip
def test_replace_toml_changes_the_value_only(
    before: str, key: KeyPath, value: Any, after: str
) -> None:
    assert replace_value(before.encode(), key, value, Format.TOML).decode() == after


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ('{"a": {"b": [true, null]}}', ("a", "b", 1), "x", '{"a": {"b": [true, "x"]}}'),
        ('{"a\\"b" :\t1 , "a": 2}', ('a"b',), 3, '{"a\\"b" :\t3 , "a": 2}'),
        ('\n{"a": "1"}\r\n', ("a",), 1, '\n{"a": 1}\r\n'),
        ("7", (), 8, "8"),
        ('{"a": 1}', ("a",), True, '{"a": true}'),
        ('{"a": 1}', ("a",), 1.0, '{"a": 1.0}'),
    ],
)
def test_replace_json_changes_the_value_only(
    before: str, key: KeyPath, value: Any, after: str
) -> None:
    assert replace_value(before.encode(), key, value, Format.JSON).decode() == after


@pytest.mark.parametrize(
    ("data", "key", "fmt", "reason"),
    [
        (b"\xef\xbb\xbfa = 1", ("a",), Format.TOML, "byte-order mark"),
        (b"\xff\xfea", ("a",), Format.TOML, "byte-order mark"),
        (b"a = '\xe4'", ("a",), Format.TOML, "not UTF-8"),
        (b"a = ", ("a",), Format.TOML, "syntax error"),
        (b'{"a": 1, "a": 2}', ("a",), Format.JSON, "named twice"),
        (b'{"a": NaN}', ("a",), Format.JSON, "NaN is not JSON"),
        (b"a = 1", ("b",), Format.TOML, "not there"),
        (b"[a]\nb = 1", ("a",), Format.TOML, "not a single value"),
        (b"a = [1]", ("a",), Format.TOML, "not a single value"),
        (b"[" * 5000 + b"]" * 5000, (0,), Format.JSON, "nested too deeply"),
        (b"a = " + b"[" * 300 + b"]" * 300, ("a", 0), Format.TOML, "nested too deeply"),
    ],
)
def test_replace_refuses_what_it_cannot_do_safely(
    data: bytes, key: KeyPath, fmt: Format, reason: str
) -> None:
    with pytest.raises(EditRefused, match=reason):
        replace_value(data, key, 5, fmt)


@pytest.mark.parametrize(("value", "fmt"), [(math.nan, Format.JSON), ("\ud800", Format.TOML)])
def test_replace_refuses_values_the_format_cannot_hold(value: Any, fmt: Format) -> None:
    with pytest.raises(EditRefused):
        replace_value(b'{"a": 1}' if fmt is Format.JSON else b"a = 1", ("a",), value, fmt)


# --- set -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "key", "after"),
    [
        ("[a]\nb = 1 # c\n\n[d]\n", ("a", "x"), "[a]\nb = 1 # c\nx = true\n\n[d]\n"),
        ("[a] # c\r\n[d]\r\n", ("a", "x"), "[a] # c\r\nx = true\r\n[d]\r\n"),
        ("[a]", ("a", "x"), "[a]\nx = true"),
        ("  [a]\n  b = [\n  1,\n  ]", ("a", "x"), "  [a]\n  b = [\n  1,\n  ]\n  x = true"),
        ("# top\n[a]\nb = 1", ("x",), "x = true\n# top\n[a]\nb = 1"),
        ("a = 1\n[b]\n", ("x",), "a = 1\nx = true\n[b]\n"),
        ("", ("x",), "x = true\n"),
        ("[a.b]\n[a]\nc.d = 1\n", ("a", "x"), "[a.b]\n[a]\nc.d = 1\nx = true\n"),
        ("[[t]]\n[[t]]\ny = 1\n", ("t", 0, "x"), "[[t]]\nx = true\n[[t]]\ny = 1\n"),
        ("a = {}", ("a", "x"), "a = {x = true}"),
        ("a = { b.c = 1 }", ("a", "x"), "a = { b.c = 1, x = true }"),
        ("[a]\nx = false", ("a", "x"), "[a]\nx = true"),
        ("[a]\n", ("a", "x y"), '[a]\n"x y" = true\n'),
    ],
)
def test_set_toml_inserts_into_the_table(before: str, key: KeyPath, after: str) -> None:
    assert set_value(before.encode(), key, True, Format.TOML).decode() == after


@pytest.mark.parametrize(
    ("before", "key", "after"),
    [
        ("{}", ("x",), '{"x": true}'),
        ('{"a": 1}', ("x",), '{"a": 1, "x": true}'),
        ('{"a":1,"b":2}', ("x",), '{"a":1,"b":2,"x":true}'),
        ('{\r\n  "a": {\r\n    "b": 1\r\n  }\r\n}\r\n', ("a", "x"),
         '{\r\n  "a": {\r\n    "b": 1,\r\n    "x": true\r\n  }\r\n}\r\n'),
        ('{\n\t"a": []\n}', ("x",), '{\n\t"a": [],\n\t"x": true\n}'),
    ],
)  # fmt: skip
def test_set_json_inserts_into_the_object(before: str, key: KeyPath, after: str) -> None:
    assert set_value(before.encode(), key, True, Format.JSON).decode() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"[overrides]\nenabled = true\n"),
        (b"a = 1\n# note\n", b"a = 1\n# note\n\n[overrides]\nenabled = true\n"),
        (b"[b]\r\nc = 2", b"[b]\r\nc = 2\r\n\r\n[overrides]\r\nenabled = true\r\n"),
    ],
)
def test_set_writes_a_missing_toml_table_behind_everything(before: bytes, after: bytes) -> None:
    assert set_value(before, ("overrides", "enabled"), True, Format.TOML) == after


@pytest.mark.parametrize(
    ("data", "key", "fmt"),
    [
        (b"a = 1", ("b", "c", "x"), Format.TOML),  # no such table, and its own is nested
        (b"a.b = 1", ("a", "x"), Format.TOML),  # a table without a place of its own
        (b"a = 1", ("a", "x"), Format.TOML),  # not a table
        (b"a = [1]", ("a", 1), Format.TOML),  # not a key
        (b"[[t]]", ("t", "x"), Format.TOML),  # many tables
        (b"[]", ("x",), Format.JSON),
    ],
)
def test_set_refuses_without_a_table_to_put_it_into(data: bytes, key: KeyPath, fmt: Format) -> None:
    with pytest.raises(EditRefused):
        set_value(data, key, True, fmt)


# --- append ----------------------------------------------------------------------------------

NEW = ("x", "y")


@pytest.mark.parametrize(
    ("before", "after_index", "after"),
    [
        ('r = [\n  ["a", "b"],\n  ["c", "d"],\n]\n', 0,
         'r = [\n  ["a", "b"],\n  ["x", "y"],\n  ["c", "d"],\n]\n'),
        ('r = [\n  ["a", "b"],\n  ["c", "d"],\n]\n', 1,
         'r = [\n  ["a", "b"],\n  ["c", "d"],\n  ["x", "y"],\n]\n'),
        ('r = [\r\n\t["a", "b"], # it, says\r\n\t["c", "d"] # no, comma\r\n]', 1,
         'r = [\r\n\t["a", "b"], # it, says\r\n\t["c", "d"], # no, comma\r\n\t["x", "y"]\r\n]'),
        ('r = [\r\n\t["a", "b"], # it, says\r\n\t["c", "d"] # no, comma\r\n]', 0,
         'r = [\r\n\t["a", "b"], # it, says\r\n\t["x", "y"],\r\n\t["c", "d"] # no, comma\r\n]'),
        ('r = [["a", "b"], ["c", "d"]]', 0, 'r = [["a", "b"], ["x", "y"], ["c", "d"]]'),
        ('r = [["a", "b"], ["c", "d"]]', 1, 'r = [["a", "b"], ["c", "d"], ["x", "y"]]'),
        ('r = [["a", "b"],\n     ["c", "d"]]', 0,
         'r = [["a", "b"],\n     ["x", "y"],\n     ["c", "d"]]'),
        ('r = [["a", "b"],\n]', 0, 'r = [["a", "b"],\n     ["x", "y"],\n]'),
        ('r = [\n ["a", "b"] # c\n , ["c", "d"]]', 0,
         'r = [\n ["a", "b"] # c\n , ["x", "y"], ["c", "d"]]'),
    ],
)  # fmt: skip
def test_append_keeps_the_style_of_the_array(before: str, after_index: int, after: str) -> None:
    edited = append_items(before.encode(), ("r",), [NEW], [after_index], Format.TOML)
    assert edited.decode() == after


def test_append_several_keeps_their_order() -> None:
    pairs = [("1", "a"), ("2", "b"), ("3", "c")]
    edited = append_items(DEMO, RULES, pairs, [1, 0, 1], Format.TOML)
    rules = tomllib.loads(edited.decode())["overrides"]["rules"]
    assert [rule[0] for rule in rules] == [
        "claude-sonnet-4.5-20250929", "2", "claude-sonnet-4", "1", "3",
    ]  # fmt: skip
    assert set(DEMO.splitlines()) <= set(edited.splitlines())


def test_append_json_inserts_a_line() -> None:
    before = b'{"r": [\n  ["a", "b"]\n]}'
    assert append_items(before, ("r",), [NEW], [0], Format.JSON) == (
        b'{"r": [\n  ["a", "b"],\n  ["x", "y"]\n]}'
    )


def test_append_nothing_returns_the_same_bytes() -> None:
    assert append_items(DEMO, RULES, [], [], Format.TOML) == DEMO


@pytest.mark.parametrize(
    ("key", "after_index"), [(RULES, 2), (RULES, -1), (ENABLED, 0), (("no",), 0)]
)
def test_append_refuses_what_is_not_there(key: KeyPath, after_index: int) -> None:
    with pytest.raises(EditRefused):
        append_items(DEMO, key, [NEW], [after_index], Format.TOML)


# --- locate, diff, format --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text", "line"),
    [
        (ENABLED, b"false", 3),
        ((*RULES, 1, 0), b'"claude-sonnet-4"', 7),
        (("analytics",), b"[analytics]", 10),
    ],
)
def test_locate_returns_the_bytes_and_line(key: KeyPath, text: bytes, line: int) -> None:
    span = locate(DEMO, key, Format.TOML)
    assert span is not None
    assert (DEMO[span.start : span.end], span.line) == (text, line)


def test_locate_unknown_key_returns_none_and_its_line_is_the_table_around_it() -> None:
    key = ("overrides", "nope", 3)
    assert locate(DEMO, key, Format.TOML) is None
    entries = index(DEMO, Format.TOML)
    assert line_of(DEMO, entries, key) == 2
    assert line_of(DEMO, entries, ("other",)) is None


def test_unified_diff_shows_the_changed_line_only() -> None:
    edited = replace_value(DEMO, ENABLED, True, Format.TOML)
    changed = [
        line
        for line in unified_diff(DEMO, edited, "model-overrides.toml").splitlines()
        if line[:1] in "+-"
    ]
    assert changed == [
        "--- a/model-overrides.toml",
        "+++ b/model-overrides.toml",
        "-enabled = false  # MUST be true",
        "+enabled = true  # MUST be true",
    ]


def test_unified_diff_marks_a_missing_final_newline() -> None:
    assert unified_diff(b"a", b"b", "f").endswith(
        "-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
    )
    assert unified_diff(b"a", b"a", "f") == ""


def test_format_of_an_unknown_suffix_is_refused() -> None:
    assert Format.of(Path("x/A.TOML")) is Format.TOML
    with pytest.raises(InvalidInput):
        Format.of(Path("a.yaml"))


# --- laws ------------------------------------------------------------------------------------

# The same documents on every run: a red build is never luck.
LAW = settings(max_examples=150, deadline=None, derandomize=True, database=None)

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
@LAW
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
@LAW
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
@LAW
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


@given(
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), min_size=1, max_size=4),
    st.sampled_from(["", " ", "\n  ", " # a, b ]\n\t", "\r\n"]),
    st.booleans(),
    st.data(),
)
@LAW
def test_append_on_any_array_inserts_only_the_items(
    pairs: list[tuple[str, str]], gap: str, trailing: bool, choice: st.DataObject
) -> None:
    elements = [f"[{_quoted(a)},{_quoted(b)}]" for a, b in pairs]
    comma = "," if trailing else ""
    data = f"[o]\nr = [{gap}{f',{gap}'.join(elements)}{comma}{gap}] # end".encode()
    anchors = choice.draw(st.lists(st.integers(0, len(pairs) - 1), max_size=3))
    items = [(f"n{number}", "t") for number in range(len(anchors))]
    edited = append_items(data, ("o", "r"), items, anchors, Format.TOML)
    expected: list[list[str]] = []
    for number, pair in enumerate(pairs):
        expected.append(list(pair))
        expected += [list(i) for i, at in zip(items, anchors, strict=True) if at == number]
    assert tomllib.loads(edited.decode())["o"]["r"] == expected


def test_replace_agrees_with_tomlkit() -> None:
    for data in (DEMO, DEMO.replace(b"\n", b"\r\n"), DEMO.rstrip()):
        document: Any = tomlkit.parse(data.decode())
        document["overrides"]["enabled"] = True
        assert replace_value(data, ENABLED, True, Format.TOML) == tomlkit.dumps(document).encode()


# --- remove ----------------------------------------------------------------------------------


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_remove_takes_back_what_append_wrote(newline: str, after: int) -> None:
    text = 'a = 1\n[o]\nr = [\n  ["a", "b"],  # one\n  ["c", "d"],\n  ["e", "f"],\n]\n'
    data = text.replace("\n", newline).encode()
    grown = append_items(data, ("o", "r"), [("x", "y")], [after], Format.TOML)
    assert remove_items(grown, ("o", "r"), [("x", "y")], Format.TOML) == data


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('r = [["a", "b"], ["x", "y"]]\n', "shares its line"),
        ('r = [\n  ["x", "y"],  # kept for a reason\n]\n', "shares its line"),
        ('r = [\n  ["a", "b"],\n]\n', "not there any more"),
        ("r = 1\n", "not an array"),
        ("[", "cannot be edited"),
    ],
)
def test_remove_refuses_what_is_not_ours_alone(text: str, reason: str) -> None:
    with pytest.raises(EditRefused, match=reason):
        remove_items(text.encode(), ("r",), [("x", "y")], Format.TOML)
