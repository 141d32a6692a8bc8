"""Reads and checks the five configuration files and computes their fingerprint. Pure.

The caller reads the bytes; nothing here opens a configuration file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from cco_migrate import resources
from cco_migrate.editing.documents import Format, index, parse
from cco_migrate.errors import InvalidInput
from cco_migrate.validate import Source, validate
from cco_migrate.verdict import Finding, Severity


class ConfigName(StrEnum):
    """The configuration files, in the order the fingerprint takes them."""

    OVERRIDES = "overrides"
    DAEMON = "daemon"
    ORCHESTRA = "orchestra"
    LLM_ROUTER = "llm-router"
    GATEWAY = "gateway"

    @property
    def filename(self) -> str:
        """Return the file's name inside the configuration directory."""
        return _FILES[self]


_FILES: Mapping[ConfigName, str] = {
    ConfigName.OVERRIDES: "model-overrides.toml",
    ConfigName.DAEMON: "daemon-config.json",
    ConfigName.ORCHESTRA: "orchestra-config.json",
    ConfigName.LLM_ROUTER: "llm-router-config.json",
    ConfigName.GATEWAY: "gateway.toml",
}

# A parsed document: dicts, lists and scalars to any depth; its schema says what is inside.
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Checked:
    """One file, read and judged.

    Attributes:
        document: The parsed file with old key spellings replaced; empty when it cannot be parsed.
        findings: Errors and warnings in the order of the file; empty when there are none.
    """

    name: ConfigName
    document: Document
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Return the findings that forbid using the file."""
        return tuple(one for one in self.findings if one.severity is Severity.ERROR)


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests for `source` are answered by `target`; `index` counts from 0 in file order."""

    source: str
    target: str
    index: int


@dataclass(frozen=True, slots=True)
class Overrides:
    """What model-overrides.toml says, defaults filled in.

    Attributes:
        report_format: "json", "text" or "silent".
    """

    enabled: bool
    rules: tuple[Rule, ...]
    log_overrides: bool = True
    track_statistics: bool = True
    report_format: str = "json"


@lru_cache(maxsize=32)  # many checks of one instance look at the same few files
def check_file(name: ConfigName, path: Path, data: bytes) -> Checked:
    """Parse a file and check it against its schema; faults are findings, never raised.

    Args:
        name: Which of the files it is.
        path: Named in the findings; its suffix must be the one `name` has.
        data: The whole file.
    """
    fmt = Format.of(Path(name.filename))
    try:
        document = parse(data, fmt, path, decimals=True)
    except InvalidInput as error:
        return Checked(name, {}, error.findings)
    schema = resources.schema(Path(name.filename).stem)
    findings = validate(document, schema, Source(path, data, index(data, fmt)))
    if not isinstance(document, dict):
        return Checked(name, {}, findings)
    return Checked(name, _current_spelling(document, schema), findings)


def overrides_of(document: Document) -> Overrides:
    """Return the rules of a checked model-overrides.toml; without [overrides] they are off.

    Raises:
        InvalidInput: when the document was not checked and has another shape.
    """
    try:
        overrides, analytics = document.get("overrides"), document.get("analytics", {})
        return Overrides(
            enabled=overrides is not None and bool(overrides.get("enabled", True)),
            rules=tuple(
                Rule(source, target, number)
                for number, (source, target) in enumerate((overrides or {}).get("rules", ()))
            ),
            log_overrides=bool(analytics.get("log_overrides", True)),
            track_statistics=bool(analytics.get("track_statistics", True)),
            report_format=str(analytics.get("report_format", "json")),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidInput("model-overrides.toml: not a valid document; check it first") from error


def read_overrides(path: Path, data: bytes) -> Overrides:
    """Return the rules of a model-overrides.toml; raises InvalidInput with every fault found."""
    checked = check_file(ConfigName.OVERRIDES, path, data)
    if checked.errors:
        raise InvalidInput(str(checked.errors[0]), findings=checked.errors)
    return overrides_of(checked.document)


def fingerprint(files: Mapping[ConfigName, bytes | None]) -> str:
    """Return 16 hex digits that name exactly these bytes; None or no entry means an absent file."""
    total = hashlib.sha256()
    for name in ConfigName:
        data = files.get(name)
        digest = "-" if data is None else hashlib.sha256(data).hexdigest()
        total.update(f"{name}\0{digest}\n".encode())
    return total.hexdigest()[:16]


def _current_spelling(document: Document, schema: Mapping[str, Any]) -> Document:
    """Return the document with each deprecated key under the name that replaced it."""
    current = dict(document)
    for name, one in schema.get("properties", {}).items():
        if one.get("deprecated") and name in current:
            current.setdefault(one["x-use"], current.pop(name))
    return current
