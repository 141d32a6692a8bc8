"""A YAML edit changes one value and no other byte, or names the line and the reason it will not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from cco_migrate.editing.documents import index
from cco_migrate.editing.edits import (
    Format,
    KeyPath,
    append_items,
    locate,
    parse,
    remove_value,
    replace_value,
    same,
    set_value,
)
from cco_migrate.editing.spans import Kind
from cco_migrate.errors import EditRefused, InvalidInput

YAML = Format.YAML
DEMO = """\
%YAML 1.1
---
# who answers for whom
gateway:
  port: 8080   # the front door
  name: 'it''s'
  on: yes
  empty:
  routes:
  - match: claude
    model: "x"  # until the review
  - {match: gpt, model: y}
  limits: {rps: 5}

# the end of it
audit: &audit
  keep: true
copy: *audit
merged:
  <<: *audit
  extra: 1
typed: !Ref thing
prompt: |
  # no comment
  hello

last: 1
"""


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        (("gateway", "port"), 9, "port: 8080   #", "port: 9   #"),
        (("gateway", "name"), "you're", "'it''s'", "'you''re'"),
        (("gateway", "name"), "two\nlines", "'it''s'", '"two\\nlines"'),
        (("gateway", "empty"), "v", "empty:\n", 'empty: "v"\n'),
        (("gateway", "routes", 0, "match"), "claude-opus", "match: claude", "match: claude-opus"),
        (("gateway", "routes", 0, "match"), "no", "match: claude", 'match: "no"'),
        (("gateway", "routes", 0, "model"), "z", 'model: "x"  #', 'model: "z"  #'),
        (("gateway", "routes", 1, "model"), "a: b", "model: y}", 'model: "a: b"}'),
        (("gateway", "limits", "rps"), 1e20, "rps: 5", "rps: 1.0e+20"),
        (("gateway", "limits", "rps"), -math.inf, "rps: 5", "rps: -.inf"),
        (("merged", "extra"), None, "extra: 1", "extra: null"),
        (("last",), False, "last: 1", "last: false"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_replace_splices_the_value_in_the_style_of_the_old_one(
    key: KeyPath, value: Any, old: str, new: str, newline: str
) -> None:
    data = DEMO.replace("\n", newline).encode()
    edited = replace_value(data, key, value, YAML).decode()
    assert edited == DEMO.replace(old, new).replace("\n", newline)


@pytest.mark.parametrize(
    "text", ["yes", "No", "on", "y", "017", "0o17", "0x1F", "1:30", "1_000", "1e3", "2024-01-01"]
)
def test_text_that_readers_disagree_on_equals_no_value_and_comes_back_as_it_was(text: str) -> None:
    data = f"a: {text}  # note\n".encode()
    document = parse(data, YAML, Path("a.yaml"))
    assert isinstance(document, dict)
    (found,) = document.values()
    for value in (True, False, 1000, 15, 17, text):
        edited = replace_value(data, ("a",), value, YAML)
        assert edited != data
        assert replace_value(edited, ("a",), found, YAML) == data


@pytest.mark.parametrize(
    ("before", "key", "after"),
    [
        ("a: 1\n", ("b",), "a: 1\nb: true\n"),
        ("a: 1  # one", ("b",), "a: 1  # one\nb: true"),
        ("a: 1\r\nb: 1\n", ("x",), "a: 1\r\nb: 1\nx: true\n"),
        ("a: 1\r\n\r\n# end\r\n", ("b",), "a: 1\r\nb: true\r\n\r\n# end\r\n"),
        ("a:\n    b: 1\n    c:\n      d: 1\n\ne: 1\n", ("a", "x"),
         "a:\n    b: 1\n    c:\n      d: 1\n    x: true\n\ne: 1\n"),
        ("- a: 1\n- b: 2\n", (0, "x"), "- a: 1\n  x: true\n- b: 2\n"),
        ("a: |\n  text\n\nb: 1\n", ("x",), "a: |\n  text\n\nb: 1\nx: true\n"),
        ("o:\n  a: >\n   text\n   # more\n\nb: 1\n", ("o", "x"),
         "o:\n  a: >\n   text\n   # more\n  x: true\n\nb: 1\n"),
        ("o: {a: 1}  # o\n", ("o", "x"), "o: {a: 1, x: true}  # o\n"),
        ("o: {}\n", ("o", "x"), "o: {x: true}\n"),
        ("---\na: 1\n...\n", ("on",), '---\na: 1\n"on": true\n...\n'),
        ("", ("x",), "x: true\n"),
        ("# nothing yet\n", ("x",), "x: true\n# nothing yet\n"),
    ],
)  # fmt: skip
def test_set_inserts_behind_the_last_key_and_remove_takes_it_out(
    before: str, key: KeyPath, after: str
) -> None:
    edited = set_value(before.encode(), key, True, YAML)
    assert edited.decode() == after
    assert remove_value(edited, key, YAML).decode() == before


def test_items_go_into_a_list_between_brackets() -> None:
    data = b"rules: [\n  [a, b],\n]\n"
    grown = append_items(data, ("rules",), [("c", "yes")], [0], YAML)
    assert grown == b'rules: [\n  [a, b],\n  ["c", "yes"],\n]\n'
    with pytest.raises(EditRefused, match="not an array"):
        append_items(b"rules:\n- [a, b]\n", ("rules",), [("c", "d")], [0], YAML)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (("audit", "keep"), "audit.keep: line 16: an anchor (&audit) stands here"),
        (("audit", "new"), "audit.new: line 16: an anchor (&audit) stands here"),
        (("copy",), "copy: line 18: an alias (*audit) stands here"),
        (("merged", "keep"), "merged.keep: line 20: a merge key (<<)"),
        (("merged", "<<"), 'merged."<<": line 20: an alias'),
        (("typed",), "typed: line 22: a tag (!Ref)"),
        (("prompt",), "prompt: line 23: a block text (|)"),
        (("gateway",), "gateway: is not a single value: block mapping"),
        (("gateway", "routes"), "gateway.routes: is not a single value: block list"),
        (("gateway", "routes", 2), "there is no"),
        (("gateway", "empty", "x"), "gateway.empty has no table of its own"),
        (("nope", "x"), "there is no nope to put it into"),
    ],
)
def test_set_refuses_what_stands_for_more_than_itself(key: KeyPath, reason: str) -> None:
    with pytest.raises(EditRefused) as refused:
        set_value(DEMO.encode(), key, True, YAML)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: 1\na: 2\n", 2, "named twice"),
        ('8080: 1\n"8080": 2\n', 2, "named twice"),
        ("a: [1\n", 2, "syntax error"),
        ("a: 1\n\tb: 2\n", 2, "syntax error"),
        ("? [a, b]\n: 1\n", 1, "a key that is not a single text"),
        ("&k a: 1\n", 1, "a key with an anchor"),
        ("a: 1\nb: *nope\n", 2, "there is no anchor &nope"),
        ("a: 1\nb: \x01\n", 2, "U+0001 is not YAML"),
        ("[" * 200 + "]" * 200, 1, "nested too deeply"),
    ],
)
def test_document_that_cannot_be_edited_is_refused_with_line_and_reason(
    text: str, line: int, reason: str
) -> None:
    with pytest.raises(InvalidInput) as invalid:
        parse(text.encode(), YAML, Path("a.yaml"))
    (finding,) = invalid.value.findings
    assert (finding.line, finding.path) == (line, Path("a.yaml"))
    assert reason in str(finding)
    with pytest.raises(EditRefused, match=f"cannot be edited: line {line}: "):
        set_value(text.encode(), ("a",), 2, YAML)


def test_aliases_are_not_followed_however_many_there_are() -> None:
    lines = ["l0: &l0 [x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30)]
    data = ("\n".join(lines) + "\nmine: 1\n").encode()
    assert set_value(data, ("mine",), 2, YAML) == data.replace(b"mine: 1", b"mine: 2")


def test_locate_counts_bytes_not_characters() -> None:
    span = locate("é: ü\nb: 1\n".encode(), ("b",), YAML)
    assert span is not None
    assert (span.start, span.end, span.line) == (10, 11, 2)


# --- laws ------------------------------------------------------------------------------------

WORDS = st.from_regex(r"[a-z]{1,5}", fullmatch=True).filter(lambda word: word not in {"y", "n"})
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | TEXTS
STYLES = st.sampled_from([None, "'", '"', "|", ">"])


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A document as PyYAML writes it, in any mix of its styles, with comments between."""
    tree = draw(
        st.dictionaries(
            WORDS | TEXTS,
            st.recursive(
                SCALARS,
                lambda inner: (
                    st.lists(inner, max_size=3) | st.dictionaries(WORDS | TEXTS, inner, max_size=3)
                ),
                max_leaves=8,
            ),
            min_size=1,
            max_size=4,
        )
    )
    text: str = yaml.safe_dump(
        tree,
        default_flow_style=draw(st.sampled_from([None, False, True])),
        default_style=draw(STYLES),
        indent=draw(st.sampled_from([2, 4])),
        width=draw(st.sampled_from([10, 200])),
        allow_unicode=draw(st.booleans()),
        explicit_start=draw(st.booleans()),
        sort_keys=False,
    )
    text = draw(st.sampled_from(["", "# head\n"])) + text + draw(st.sampled_from(["", "# end"]))
    text = text.removesuffix("\n") if draw(st.booleans()) else text
    return (text.replace("\n", "\r\n") if draw(st.booleans()) else text).encode()


