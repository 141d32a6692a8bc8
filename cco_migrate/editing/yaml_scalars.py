"""What a YAML scalar means to every reader alike, and how to write one that does. Pure.

YAML 1.1 and 1.2 disagree on plain text: `yes` is true in one and a word in the other, `017` is 15
or 17, `2024-01-01` a date or a word. Such text is neither here: it is `Plain`, equal to no value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import yaml

Value = None | bool | int | float | str

_AGREED: tuple[tuple[re.Pattern[str], Callable[[str], Value]], ...] = (
    (re.compile(r"|~|null|Null|NULL"), lambda _: None),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"[-+]?(0|[1-9][0-9]{0,99})"), int),
    (re.compile(r"[-+]?(0|[1-9][0-9]{0,99})\.[0-9]{1,99}([eE][-+][0-9]{1,3})?"), float),
    (
        re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
        lambda text: float(text.replace(".", "")),
    ),
)
_OTHER_NUMBER = re.compile(  # a number to YAML 1.2; PyYAML knows those of 1.1
    r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
)
_OLD_BOOLEAN = frozenset("yYnN")  # PyYAML takes them for words, the text of YAML 1.1 does not
_WORDS = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@+-]+)*")
_UNSEEN = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_ONE_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]*")


class Plain(str):
    """Text as the document has it, without a meaning of its own: `yes`, `017`, `*alias`."""

    __slots__ = ()


def meaning(text: str) -> Value:
    """Return what every version of YAML reads in plain text; `Plain` where they disagree."""
    for pattern, value in _AGREED:
        if pattern.fullmatch(text):
            return value(text)
    tags = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
    disputed = any(pattern.match(text) for _, pattern in tags) or _OTHER_NUMBER.fullmatch(text)
    return Plain(text) if disputed or text in _OLD_BOOLEAN else text


def written(value: Value, old: str = "") -> str:
    """Return the value on one line, a text quoted like `old` if it can be; "" is no example."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, int | Plain):
        return str(value)
    if old.startswith("'") and _ONE_LINE.fullmatch(value):
        return "'" + value.replace("'", "''") + "'"
    if old and old[0] not in "'\"" and _is_a_word(value):
        return value
    return _UNSEEN.sub(_escaped, json.dumps(value, ensure_ascii=False))


def written_name(name: str) -> str:
    """Return the text of a key; quoted unless it is a word to every reader."""
    return written(name, "a word")


def _is_a_word(text: str) -> bool:
    return _WORDS.fullmatch(text) is not None and type(meaning(text)) is str


def _float(value: float) -> str:
    text = repr(value)
    if text.lstrip("-") in {"inf", "nan"}:
        return text.replace("inf", ".inf").replace("nan", ".nan")
    digits, exponent, power = text.partition("e")  # without a point YAML 1.1 reads a word
    return digits + ("" if "." in digits else ".0") + exponent + power


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
