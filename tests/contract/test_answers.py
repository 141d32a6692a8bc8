"""What a real gateway answers is what the schemas, and the document made of them, say."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Protocol

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012

Json = Any  # a parsed document

BASE, JSON = "http://gateway/openapi.json", "application/json"
DEADLINE_S = 120.0  # a busy machine is no fault
OPUS, SONNET = "claude-opus-4-5-20251101", "claude-sonnet-4-5-20250929"


class Reply(Protocol):
    """An answer, as the fixture returns it."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Json: ...


class Daemon(Protocol):
    """The gateway, as the fixture gives it."""

    admin: dict[str, str]
    port: int

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
    body = {"model": OPUS, "messages": [{"role": "user", "content": "x"}]}
    daemon.call("POST", "/v1/messages/count_tokens", body, {"x-agent-type": "reviewer"})
    return daemon.get("/openapi.json")


def faults(document: Json, value: Json, *where: str) -> Json:
    """Return what is wrong with a value by the schema that stands somewhere in the document."""
    resource = DRAFT202012.create_resource(document)
    registry: Registry[Json] = Registry().with_resource(BASE, resource)
    pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in where)
    checker = FormatChecker()
    schema = {"$ref": f"{BASE}#/{pointer}"}
    validator = Draft202012Validator(schema, registry=registry, format_checker=checker)
    return best_match(validator.iter_errors(value))


def check(document: Json, value: Json, *where: str) -> None:
    found = faults(document, value, *where)
    assert found is None, f"{where}: {found.json_path}: {found.message}"


def check_component(document: Json, name: str, value: Json) -> None:
    check(document, value, "components", "schemas", name)


TALK = {"model": SONNET, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
RULES = {"rules": [[SONNET, OPUS], ["claude-haiku-4-5-20251001", SONNET]]}
QUESTIONS: dict[str, Json] = {
    "/gateway/what-if": {
        "overrides": {**RULES, "agent_rules": {"reviewer": SONNET}},
        "rollout": {"apply_to": "new_sessions", "percent": 50, "agents": ["main"]},
        "start_time": "2026-01-01t00:00:00z",
        "limit": 1000,
        "decisions": True,
    },
    "/v1/messages": TALK,
    "/v1/messages/count_tokens": {"model": OPUS, "messages": TALK["messages"]},
    "/v1/chat/completions": TALK,
}


def test_every_answer_is_as_described(daemon: Daemon, document: Json) -> None:
    checked = 0
    for path, operations in document["paths"].items():
        if path in ("/api/stream", "/api/shutdown"):
            continue
        for method, operation in operations.items():
            here, question = ("paths", path, method), QUESTIONS.get(path)
            assert (question is not None) == ("requestBody" in operation), path
            if question is not None:
                check(document, question, *here, "requestBody", "content", JSON, "schema")
            asked = path.replace("{id}", SONNET)
            sent = daemon.admin if "admin" in str(operation.get("security")) else None
            reply = daemon.call(method.upper(), asked, question, sent)
            media = check_head(document, reply, operation["responses"]["200"])
            if "schema" in operation["responses"]["200"]["content"][media]:
                where = ("responses", "200", "content", media, "schema")
                check(document, reply.json(), *here, *where)
                checked += 1
    assert checked >= 18


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_streamed_answer_is_one_of_those_described(
    daemon: Daemon, document: Json, path: str
) -> None:
    reply = daemon.call("POST", path, {**TALK, "stream": True})
    answer = document["paths"][path]["post"]["responses"]["200"]
    assert check_head(document, reply, answer) == "text/event-stream"


def check_head(document: Json, reply: Reply, described: Json) -> str:
    """Hold status and headers against an answer's description; return the content type."""
    assert reply.status == 200, reply.body
    own = {name for name in reply.headers if name.startswith("x-gateway-")}
    rows = document["components"]["headers"]
    assert {name for name in described["headers"] if rows[name]["required"]} <= own
    assert own <= described["headers"].keys()
    media = reply.headers["content-type"].partition(";")[0]
    assert media in described["content"]
    return media


def test_what_if_decides_what_the_document_shows(daemon: Daemon, document: Json) -> None:
    question = {"overrides": RULES, "decisions": True}
    path = "/gateway/what-if"
    reply = daemon.call("POST", path, question, daemon.admin)
    where = ("responses", "200", "content", JSON, "schema")
    check(document, reply.json(), "paths", path, "post", *where)
    decided = {one["requested"]: one["chosen"] for one in reply.json()["decisions"]}
    assert decided[SONNET] == OPUS
    assert reply.json()["overridden"] > 0
    assert reply.json()["rules"]
    assert reply.json()["peak_minutes"]


@pytest.mark.parametrize(
    "question",
    [
        {"overrides": {"rules": [["a"]]}},
        {"overrides": {"rules": [["a", ""]]}},
        {"overrides": {"rules": [["a", "b", "c"]]}},
        {"overrides": {"agent_rules": {"a": 1}}},
        {"unheard_of": 1},
        {"rollout": {"percent": 101}},
        {"rollout": {"apply_to": "some"}},
        {"rollout": {"session_idle_s": 0}},
        {"limit": 0},
        {"limit": 10**9},
        {"decisions": 1},
        {"start_time": 0},
        [],
    ],
)
def test_what_the_document_does_not_allow_is_refused(
    daemon: Daemon, document: Json, question: Json
) -> None:
    body = ("paths", "/gateway/what-if", "post", "requestBody", "content", JSON, "schema")
    assert faults(document, question, *body) is not None
    reply = daemon.call("POST", "/gateway/what-if", question, daemon.admin)
    assert reply.status == 400
    check_component(document, "error", reply.json())


def test_every_event_is_as_described(daemon: Daemon, document: Json) -> None:
    names = {"analytics", "model_override", "cache_miss", "cache_hit", "error"}
    with closing(
        http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=DEADLINE_S)
    ) as connection:
        connection.request("GET", "/api/stream")
        answer = connection.getresponse()
        assert answer.getheader("content-type") == "text/event-stream"
        content = ("paths", "/api/stream", "get", "responses", "200", "content")
        events = spoken(answer)
        told: set[str] = set()
        # Each of the two workers has a cache of its own: of three questions one is asked again.
        for change in (*({"max_tokens": 41},) * 3, {"model": "no-such-model"}):
            daemon.ask(**change)
        deadline = time.monotonic() + DEADLINE_S
        while told != names and time.monotonic() < deadline:
            name, data = next(events)
            told.add(name)
            value = {"event": name, "data": data}
            check(document, value, *content, "text/event-stream", "schema")
        assert told == names


