"""Edits as data: the changes a plan makes to one document, and how they are taken back. Pure.

A change is `{op: "set", key, value}` or `{op: "append", key, items, after}`, as `edits` has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cco_migrate import edits
from cco_migrate.errors import EditRefused, ToolkitError
from cco_migrate.model import JsonObject


def apply_edits(data: bytes, path: Path, changes: Sequence[JsonObject]) -> bytes:
    """Return the document with all changes made; raises EditRefused when one is not safe."""
    fmt = edits.Format.of(path)
    for change in changes:
        key = tuple(change["key"])
        if change["op"] == "set":
            data = edits.set_value(data, key, change["value"], fmt)
        else:
            data = edits.append_items(data, key, change["items"], change["after"], fmt)
    return data


def revert_edits(data: bytes, before: bytes, path: Path, changes: Sequence[JsonObject]) -> bytes:
    """Take our changes back in a document that others edited since; what they wrote stays.

    Raises:
        ToolkitError: A key no longer holds what we wrote, or what we added was edited.
    """
    fmt = edits.Format.of(path)
    for change in reversed(changes):
        key = tuple(change["key"])
        now, then = _value(data, key, fmt, path), _value(before, key, fmt, path)
        if edits.same(now, then):
            continue  # it was never made, or they took it back themselves
        try:
            data = _reverted(data, change, (now, then), fmt)
        except EditRefused as error:
            raise ToolkitError(
                f"{path} was edited since, at {'.'.join(map(str, key))} too ({error}); "
                "its old state is in the backup",
                state="The file is as they left it.",
                next_command="invoke rollback --by backup",
            ) from error
    return data


def _reverted(
    data: bytes, change: JsonObject, values: tuple[Any, Any], fmt: edits.Format
) -> bytes:  # Any: JSON or TOML
    key, (now, then) = tuple(change["key"]), values
    if change["op"] == "append":
        return edits.remove_items(data, key, change["items"], fmt)
    if not edits.same(now, change["value"]):
        raise EditRefused("it holds another value now")
    if then is None:
        raise EditRefused("it was not there before, and only whole files lose a key again")
    return edits.replace_value(data, key, then, fmt)


def _value(
    data: bytes, key: tuple[str | int, ...], fmt: edits.Format, path: Path
) -> Any:  # Any: JSON or TOML
    value: Any = edits.parse(data, fmt, path)
    for part in key:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value
