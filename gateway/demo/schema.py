"""A value for a JSON Schema: the smallest input a demo can call a tool with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from gateway.demo.request import Json

MAX_DEPTH = 8
MAX_LENGTH = 256
MAX_ITEMS = 4
TEXTS: Mapping[str, str] = {"command": "echo demo", "location": "Lisbon", "city": "Lisbon"}


def sample(schema: Json) -> object:
    """Return a value with the schema's required properties only.

    Follows type, enum, const, default, the bounds of numbers, of texts (to `MAX_LENGTH`) and of
    arrays (to `MAX_ITEMS`), local `$ref`, and the first branch of anyOf, oneOf and allOf. Patterns
    and formats are not followed.
    """
    return _value(schema, schema, "", MAX_DEPTH)


def _value(schema: Json, root: Json, name: str, depth: int) -> object:
    if depth == 0:
        return None
    if "const" in schema:
        return schema["const"]
    for key in ("enum", "examples"):
        offered = schema.get(key)
        if isinstance(offered, list) and offered:
            return offered[0]
    if "default" in schema:
        return schema["default"]
    nested = _nested(schema, root)
    if nested is not None:
        return _value(nested, root, name, depth - 1)
    return _typed(schema, root, name, depth)


def _nested(schema: Json, root: Json) -> Json | None:
    """Return the schema this one defers to, or None."""
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        target: object = root
        for part in reference.split("/")[1:]:
            target = target.get(part) if isinstance(target, Mapping) else None
        return target if isinstance(target, Mapping) else {}
    for key in ("anyOf", "oneOf", "allOf"):
        branches = schema.get(key)
        if isinstance(branches, list) and branches and isinstance(branches[0], Mapping):
            return branches[0]
    return None


def _typed(schema: Json, root: Json, name: str, depth: int) -> object:
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object" or (kind is None and "properties" in schema):
        return _object(schema, root, depth)
    if kind == "array":
        items = schema.get("items")
        item = _value(items if isinstance(items, Mapping) else {}, root, name, depth - 1)
        return [item] * min(int(_number(schema, "minItems", 0)), MAX_ITEMS)
    if kind in {"integer", "number"}:
        return _bounded(schema)
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    text = TEXTS.get(name, "demo")
    shortest = min(int(_number(schema, "minLength", 0)), MAX_LENGTH)
    longest = int(_number(schema, "maxLength", MAX_LENGTH))
    return text.ljust(shortest, ".")[: max(longest, shortest)]


def _object(schema: Json, root: Json, depth: int) -> dict[str, object]:
    properties, required = schema.get("properties"), schema.get("required")
    known = properties if isinstance(properties, Mapping) else {}
    names = required if isinstance(required, list) else []
    found = {}
    for name in map(str, names):
        inner = known.get(name)
        found[name] = _value(inner if isinstance(inner, Mapping) else {}, root, name, depth - 1)
    return found


def _bounded(schema: Json) -> int | float:
    """Return 1, or what is nearest to it within the bounds."""
    low = _number(schema, "minimum", _number(schema, "exclusiveMinimum", 0) + 1)
    high = _number(schema, "maximum", _number(schema, "exclusiveMaximum", max(low, 1) + 1) - 1)
    return ceil(min(max(1, low), high))


def _number(schema: Json, key: str, default: float) -> float:
    value = schema.get(key)
    return value if isinstance(value, int | float) else default
