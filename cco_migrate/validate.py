"""Says what is wrong with a parsed document, in the words of the person who wrote it. Pure.

A JSON Schema decides what is right. Two annotations of ours make its messages helpful: `x-hint`
says what to write instead, `x-use` names the spelling that replaces a deprecated key.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cco_migrate.editing.documents import line_of
from cco_migrate.editing.spans import Entry, KeyPath, dotted
from cco_migrate.verdict import Finding, Severity

if TYPE_CHECKING:
    from jsonschema import ValidationError

RULES: Mapping[str, tuple[Severity, str]] = {
    "config-type": (Severity.ERROR, "a value has the wrong type"),
    "config-value": (Severity.ERROR, "a value is outside what is allowed"),
    "config-shape": (Severity.ERROR, "a shape that has no effect or must not be used"),
    "config-missing-key": (Severity.ERROR, "a key without default is absent"),
    "config-unknown-key": (Severity.ERROR, "a misspelt key, or any unknown one in a strict file"),
    "config-ignored-key": (Severity.WARNING, "a key nobody reads; it is kept"),
    "config-deprecated-key": (Severity.WARNING, "an old spelling, still read"),
    "config-conflicting-keys": (Severity.ERROR, "old and new spelling have different values"),
}

_RULE_OF = {"type": "config-type", "not": "config-shape", "required": "config-missing-key"}
_SECRET = re.compile(r"key|token|secret|password|auth|header", re.IGNORECASE)
_CLOSE = 0.75  # low enough for two swapped letters in a word of four
_SHOWN_CHARS = 60
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    ((float, Decimal), "a number"),
    (str, "a text"),
    (list, "a list"),
    (dict, "a table"),
    (type(None), "null"),
)
_TYPES = {
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "string": "a text in quotes",
    "array": "a list",
    "object": "a table",
}

# A parsed document or schema: dicts, lists and scalars to any depth, which types cannot follow.
_Node = Any


@dataclass(frozen=True, slots=True)
class Source:
    """Where a document came from, for messages.

    Attributes:
        entries: The place of each key path in `data`.
    """

    path: Path
    data: bytes
    entries: Mapping[KeyPath, Entry]


def validate(document: object, schema: Mapping[str, object], source: Source) -> tuple[Finding, ...]:
    """Return all findings in the order of the file; empty when there is nothing to say."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415  slow to import; `--list` is not

    found = list(_key_findings(document, schema, schema, (), source))
    for error in Draft202012Validator(schema).iter_errors(document):
        found.extend(_schema_findings(error, source))
    return tuple(sorted(dict.fromkeys(found), key=lambda finding: (finding.line or 0, finding.key)))


