"""The OpenAPI document: every schema is sound, described and used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway import resources
from gateway.operator import openapi

NAMES = tuple(openapi.schema_names())
Json = Any  # a parsed document


def test_every_schema_file_is_an_answer() -> None:
    files = {path.name for path in (resources.schema_dir() / "answers").iterdir()}
    assert files == {f"{name}.schema.json" for name in NAMES}
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_strict_and_described(name: str) -> None:
    schema = resources.schema(f"answers/{name}")
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"answers/{name}.schema.json"
    for where, part in _objects(schema, name):
        assert part.get("additionalProperties") is not None, where
        for key, value in part.get("properties", {}).items():
            assert value.get("description") or {"const", "$ref"} & value.keys(), f"{where}.{key}"


def _objects(part: Json, where: str) -> Iterator[tuple[str, Json]]:
    if isinstance(part, dict):
        if part.get("type") == "object":
            yield where, part
        for key, value in part.items():
            yield from _objects(value, f"{where}.{key}")
    elif isinstance(part, list):
        for value in part:
            yield from _objects(value, where)


def test_document_refers_to_nothing_absent() -> None:
    schemas = {name: resources.schema(f"answers/{name}") for name in NAMES}
    document = openapi.document(schemas, "1.2.3")
    assert document["openapi"] == "3.1.0"
    json.dumps(document)
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["summary"].endswith(".")
            for answer in operation["responses"].values():
                for media in answer["content"].values():
                    name = media.get("schema", {}).get("$ref", "#/components/schemas/error")
                    assert name.rpartition("/")[2] in document["components"]["schemas"]
    changes = [path for path, entry in document["paths"].items() if "post" in entry]
    assert changes == ["/gateway/metrics/reset", "/gateway/what-if", "/api/shutdown"]
    assert all(document["paths"][path]["post"]["security"] == [{"admin": []}] for path in changes)
