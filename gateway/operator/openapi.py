"""Describe the operator API as an OpenAPI document, from the schemas of its answers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value of a query; `schema` is a JSON Schema."""

    name: str
    text: str
    schema: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one path.

    Attributes:
        schema: Name of the answer's schema; None when the answer is no JSON.
        media: Content types of the answer.
        admin: Whether the admin token is needed.
        unavailable: Whether the same answer is given with status 503, too.
    """

    method: str
    path: str
    text: str
    schema: str | None = None
    media: tuple[str, ...] = ("application/json",)
    admin: bool = False
    unavailable: bool = False
    parameters: tuple[Parameter, ...] = ()


_FLAG: Mapping[str, object] = {"type": "boolean"}
_TEXT: Mapping[str, object] = {"type": "string"}
_TIME: Mapping[str, object] = {"type": "string", "format": "date-time"}
_COUNT: Mapping[str, object] = {"type": "integer", "minimum": 0}

_METRICS = (
    *(
        Parameter(f"include_{name}", f"Whether to return by_{name}.", {**_FLAG, "default": default})
        for name, default in (("agent", True), ("provider", True), ("model", True))
    ),
    Parameter("include_project", "Whether to return by_project.", {**_FLAG, "default": False}),
    Parameter("recent_limit", "How many of the latest requests.", {**_COUNT, "default": 20}),
)
_AUDIT = (
    Parameter("start_time", "Earliest arrival.", _TIME),
    Parameter("end_time", "Latest arrival.", _TIME),
    *(
        Parameter(name, "Only this one.", _TEXT)
        for name in ("agent_type", "provider", "project_id", "request_id")
    ),
    Parameter("success", "Only successes, or only failures.", _FLAG),
    Parameter("limit", "How many, at most 1000.", {**_COUNT, "default": 100}),
    Parameter("offset", "How many to leave out.", {**_COUNT, "default": 0}),
    Parameter("include_bodies", "Bodies, too; needs the admin token.", {**_FLAG, "default": False}),
)

OPERATIONS: tuple[Operation, ...] = (
    Operation("get", "/", "The dashboard.", media=("text/html",)),
    Operation("get", "/health", "Whether a worker lives.", "health", unavailable=True),
    Operation("get", "/ready", "Whether it takes requests.", "ready", unavailable=True),
    Operation("get", "/gateway/workers", "Every live worker.", "workers"),
    Operation("get", "/gateway/health", "Providers and ledger.", "gateway-health"),
    Operation(
        "get", "/gateway/metrics", "Sums of all requests.", "gateway-metrics", parameters=_METRICS
    ),
    Operation("post", "/gateway/metrics/reset", "Count from now.", "metrics-reset", admin=True),
    Operation("get", "/gateway/providers", "The providers.", "providers"),
    Operation("get", "/gateway/audit", "Recorded requests.", "audit", parameters=_AUDIT),
    Operation("get", "/api/overrides/stats", "What overrides did.", "overrides"),
    Operation("get", "/api/cache/stats", "What the response caches did.", "cache"),
    Operation("get", "/api/machine/stats", "Sums for charts.", "machine"),
    Operation("get", "/api/project/stats", "Sums and trends.", "project"),
    Operation("get", "/api/stream", "Figures and events, live.", media=("text/event-stream",)),
    Operation(
        "get",
        "/metrics",
        "Metrics for Prometheus.",
        media=("text/plain", "application/openmetrics-text"),
    ),
    Operation("get", "/openapi.json", "This document.", media=("application/json",)),
    Operation("post", "/gateway/what-if", "What other rules would do.", "what-if", admin=True),
    Operation("post", "/api/shutdown", "Drain, then end.", "shutdown", admin=True),
)


def schema_names() -> Iterable[str]:
    """Return the names of all answers' schemas, that of errors last."""
    return (*(one.schema for one in OPERATIONS if one.schema is not None), "error")


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
        "info": {"title": "Operator API of the gateway", "version": version},
        "paths": paths,
        "components": {
            "schemas": dict(schemas),
            "securitySchemes": {"admin": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation) -> Document:
    reference = {"$ref": f"#/components/schemas/{operation.schema}"}
    schema = {} if operation.schema is None else {"schema": reference}
    content = dict.fromkeys(operation.media, schema)
    responses: Document = {"200": {"description": operation.text, "content": content}}
    if operation.unavailable:
        responses["503"] = {"description": "It does not.", "content": content}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/error"}}}
    responses["default"] = {"description": "The request was not answered.", "content": error}
    found: Document = {"summary": operation.text, "responses": responses}
    if operation.parameters:
        found["parameters"] = [
            {"name": one.name, "in": "query", "description": one.text, "schema": dict(one.schema)}
            for one in operation.parameters
        ]
    if operation.admin:
        found["security"] = [{"admin": []}]
    return found
