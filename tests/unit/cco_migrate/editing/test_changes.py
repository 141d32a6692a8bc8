"""Edits as data: made on a document, and taken back from one that others edited since."""

from __future__ import annotations

from pathlib import Path

import pytest

from cco_migrate.editing.changes import apply_edits, revert_edits
from cco_migrate.editing.documents import Format, parse
from cco_migrate.editing.edits import same
from cco_migrate.errors import EditRefused, ToolkitError
from cco_migrate.model import JsonObject

PATH = Path("model-overrides.toml")
BEFORE = b"""\
[overrides]
enabled = false  # off
rules = [
    ["a.b", "c"],
]
"""
ENABLE: JsonObject = {"op": "set", "key": ["overrides", "enabled"], "value": True}
TWIN: JsonObject = {
    "op": "append", "key": ["overrides", "rules"], "items": [["a-b", "c"]], "after": [0],
}  # fmt: skip


def test_changes_are_made_in_order() -> None:
    after = apply_edits(BEFORE, PATH, [TWIN, ENABLE])
    assert after == BEFORE.replace(b"false", b"true").replace(
        b'"c"],\n', b'"c"],\n    ["a-b", "c"],\n'
    )
    assert apply_edits(BEFORE, PATH, []) == BEFORE


def test_change_that_is_not_safe_is_refused() -> None:
    with pytest.raises(EditRefused):
        apply_edits(b"[overrides\n", PATH, [ENABLE])


def test_revert_keeps_what_others_edited() -> None:
    after = apply_edits(BEFORE, PATH, [ENABLE])
    edited = after.replace(b"# off", b"# theirs") + b"[analytics]\nlog_overrides = false\n"
    assert revert_edits(edited, BEFORE, PATH, [ENABLE]) == edited.replace(b"true", b"false", 1)


def test_revert_takes_back_what_was_appended_and_keeps_their_lines() -> None:
    theirs = b"# theirs\n"
    edited = apply_edits(BEFORE, PATH, [TWIN]) + theirs
    assert revert_edits(edited, BEFORE, PATH, [TWIN]) == BEFORE + theirs


def test_revert_takes_out_a_key_that_was_inserted_and_keeps_their_lines() -> None:
    before, theirs = b"[overrides]\nlog = 1  # note\n", b"# theirs\n"
    edited = apply_edits(before, PATH, [ENABLE]) + theirs
    assert revert_edits(edited, before, PATH, [ENABLE]) == before + theirs


@pytest.mark.parametrize(
    ("name", "before", "removed"),
    [
        ("a.toml", "a = 1  # one\r\nb = 2\r\n", "b = 2\r\n"),
        ("a.json", '{"a": null, "b": 2}', '{"b": 2}'),
        ("a.json", '{"b": 2, "a": "x"}', '{"b": 2}'),
        ("a.yml", "a: yes  # one\nb: 2", "b: 2"),
        ("a.yaml", "{b: 2, a: 1}", "{b: 2}"),
    ],
)
def test_removed_key_comes_back_with_its_value(name: str, before: str, removed: str) -> None:
    path, data = Path(name), before.encode()
    changes: list[JsonObject] = [{"op": "remove", "key": ["a"]}]
    after = apply_edits(data, path, changes)
    assert after.decode() == removed
    back = revert_edits(after, data, path, changes)
    assert same(parse(back, Format.of(path), path), parse(data, Format.of(path), path))


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.toml", "b = {a = 1}\n", "a: is not there"),
        ("a.toml", "[a]\nb = 1\n", "a: is not a single value: table"),
        ("a.yaml", "- a: 1\n  b: 2\n", "a: is not there"),
        ("a.yaml", "? a\n: 1\nb: 2\n", "a: shares its line"),
    ],
)
def test_removal_that_is_not_safe_names_the_file_and_the_reason(
    name: str, data: str, reason: str
) -> None:
    with pytest.raises(EditRefused, match=rf"^/etc/{name}: {reason}"):
        apply_edits(data.encode(), Path("/etc", name), [{"op": "remove", "key": ["a"]}])


@pytest.mark.parametrize("change", [ENABLE, TWIN])
def test_revert_of_what_was_never_made_changes_nothing(change: JsonObject) -> None:
    theirs = BEFORE + b"# theirs\n"
    assert revert_edits(theirs, BEFORE, PATH, [change]) == theirs


@pytest.mark.parametrize(
    ("data", "before", "change"),
    [
        pytest.param(BEFORE.replace(b"false", b'"no"'), BEFORE, ENABLE, id="they changed our key"),
        pytest.param(b"[overrides]\n", BEFORE, ENABLE, id="they removed our key"),
        pytest.param(b"[[overrides]]\n", BEFORE, ENABLE, id="another shape"),
        pytest.param(BEFORE.replace(b"false", b"true"), b"", ENABLE, id="inserted with its table"),
        pytest.param(
            apply_edits(BEFORE, PATH, [TWIN]).replace(b'"c"],\n]', b'"c"],  # theirs\n]'),
            BEFORE,
            TWIN,
            id="they annotated what we appended",
        ),
    ],
)
def test_revert_refuses_what_it_cannot_take_back(
    data: bytes, before: bytes, change: JsonObject
) -> None:
    with pytest.raises(ToolkitError, match="was edited since, at overrides") as refused:
        revert_edits(data, before, PATH, [change])
    assert refused.value.next_command == "invoke rollback --by backup"
