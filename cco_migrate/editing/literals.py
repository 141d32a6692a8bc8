"""Writes one value or one key as each format does. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence

from cco_migrate.editing.documents import Format
from cco_migrate.editing.spans import KeyPath, dotted
from cco_migrate.errors import EditRefused

Scalar = None | bool | int | float | str

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
SEPARATORS = {Format.TOML: b" = ", Format.JSON: b": ", Format.YAML: b": "}
"""What stands between a key and its value."""


def literal(value: Scalar, key: KeyPath, fmt: Format, old: bytes = b"") -> bytes:
    """Return a value as the format writes it.

    Args:
        key: Named in messages only.
        old: What stands there now; a YAML text is quoted like it where that is safe.

    Raises:
        EditRefused: The format has no such value, or the text is not valid Unicode.
    """
    if fmt is Format.YAML:
        return _yaml(value, key, old)
    if value is None and fmt is Format.JSON:
        return b"null"
    if value is None:
        raise refused(key, "TOML has no null")
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, str):
        return _quoted(value, key)
    if isinstance(value, float) and not math.isfinite(value) and fmt is Format.JSON:
        raise refused(key, f"JSON has no {value!r}")
    return repr(value).encode()


def key_literal(text: str, fmt: Format) -> bytes:
    """Return a key as the format writes it, without quotes where it needs none."""
    if fmt is Format.YAML:
        from cco_migrate.editing import yaml_scalars  # noqa: PLC0415  # see `_yaml`

        return _encoded(yaml_scalars.written_name(text), (text,))
    bare = fmt is Format.TOML and _BARE_KEY.fullmatch(text)
    return text.encode() if bare else _quoted(text, (text,))


def pair_literal(item: Sequence[str], key: KeyPath, fmt: Format) -> bytes:
    """Return an array of texts on one line."""
    return b"[" + b", ".join(literal(text, key, fmt) for text in item) + b"]"


def refused(key: KeyPath, reason: str) -> EditRefused:
    """Return the error that names the key and why it is not edited."""
    return EditRefused(f"{dotted(key) or 'document'}: {reason}")


def _yaml(value: Scalar, key: KeyPath, old: bytes) -> bytes:
    from cco_migrate.editing import yaml_scalars  # noqa: PLC0415  # 30 ms that only a YAML file needs

    return _encoded(yaml_scalars.written(value, old.decode()), key)


def _quoted(text: str, key: KeyPath) -> bytes:
    # TOML wants DEL escaped too; a JSON string is a TOML string otherwise.
    return _encoded(json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f"), key)


def _encoded(text: str, key: KeyPath) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise refused(key, "the text is not valid Unicode") from error