def shown(value: object, path: KeyPath) -> str:
    """Return `value` as text of at most 60 characters; what may be a secret or hold one, hidden."""
    if any(isinstance(part, str) and _SECRET.search(part) for part in path):
        return "***"
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "[…]"
    text = str(value) if isinstance(value, Decimal) else _json(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _schema_findings(error: ValidationError, source: Source) -> Iterator[Finding]:
    path, keyword = tuple(error.absolute_path), str(error.validator)
    if keyword == "additionalProperties":
        return  # _key_findings says it, with the right spelling
    schema: _Node = error.schema
    instance: _Node = error.instance
    if keyword == "required":
        missing = [name for name in schema["required"] if name not in instance]
        for name in missing:
            yield _finding(source, (*path, name), "config-missing-key", "is missing")
        return
    rule = _RULE_OF.get(keyword, "config-value")
    message = _message(keyword, schema, instance)
    yield _finding(source, path, rule, message, fix=_fix(schema, instance), value=instance)


def _message(keyword: str, schema: _Node, value: _Node) -> str:
    """Return what is wrong with `value`; never the value itself, which may be a secret."""
    wanted = schema[keyword]
    messages = {
        "type": f"is {_kind(value)}, must be {_TYPES.get(str(wanted), wanted)}",
        "enum": f"must be one of {_choices(wanted)}",
        "minLength": "must not be empty",
        "minItems": f"has {_count(value)} elements, must have {wanted}",
        "maxItems": f"has {_count(value)} elements, must have {wanted}",
        "minimum": f"must be at least {wanted}",
        "exclusiveMinimum": f"must be more than {wanted}",
        "maximum": f"must be at most {wanted}",
        "not": "is not allowed" if wanted else "has no effect",
        "pattern": "has the wrong form",
    }
    return messages.get(keyword, f"is not valid ({keyword})")


def _fix(schema: _Node, value: _Node) -> str:
    if isinstance(value, str):
        plain = value.strip().lower()
        if schema.get("type") == "boolean" and plain in ("true", "false"):
            return f"write {plain} without quotes"
        if schema.get("type") in ("integer", "number") and re.fullmatch(r"-?\d+(\.\d+)?", plain):
            return f"write {plain} without quotes"
        near = nearest(value, schema.get("enum", ()))
        if near is not None:
            return f'write "{near}"'
    return str(schema.get("x-hint", ""))


def _key_findings(
    value: _Node, schema: _Node, root: _Node, path: KeyPath, source: Source
) -> Iterator[Finding]:
    """Yield unknown and deprecated keys, which the schema alone does not reject."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from _key_findings(item, schema["items"], root, (*path, number), source)
    if not isinstance(value, dict) or schema.get("type") != "object":
        return
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, member in value.items():
        place = (*path, name)
        if name in known:
            yield from _deprecated(value, name, known[name], path, source)
            yield from _key_findings(member, known[name], root, place, source)
        elif isinstance(others, dict):
            yield from _key_findings(member, others, root, place, source)
        else:
            yield from _unknown(place, member, known, others, source)


def _deprecated(
    value: _Node, name: str, schema: _Node, path: KeyPath, source: Source
) -> Iterator[Finding]:
    if not schema.get("deprecated"):
        return
    use, place = schema["x-use"], (*path, name)
    if use in value and value[use] != value[name]:
        message = f'differs from "{use}", which means the same'
        rule = "config-conflicting-keys"
        yield _finding(source, place, rule, message, fix=f'keep "{use}" only', value=value[name])
    else:
        message, fix = "old spelling, still read", f'write "{use}"'
        yield _finding(source, place, "config-deprecated-key", message, fix=fix)


def _unknown(
    place: KeyPath, value: _Node, known: _Node, others: _Node, source: Source
) -> Iterator[Finding]:
    usable = [n for n, one in known.items() if not one.get("deprecated") and one.get("not") != {}]
    near, rule = nearest(str(place[-1]), usable), "config-unknown-key"
    if near is not None:
        yield _finding(source, place, rule, "unknown key", fix=f'write "{near}"', value=value)
    elif others is False:
        fix = f"known keys: {', '.join(usable)}"
        yield _finding(source, place, rule, "unknown key", fix=fix, value=value)
    elif others is None:
        message = "unknown key, kept and ignored"
        yield _finding(source, place, "config-ignored-key", message, value=value)


def nearest(name: str, known: Collection[str]) -> str | None:
    """Return the one of `known` that `name` is a misspelling of; None when none is close."""
    folded = {_fold(one): one for one in known}
    if _fold(name) in folded:
        return folded[_fold(name)]
    close = difflib.get_close_matches(_fold(name), folded, n=1, cutoff=_CLOSE)
    return folded[close[0]] if close else None


def _fold(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).lower()


def _kind(value: object) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "a date or time")


def _choices(wanted: _Node) -> str:
    return ", ".join(f'"{one}"' for one in wanted) if isinstance(wanted, list) else ""


def _count(value: _Node) -> int:
    return len(value) if isinstance(value, list) else 0


def _finding(
    source: Source,
    key: KeyPath,
    rule: str,
    message: str,
    *,
    fix: str = "",
    value: object = None,
) -> Finding:
    line = line_of(source.data, source.entries, key)
    found = "" if value is None else shown(value, key)
    severity = RULES[rule][0]
    return Finding(rule, severity, source.path, message, line, dotted(key), found, fix)