def spoken(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Json]]:
    """Return the events of a stream as they come."""
    while True:
        name = answer.readline().decode().strip()
        if not name.startswith("event: "):  # a comment, or a blank line
            continue
        data = answer.readline().removeprefix(b"data: ")
        yield name.removeprefix("event: "), json.loads(data)


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
    check_component(document, name, reply.json())
    assert reply.json().get("entries", ["metrics have none"])


@pytest.mark.parametrize(
    ("asked", "headers", "status", "name"),
    [
        ("GET /nothing", {}, 404, "error"),
        ("PUT /health", {}, 405, "error"),
        ("GET /gateway/audit?limit=x", {}, 400, "error"),
        ("GET /gateway/audit?include_bodies=true", {}, 401, "error"),
        ("POST /gateway/metrics/reset", {}, 401, "error"),
        ("GET /gateway/audit", {"host": "evil.example"}, 403, "error"),
        ("POST /v1/messages", {}, 400, "error"),
        ("GET /v1/messages/count_tokens", {}, 405, "error"),
        ("POST /v1/chat/completions", {}, 400, "chat-error"),
        ("GET /v1/chat/completions", {}, 405, "chat-error"),
    ],
)
def test_error_is_as_described(
    daemon: Daemon, document: Json, asked: str, headers: dict[str, str], status: int, name: str
) -> None:
    method, path = asked.split()
    reply = daemon.call(method, path, None, headers)
    assert reply.status == status
    check_component(document, name, reply.json())
    assert reply.headers.get("x-gateway-request-id")


def test_no_path_is_undescribed(document: Json) -> None:
    assert {
        (method.upper(), path) for path, entry in document["paths"].items() for method in entry
    } == {
        ("GET", "/"),
        ("GET", "/health"),
        ("GET", "/ready"),
        ("GET", "/gateway/workers"),
        ("GET", "/gateway/health"),
        ("GET", "/gateway/metrics"),
        ("POST", "/gateway/metrics/reset"),
        ("GET", "/gateway/providers"),
        ("GET", "/gateway/audit"),
        ("POST", "/gateway/what-if"),
        ("GET", "/api/overrides/stats"),
        ("GET", "/api/cache/stats"),
        ("GET", "/api/machine/stats"),
        ("GET", "/api/project/stats"),
        ("GET", "/api/stream"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("POST", "/api/shutdown"),
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{id}"),
    }
