"""Describe what the gateway serves as an OpenAPI document, from schemas and types. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.operator.operations import (
    CLIENT,
    HEADERS,
    JSON,
    OPERATIONS,
    REQUEST_ID,
    Operation,
    Parameter,
)

Document = dict[str, Any]  # Any: JSON

_SECURITY: Mapping[str, Mapping[str, str]] = {
    "admin": {"type": "http", "scheme": "bearer", "description": "The operator's admin token."},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
_CLIENTS: list[Document] = [{"key": []}, {"bearer": []}]
"""A client's token or, without any configured, what its provider takes."""

_OF_FILES = frozenset({"$id", "$schema"})


def schema_names() -> Iterable[str]:
    """Return the names of all answers' schemas, those of errors last."""
    answers = (one.schema for one in OPERATIONS if one.schema is not None)
    return (*answers, *dict.fromkeys(one.error for one in OPERATIONS))


def document(schemas: Mapping[str, Mapping[str, object]], version: str) -> Document:
    """Return the OpenAPI document.

    Args:
        schemas: JSON Schemas by the names of `schema_names`.
        version: The gateway's.
    """
    paths: Document = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "API of the gateway", "version": version},
        "paths": paths,
        "components": {
            "schemas": {name: _part(row, name) for name, row in schemas.items()} | _questions(),
            "headers": {name: _header(name) for name in HEADERS},
            "securitySchemes": dict(_SECURITY),
        },
    }


def _part(found: Any, name: str) -> Any:  # Any: JSON
    """Return a schema as a part of the document: what it refers to stands there, not in files.

    Args:
        name: The schema's own.
    """
    if isinstance(found, list):
        return [_part(one, name) for one in found]
    if not isinstance(found, dict):
        return found
    kept = {key: _part(value, name) for key, value in found.items() if key not in _OF_FILES}
    if "$ref" in kept:
        file, _, place = kept["$ref"].partition("#")
        kept["$ref"] = _reference(file.removesuffix(".schema.json") or name) + place
    return kept


def _questions() -> Document:
    """Return the schemas of all questions, and of what is in them, by the names of their types."""
    asked = [one.question for one in OPERATIONS if one.question is not None]
    _, found = msgspec.json.schema_components(asked, ref_template=_reference("{name}"))
    return found


def _header(name: str) -> Document:
    always = name == REQUEST_ID
    return {"description": HEADERS[name], "required": always, "schema": {"type": "string"}}


def _operation(operation: Operation) -> Document:
    carried = (REQUEST_ID, *operation.headers)
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in carried}
    content = {media: _answer(operation, media) for media in operation.media}
    answer = {"description": operation.text, "headers": headers, "content": content}
    responses: Document = {"200": answer}
    if operation.unavailable:
        responses["503"] = {**answer, "description": "It does not."}
    responses["default"] = {
        "description": "The request was not answered.",
        "headers": {REQUEST_ID: headers[REQUEST_ID]},
        "content": {JSON: {"schema": _error(operation)}},
    }
    found: Document = {"summary": operation.text, "responses": responses}
    if operation.parameters:
        found["parameters"] = [_parameter(one) for one in operation.parameters]
    body = _question(operation)
    if body is not None:
        required = operation.question is None  # the fields of ours may all be left out
        found["requestBody"] = {"required": required, "content": {JSON: {"schema": body}}}
    if operation.admin:
        found["security"] = [{"admin": []}]
    elif operation in CLIENT:
        found["security"] = _CLIENTS
    return found


def _answer(operation: Operation, media: str) -> Document:
    if operation.vendor is not None:
        return {"schema": _described("object" if media == JSON else "string", operation.vendor)}
    if operation.schema is not None:
        return {"schema": {"$ref": _reference(operation.schema)}}
    return {}


def _question(operation: Operation) -> Document | None:
    if operation.question is not None:
        return {"$ref": _reference(operation.question.__name__)}
    if operation.vendor is not None and operation.method == "post":
        return _described("object", operation.vendor)
    return None


def _error(operation: Operation) -> Document:
    own = {"$ref": _reference(operation.error)}
    if operation.vendor is None:
        return own
    passed_on = _described("object", operation.vendor)
    return {"anyOf": [own, {**passed_on, "description": "A provider's own, passed on as it is."}]}


def _parameter(parameter: Parameter) -> Document:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.text,
        "schema": dict(parameter.schema),
    }


def _described(kind: str, vendor: str) -> Document:
    """Return the schema of what a vendor describes."""
    return {"type": kind, "externalDocs": {"url": vendor}}


def _reference(name: str) -> str:
    return f"#/components/schemas/{name}"
