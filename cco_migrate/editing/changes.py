"""Edits as data: the changes a plan makes to one document, and how they are taken back. Pure.

A change is `{op: "set", key, value}`, `{op: "remove", key}` or
`{op: "append", key, items, after}`, as `edits` has them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from cco_migrate.editing import edits
from cco_migrate.errors import EditRefused, ToolkitError
from cco_migrate.model import JsonObject

# What stands at a key that is not there; a null is a value.
_ABSENT = object()


def apply_edits(data: bytes, path: Path, changes: Sequence[JsonObject]) -> bytes:
    """Return the document with all changes made.

    Raises:
        EditRefused: One is not safe; the message names the file, the key and why.
    """
    fmt = edits.Format.of(path)
    for change in changes:
        try:
            data = _applied(data, json.dumps(change), fmt)
        except EditRefused as error:
            raise EditRefused(f"{path}: {error}", findings=error.findings) from error
    return data


def revert_edits(data: bytes, before: bytes, path: Path, changes: Sequence[JsonObject]) -> bytes:
    """Take our changes back in a document that others edited since; what they wrote stays.

    Raises:
        ToolkitError: A key no longer holds what we wrote, or what we added was edited.
    """
    for change in reversed(changes):
        try:
            data = _reverted(data, before, change, path)
        except EditRefused as error:
            raise ToolkitError(
                f"{path} was edited since, at {'.'.join(map(str, change['key']))} too ({error}); "
                "its old state is in the backup",
                state="The file is as they left it.",
                next_command="invoke rollback --by backup",
            ) from error
    return data


# The same edit is made to be planned, to be checked and to be tried, and proved by two parsers each
# time; one instance after another has its turn, so that a few results are enough.
@lru_cache(maxsize=16)
def _applied(data: bytes, encoded: str, fmt: edits.Format) -> bytes:
    change = json.loads(encoded)
    key = tuple(change["key"])
    if change["op"] == "set":
        return edits.set_value(data, key, change["value"], fmt)
    if change["op"] == "remove":
        return edits.remove_value(data, key, fmt)
    return edits.append_items(data, key, change["items"], change["after"], fmt)


def _reverted(data: bytes, before: bytes, change: JsonObject, path: Path) -> bytes:
    key, fmt = tuple(change["key"]), edits.Format.of(path)
    now, then = _value(data, key, path), _value(before, key, path)
    if edits.same(now, then):
        return data  # it was never made, or they took it back themselves
    if change["op"] == "append":
        return edits.remove_items(data, key, change["items"], fmt)
    made = _ABSENT if change["op"] == "remove" else change["value"]
    if not edits.same(now, made):
        raise EditRefused("it holds another value now")
    if then is not _ABSENT:
        return edits.set_value(data, key, then, fmt)
    if _value(before, key[:-1], path) is _ABSENT:
        raise EditRefused("its table was not there before, and only whole files lose a table again")
    return edits.remove_value(data, key, fmt)


def _value(data: bytes, key: tuple[str | int, ...], path: Path) -> Any:  # Any: of the document
    value: Any = edits.parse(data, edits.Format.of(path), path)
    for part in key:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return _ABSENT
    return value
