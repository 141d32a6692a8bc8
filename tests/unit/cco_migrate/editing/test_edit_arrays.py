"""Elements are put into arrays in the style they have, and taken out again."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cco_migrate.editing.edits import Format, KeyPath, append_items, remove_items
from cco_migrate.errors import EditRefused

RULES: KeyPath = ("overrides", "rules")
DEMO = b"""[overrides]
enabled = false  # MUST be true

rules = [
    ["claude-sonnet-4.5-20250929", "claude-haiku-4-5-20251001"],
    ["claude-sonnet-4", "claude-haiku-4-5-20251001"], # old
]
"""
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
    ("key", "after_index"), [(RULES, 2), (RULES, -1), (("overrides", "enabled"), 0), (("no",), 0)]
)
def test_append_refuses_what_is_not_there(key: KeyPath, after_index: int) -> None:
    with pytest.raises(EditRefused):
        append_items(DEMO, key, [NEW], [after_index], Format.TOML)


@given(
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), min_size=1, max_size=4),
    st.sampled_from(["", " ", "\n  ", " # a, b ]\n\t", "\r\n"]),
    st.booleans(),
    st.data(),
)
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


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
