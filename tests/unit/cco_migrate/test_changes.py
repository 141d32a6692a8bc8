"""Edits as data: made on a document, and taken back from one that others edited since."""

from __future__ import annotations

from pathlib import Path

import pytest

from cco_migrate.changes import apply_edits, revert_edits
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
        pytest.param(BEFORE.replace(b"false", b"true"), b"[overrides]\n", ENABLE, id="inserted"),
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
