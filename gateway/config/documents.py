"""Turn the bytes of a configuration file into a checked document; reads nothing but the schemas.

Order of the checks: encoding, syntax, spelling of keys, types. A misspelt key is reported before
the type errors it causes, because it is the cause.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from gateway import resources
from gateway.errors import ConfigError

Document = Mapping[str, Any]  # Any: parsed TOML or JSON, checked against a schema before use


class ConfigName(StrEnum):
    """The configuration files, in the order of the fingerprint."""

    OVERRIDES = "overrides"
    DAEMON = "daemon"
    ORCHESTRA = "orchestra"
    ROUTER = "llm-router"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class FileKind:
    """How one configuration file is called and read.

    Attributes:
        file: Name inside the configuration folder.
        schema: Name of its schema.
        strict: Whether an unknown key is an error even when it resembles no known one.
    """

    file: str
    schema: str
    strict: bool = False


KINDS: Mapping[ConfigName, FileKind] = {
    ConfigName.OVERRIDES: FileKind("model-overrides.toml", "model-overrides"),
    ConfigName.DAEMON: FileKind("daemon-config.json", "daemon-config"),
    ConfigName.ORCHESTRA: FileKind("orchestra-config.json", "orchestra-config"),
    ConfigName.ROUTER: FileKind("llm-router-config.json", "llm-router-config"),
    ConfigName.GATEWAY: FileKind("gateway.toml", "gateway", strict=True),
}


def fingerprint(files: Mapping[ConfigName, bytes | None]) -> str:
    """Return the 16 hex digits that identify a set of files; None means absent."""
    whole = hashlib.sha256()
    for name in ConfigName:
        data = files.get(name)
        inner = "-" if data is None else hashlib.sha256(data).hexdigest()
        whole.update(f"{name.value}\0{inner}\n".encode())
    return whole.hexdigest()[:16]


def check(name: ConfigName, path: Path, data: bytes) -> tuple[Document, tuple[str, ...]]:
    """Return the document and its warnings. Raises ConfigError for anything that cannot be used."""
    kind = KINDS[name]
    text = _decode(path, data)
    parsed = _parse_toml(path, text) if path.suffix == ".toml" else _parse_json(path, text)
    source = _Source(path, text)
    schema = resources.schema(kind.schema)
    warnings: list[str] = []
    document = _spell(source, schema, _Node(schema, parsed, ()), kind.strict, warnings)
    _validate(source, schema, document)
    return document, tuple(warnings)


@dataclass(frozen=True, slots=True)
class _Source:
    path: Path
    text: str

    def error(self, key: tuple[str, ...], problem: str, fix: str | None = None) -> ConfigError:
        line = self.line(key)
        return ConfigError(self.path, problem, line=line, key=".".join(key) or None, fix=fix)

    def line(self, key: tuple[str, ...]) -> int | None:
        """Return the line on which the last name of the key first stands as a key, or None."""
        if not key:
            return None
        name = re.escape(key[-1])
        pattern = rf'^\s*\[*"?([\w-]+\.)*{name}"?\s*[=\]]' if self._toml else rf'"{name}"\s*:'
        start = self._start(key[:-1]) if self._toml else 0
        found = re.compile(pattern, re.MULTILINE).search(self.text, start)
        return None if found is None else self.text.count("\n", 0, found.end()) + 1

    @property
    def _toml(self) -> bool:
        return self.path.suffix == ".toml"

    def _start(self, table: tuple[str, ...]) -> int:
        head = r"\s*\.\s*".join(map(re.escape, table))
        found = re.search(rf"^\s*\[\s*{head}\s*\]", self.text, re.MULTILINE) if table else None
        return 0 if found is None else found.start()


@dataclass(frozen=True, slots=True)
class _Node:
    schema: Document
    value: Document
    key: tuple[str, ...]


def _decode(path: Path, data: bytes) -> str:
    if data.startswith(b"\xef\xbb\xbf"):
        raise ConfigError(
            path, "starts with a byte order mark", line=1, fix="save it as UTF-8 without BOM"
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(path, "is not UTF-8", line=line, fix="save it as UTF-8") from error


def _parse_toml(path: Path, text: str) -> Document:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise ConfigError(path, f"not valid TOML: {error}", line=line) from error
    except RecursionError as error:
        raise ConfigError(path, "is nested too deeply") from error


def _parse_json(path: Path, text: str) -> Document:
    def unique(pairs: list[tuple[str, Any]]) -> Document:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(path, "stands twice in one object", key=twice, fix="keep one")
        return found

    def constant(name: str) -> float:
        raise ConfigError(path, f"{name} is not JSON")

    try:
        document = json.loads(
            text,
            object_pairs_hook=unique,
            parse_float=partial(_number, path),
            parse_constant=constant,
        )
    except json.JSONDecodeError as error:
        raise ConfigError(path, f"not valid JSON: {error.msg}", line=error.lineno) from error
    except RecursionError as error:
        raise ConfigError(path, "is nested too deeply") from error
    if not isinstance(document, dict):
        raise ConfigError(path, "is not a JSON object", line=1, fix="wrap it in { }")
    return document


def _number(path: Path, digits: str) -> Decimal | int:
    """Return a number as it is written: a price must not become a float."""
    try:
        value = Decimal(digits)
    except InvalidOperation as error:
        raise ConfigError(path, f"{digits} is not a number of any use") from error
    # In JSON Schema 1.0 is an integer; 1e999999 is better left as it is.
    whole = value.adjusted() < 19 and value == value.to_integral_value()
    return int(value) if whole else value


def _spell(
    source: _Source, root: Document, node: _Node, strict: bool, warnings: list[str]
) -> Document:
    """Return the value with its keys as the schema spells them, depth first."""
    known, other = _children(root, node.schema)
    result: dict[str, Any] = {}
    for name, value in node.value.items():
        key = (*node.key, name)
        spelt, child = name, known.get(name, other)
        if name not in known or "x-use" in known[name]:
            spelt, child = _respell(source, key, _Names(known, other), strict, warnings)
            if spelt in node.value and spelt != name and node.value[spelt] != value:
                raise source.error(
                    key, f'and "{spelt}" have different values', f'keep only "{spelt}"'
                )
        if spelt != name and spelt in node.value:
            continue
        nested = child is not None and isinstance(value, dict)
        result[spelt] = (
            _spell(source, root, _Node(child or {}, value, key), strict, warnings)
            if nested
            else value
        )
    return result


@dataclass(frozen=True, slots=True)
class _Names:
    """The names an object may have.

    Attributes:
        known: Named properties and their schemas.
        other: Schema of all other names; None when there should be none.
    """

    known: Mapping[str, Document]
    other: Document | None


def _respell(
    source: _Source, key: tuple[str, ...], names: _Names, strict: bool, warnings: list[str]
) -> tuple[str, Document | None]:
    """Return the spelling to use and its schema (None: an unknown key, kept)."""
    name, known = key[-1], names.known
    camel = re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
    camel = known.get(name, {}).get("x-use", camel)
    if source.path.suffix != ".toml" and camel != name and camel in known:
        where = ".".join(key)
        warnings.append(f'{source.path}: {where}: read as "{camel}"; write it that way')
        return camel, known[camel]
    guesses = [word for word in known if word.lower() == camel.lower()]
    if names.other is None:
        guesses += difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    for guess in guesses:
        raise source.error(key, "unknown key", f'write "{guess}"')
    if names.other is None and strict:
        raise source.error(key, "unknown key", "known here: " + ", ".join(sorted(known)))
    if names.other is None:
        warnings.append(f"{source.path}: {'.'.join(key)}: unknown key, ignored")
    return name, names.other


def _children(root: Document, schema: Document) -> tuple[dict[str, Document], Document | None]:
    """Return the schemas of an object's named properties, and the one of all other names."""
    known: dict[str, Document] = {}
    other: Document | None = None
    for part in _parts(root, schema):
        known.update(part.get("properties", {}))
        rest = part.get("additionalProperties")
        other = {} if rest is True else rest if isinstance(rest, dict) else other
    return known, {} if not known and other is None else other


