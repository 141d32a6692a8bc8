"""The OpenAPI document: every schema is sound, described and used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway import resources
from gateway.app import ENDPOINTS
from gateway.operator import openapi
from gateway.operator.operations import CLIENT

NAMES = tuple(openapi.schema_names())
Json = Any  # a parsed document
DOCUMENT: Json = openapi.document(
    {name: resources.schema(f"answers/{name}") for name in NAMES}, "1"
)


def test_every_schema_file_is_an_answer() -> None:
    files = {path.name for path in (resources.schema_dir() / "answers").iterdir()}
    assert files == {f"{name}.schema.json" for name in NAMES}
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_strict_and_described(name: str) -> None:
    schema = resources.schema(f"answers/{name}")
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"answers/{name}.schema.json"
    check_described(schema, name)


@pytest.mark.parametrize("name", ["Question", "AskedOverrides", "AskedRollout"])
def test_question_is_strict_and_described(name: str) -> None:
    schema = DOCUMENT["components"]["schemas"][name]
    Draft202012Validator.check_schema(schema)
    assert "\n" not in schema["description"]
    check_described(schema, name)


def check_described(schema: Json, name: str) -> None:
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


def test_document_refers_to_nothing_absent_and_holds_nothing_unused() -> None:
    components = DOCUMENT["components"]
    known = {f"#/components/schemas/{name}" for name in components["schemas"]}
    known |= {f"#/components/headers/{name}" for name in components["headers"]}
    referred = set(_references(DOCUMENT))
    assert {"/".join(one.split("/")[:4]) for one in referred} == known
    assert all(_found(one) for one in referred)
    schemes = components["securitySchemes"].keys()
    operations = [one for path in DOCUMENT["paths"].values() for one in path.values()]
    used = {name for one in operations for way in one.get("security", ()) for name in way}
    assert used == schemes


def _found(reference: str) -> Json:
    part = DOCUMENT
    for key in reference.removeprefix("#/").split("/"):
        part = part[key]
    return part


def _references(part: Json) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def test_operations_are_described_and_guarded() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    json.dumps(DOCUMENT)
    for path, entry in DOCUMENT["paths"].items():
        for method, operation in entry.items():
            assert operation["summary"].endswith(".")
            assert operation["responses"].keys() >= {"200", "default"}
            change = method == "post" and not path.startswith("/v1/")
            assert (operation.get("security") == [{"admin": []}]) == change
            places = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
            assert places == set(re.findall(r"\{(\w+)\}", path))


def test_client_paths_are_those_that_are_served() -> None:
    posts = {one.path.encode() for one in CLIENT if one.method == "post"}
    assert posts == ENDPOINTS.keys()
