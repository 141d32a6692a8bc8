"""Edits change the addressed value of a document, or insert it where it belongs, or are refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from cco_migrate.editing.documents import index, line_of
from cco_migrate.editing.edits import (
    Format,
    KeyPath,
    locate,
    replace_value,
    set_value,
    unified_diff,
)
from cco_migrate.errors import EditRefused, InvalidInput

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


def test_replace_agrees_with_tomlkit() -> None:
    for data in (DEMO, DEMO.replace(b"\n", b"\r\n"), DEMO.rstrip()):
        document: Any = tomlkit.parse(data.decode())
        document["overrides"]["enabled"] = True
        assert replace_value(data, ENABLED, True, Format.TOML) == tomlkit.dumps(document).encode()


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
    assert Format.of(Path("a.yaml")) is Format.of(Path("a.yml")) is Format.YAML
    with pytest.raises(InvalidInput):
        Format.of(Path("a.ini"))