def _parts(root: Document, schema: Document) -> Iterator[Document]:
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        target: Any = root  # Any: walking a JSON document
        for step in reference[2:].split("/"):
            target = target[step]
        yield from _parts(root, target)
    yield schema
    for word in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(word, ()):
            yield from _parts(root, part)


def _validate(source: _Source, schema: Document, document: Document) -> None:
    # Imported here: it takes a tenth of a second, and a gateway without files does not need it.
    import jsonschema  # noqa: PLC0415  # see above
    from jsonschema.exceptions import best_match  # noqa: PLC0415  # see above

    error = best_match(jsonschema.Draft202012Validator(schema).iter_errors(document))
    if error is None:
        return
    where = [str(step) for step in error.absolute_path]
    wanted = error.validator_value
    # The value itself is left out where it may be a credential that somebody pasted.
    problems = {
        "type": f"must be of type {wanted}",
        "not": "cannot be used",
        "pattern": "has the wrong form",
        "minimum": f"must be at least {wanted}",
        "exclusiveMinimum": f"must be more than {wanted}",
        "maximum": f"must be at most {wanted}",
    }
    problem = problems.get(str(error.validator), error.message)
    fix = error.schema.get("x-hint") if isinstance(error.schema, dict) else None
    names = tuple(step for step in error.absolute_path if isinstance(step, str))
    line = source.line(names)
    raise ConfigError(source.path, problem, line=line, key=".".join(where) or None, fix=fix)