def read(data: bytes) -> Any:  # Any: a document
    return parse(data, YAML, Path("document.yaml"))


def editable(data: bytes, *kinds: Kind) -> list[KeyPath]:
    """Return the places of these kinds; none of a document that is refused as a whole."""
    try:
        read(data)
    except InvalidInput:
        return []
    return [path for path, one in index(data, YAML).items() if one.kind in kinds and not one.guard]


@given(documents(), st.data(), SCALARS)
def test_replace_changes_only_the_addressed_value_and_goes_back_byte_for_byte(
    data: bytes, choice: st.DataObject, value: Any
) -> None:
    keys = editable(data, Kind.SCALAR)
    assume(keys)
    key = choice.draw(st.sampled_from(keys))
    start = replace_value(data, key, "start", YAML)
    edited = replace_value(start, key, value, YAML)
    entry = index(data, YAML)[key]
    at = index(edited, YAML)[key]
    assert (edited[: entry.start], edited[at.end :]) == (data[: entry.start], data[entry.end :])
    found = read(edited)
    for part in key:
        found = found[part]
    assert same(found, value)
    assert same(read(replace_value(edited, key, "start", YAML)), read(start))


@given(documents(), st.data(), WORDS | TEXTS, SCALARS)
def test_remove_gives_every_byte_back_that_set_found(
    data: bytes, choice: st.DataObject, name: str, value: Any
) -> None:
    tables = editable(data, Kind.BLOCK, Kind.OBJECT)
    assume(tables)
    key = (*choice.draw(st.sampled_from(tables)), name)
    assume(key not in index(data, YAML))
    try:
        edited = set_value(data, key, value, YAML)
    except EditRefused as error:
        assert "change something else" in str(error) or "break the document" in str(error)
        return
    assert remove_value(edited, key, YAML) == data


@given(documents())
def test_values_are_what_pyyaml_reads_unless_readers_disagree(data: bytes) -> None:
    keys = editable(data, Kind.SCALAR)
    loaded: Any = yaml.safe_load(data) if keys else None  # Any: a document
    for key in keys:
        mine, theirs = read(data), loaded
        try:
            for part in key:
                mine, theirs = mine[part], theirs[part]
        except (KeyError, TypeError):
            continue  # a key that PyYAML reads as something else than its text
        assert same(mine, theirs) or type(mine) not in {str, int, float, bool}
