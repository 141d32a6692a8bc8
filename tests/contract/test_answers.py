"""What a real gateway answers is what the schemas, and the document made of them, say."""

from __future__ import annotations

from typing import Any, Protocol

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match

Json = Any  # a parsed document


class Reply(Protocol):
    """An answer, as the fixture returns it."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Json: ...


class Daemon(Protocol):
    """The gateway, as the fixture gives it."""

    admin: dict[str, str]

    def call(
        self, method: str, path: str, body: Json = None, headers: dict[str, str] | None = None
    ) -> Reply: ...

    def get(self, path: str) -> Json: ...

    def ask(self, **change: Json) -> Reply: ...


@pytest.fixture(scope="module")
def document(daemon: Daemon) -> Json:
    """Return the gateway's own description, after traffic of every kind."""
    for change in ({}, {}, {"stream": True}, {"model": "no-such-model"}, {"max_tokens": "many"}):
        daemon.ask(**change)
    body = {"model": "claude-opus-4-5-20251101", "messages": [{"role": "user", "content": "x"}]}
    daemon.call("POST", "/v1/messages/count_tokens", body, {"x-agent-type": "reviewer"})
    return daemon.get("/openapi.json")


def check(document: Json, name: str, answer: Json) -> None:
    schema = document["components"]["schemas"][name]
    checker = FormatChecker()
    found = best_match(Draft202012Validator(schema, format_checker=checker).iter_errors(answer))
    assert found is None, f"{name}: {found.json_path}: {found.message}"


def schema_of(operation: Json, status: str = "200") -> str | None:
    content = operation["responses"][status]["content"].get("application/json", {})
    reference: str = content.get("schema", {}).get("$ref", "")
    return reference.rpartition("/")[2] or None


def test_every_answer_is_as_described(daemon: Daemon, document: Json) -> None:
    checked = 0
    for path, operations in document["paths"].items():
        if path in ("/api/stream", "/api/shutdown"):
            continue
        for method, operation in operations.items():
            reply = daemon.call(method.upper(), path, None, daemon.admin)
            assert reply.status == 200, path
            media = reply.headers["content-type"].partition(";")[0]
            assert media in operation["responses"]["200"]["content"], path
            name = schema_of(operation)
            if name is not None:
                check(document, name, reply.json())
                checked += 1
    assert checked >= 11


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/gateway/audit?include_bodies=true&limit=1000", "audit"),
        ("/gateway/audit?success=false", "audit"),
        ("/gateway/metrics?include_project=true&include_agent=false", "gateway-metrics"),
    ],
)
def test_answer_to_a_query_is_as_described(
    daemon: Daemon, document: Json, path: str, name: str
) -> None:
    reply = daemon.call("GET", path, None, daemon.admin)
    assert reply.status == 200
    check(document, name, reply.json())
    assert reply.json().get("entries", ["metrics have none"])


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("PUT", "/health", {}, 405),
        ("GET", "/gateway/audit?limit=x", {}, 400),
        ("GET", "/gateway/audit?include_bodies=true", {}, 401),
        ("POST", "/gateway/metrics/reset", {}, 401),
        ("GET", "/gateway/audit", {"host": "evil.example"}, 403),
    ],
)
def test_error_is_as_described(
    daemon: Daemon, document: Json, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    reply = daemon.call(method, path, None, headers)
    assert reply.status == status
    check(document, "error", reply.json())


def test_no_path_is_undescribed(document: Json) -> None:
    described = {(method, path) for path, entry in document["paths"].items() for method in entry}
    assert {path for _, path in described} == {
        "/",
        "/health",
        "/ready",
        "/gateway/workers",
        "/gateway/health",
        "/gateway/metrics",
        "/gateway/metrics/reset",
        "/gateway/providers",
        "/gateway/audit",
        "/gateway/what-if",
        "/api/overrides/stats",
        "/api/cache/stats",
        "/api/machine/stats",
        "/api/project/stats",
        "/api/stream",
        "/metrics",
        "/openapi.json",
        "/api/shutdown",
    }
