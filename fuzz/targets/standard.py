"""JSON as the standard library reads it: nothing merged, nothing rounded. Pure."""

from __future__ import annotations

import json

from fuzz.targets.case import Value

Members = tuple[tuple[str, Value], ...]
"""A JSON object: its members in order, those that stand twice too."""


class Number(str):
    """A number as it is written: none is too large to be compared."""

    __slots__ = ()


def read(data: bytes) -> Members | None:
    """Return a JSON object; None when the data is none. Raises RecursionError when too deep."""
    try:
        found = json.loads(
            data.decode(),
            object_pairs_hook=tuple,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_refuse,
        )
    except ValueError:
        return None
    return found if isinstance(found, tuple) else None


def repeats(value: Value) -> bool:
    """Return whether an object in the value has a member twice."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, tuple):
            if len(dict(one)) < len(one):
                return True
            waiting.extend(inner for _, inner in one)
    return False


def member(value: Value, name: str) -> Value:
    """Return the last member of this name; None when the value is no object, or has none."""
    return dict(value).get(name) if isinstance(value, tuple) else None


def _refuse(name: str) -> Value:
    raise ValueError(name)
