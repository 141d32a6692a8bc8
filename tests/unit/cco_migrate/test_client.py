"""The gateway client: three dialects become the same objects, anything else is said by name."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cco_migrate.client import (
    ASKED_AT_MOST,
    GatewayClient,
    Health,
    NotAGateway,
    OverrideCounts,
    Unreachable,
    Worker,
    Workers,
)
from cco_migrate.world import World

Reply = tuple[int, Mapping[str, str], bytes]
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]
Answers = Callable[[Mapping[str, object]], GatewayClient]

JSON = {"content-type": "application/json"}
HTML = {"content-type": "text/html; charset=utf-8"}
CALLS: Mapping[str, Callable[[GatewayClient], object]] = {
    "/health": GatewayClient.health,
    "/gateway/workers": GatewayClient.workers,
    "/api/overrides/stats": GatewayClient.overrides,
    "/gateway/audit": GatewayClient.audit,
    "/api/machine/stats": GatewayClient.model_totals,
}


@pytest.fixture
def answers(serve: Serve, world: World) -> Answers:
    """Make a client of a gateway that answers each path with one object, and 404 to the rest."""

    def make(rows: Mapping[str, object]) -> GatewayClient:
        def script(_method: str, target: str, _body: bytes) -> Reply:
            row = rows.get(target.partition("?")[0])
            if row is None:
                return 404, JSON, b'{"error": "not found"}'
            if isinstance(row, tuple):
                status, headers, body = row
                return status, headers, body
            return 200, JSON, json.dumps(row).encode()

        return GatewayClient(serve(script), world.http)

    return make


BUNDLED_HEALTH = {
    "status": "ok", "version": "1", "overrides_enabled": True, "override_rules": 3,
    "config_fingerprint": "f0f0", "instance": "demo", "worker": 1,
}  # fmt: skip
ORIGINAL_HEALTH = {"status": "ok", "uptime": 7, "overrides_enabled": False, "override_rules": 0}
RELEASED_HEALTH = {"status": "ok", "version": "2", "uptime": 7, "cache_stats": {"hits": 1}}


@pytest.mark.parametrize(
    ("health", "slots"),
    [(BUNDLED_HEALTH, [0]), (ORIGINAL_HEALTH, None)],
    ids=["bundled", "foreign"],
)
def test_foreign_gateway_is_not_asked_for_workers(
    answers: Answers, health: Mapping[str, object], slots: list[int] | None
) -> None:
    worker = {"slot": 0, "generation": 1, "boot_id": "b", "fingerprint": "f", "state": "serving"}
    gateway = answers({"/health": health, "/gateway/workers": {"workers": [worker]}})
    _, workers = gateway.health_and_workers()
    assert (workers and [one.slot for one in workers.workers]) == slots


@pytest.mark.parametrize(
    ("row", "health"),
    [
        (BUNDLED_HEALTH, Health("ok", True, 3, "f0f0", "demo")),
        (ORIGINAL_HEALTH, Health("ok", False, 0, None, None)),
        (RELEASED_HEALTH, Health("ok", None, None, None, None)),
        ({"status": "ok", "overrides_enabled": "yes"}, Health("ok", None, None, None, None)),
    ],
    ids=["bundled", "original", "original without overrides", "wrong types"],
)
def test_health_of_every_dialect(
    answers: Answers, row: Mapping[str, object], health: Health
) -> None:
    assert answers({"/health": row}).health() == health


def test_health_of_a_draining_gateway_is_read(answers: Answers) -> None:
    body = json.dumps({"status": "draining"}).encode()
    assert answers({"/health": (503, JSON, body)}).health().status == "draining"


def test_health_without_a_status_is_a_strangers(answers: Answers) -> None:
    with pytest.raises(NotAGateway, match="without a status"):
        answers({"/health": {"ok": True}}).health()


RULES = {"claude-sonnet-4-5": ("claude-haiku-4-5", 20)}


@pytest.mark.parametrize(
    ("row", "counts"),
    [
        (
            {
                "total_overrides": 20,
                "overrides_by_model": {
                    "claude-sonnet-4-5": {"overridden_to": "claude-haiku-4-5", "count": 20}
                },
            },
            OverrideCounts(20, RULES),
        ),
        (
            {
                "total_overrides": 20,
                "overrides_by_model": {"claude-sonnet-4-5": ["claude-haiku-4-5", 20]},
            },
            OverrideCounts(20, RULES),
        ),
        (
            {"total_overrides": 0, "overrides_enabled": False, "message": "not enabled"},
            OverrideCounts(0, {}),
        ),
    ],
    ids=["object form", "array form", "disabled"],
)
def test_override_counts_of_every_dialect(
    answers: Answers, row: Mapping[str, object], counts: OverrideCounts
) -> None:
    assert answers({"/api/overrides/stats": row}).overrides() == counts


def test_workers_are_read_with_the_last_reload(answers: Answers) -> None:
    rows = [
        {"slot": 0, "generation": 2, "boot_id": "b", "fingerprint": "f1", "state": "serving"},
        {"slot": 1, "generation": 1, "boot_id": "a", "fingerprint": "f0", "state": "draining"},
        {"slot": 2, "generation": 3, "boot_id": "c", "fingerprint": "f1", "state": "starting"},
    ]
    reload = {"finished_at": "2026-11-21T14:00:00Z", "error": "bad key", "more": 1}
    row = {"supervisor": 7, "workers": rows, "reload": reload}
    found = answers({"/gateway/workers": row}).workers()
    assert found == Workers(
        (
            Worker(0, 2, "b", "f1", "serving"),
            Worker(1, 1, "a", "f0", "draining"),
            Worker(2, 3, "c", "f1", "starting"),
        ),
        "2026-11-21T14:00:00Z",
        "bad key",
        7,
    )
    assert (found.generation, [w.slot for w in found.serving]) == (2, [0])


@pytest.mark.parametrize("reload", [None, {}])
def test_workers_without_a_reload(answers: Answers, reload: object) -> None:
    found = answers({"/gateway/workers": {"workers": [], "reload": reload}}).workers()
    assert found == Workers((), "", None)
    assert found.generation == 0


NUMBERS = {
    "cost_usd": 0.1, "input_tokens": 1, "output_tokens": 2, "cache_write_tokens": 0,
    "cache_read_tokens": 0,
}  # fmt: skip
AUDITED = [
    {"request_id": "b", "requested_model": "m", "model": "n", "stream": False, **NUMBERS},
    {"request_id": "a", "requested_model": "m", "model": "m", "stream": True, **NUMBERS},
]


def test_audit_asks_for_the_ids_wanted(serve: Serve, world: World) -> None:
    asked = []

    def script(_method: str, target: str, _body: bytes) -> Reply:
        asked.append(target)
        return 200, JSON, json.dumps({"entries": AUDITED}).encode()

    client = GatewayClient(serve(script), world.http)
    assert client.audit(limit=1) == AUDITED
    assert client.audit(request_ids=["a", "c"]) == AUDITED[1:]  # though it ignores the filter
    assert asked == ["/gateway/audit?limit=1", "/gateway/audit?limit=2&request_id=a,c"]


def test_audit_that_does_not_say_what_was_asked_for_is_none(answers: Answers) -> None:
    row = {"id": "a", "request_id": "a", "model": "m", "success": True, **NUMBERS}
    assert answers({"/gateway/audit": {"entries": [row], "total": 1}}).audit() is None
    assert answers({"/gateway/audit": {"entries": [], "total": 0}}).audit() == []


def test_model_totals_take_an_unknown_cost_for_nothing(answers: Answers) -> None:
    models = [{"name": "m", "calls": 3, "cost": 0.5}, {"name": "n", "calls": 1, "cost": None}]
    client = answers({"/api/machine/stats": {"models": models}})
    assert client.model_totals() == {"m": (3, 0.5), "n": (1, 0.0)}


def test_what_a_gateway_does_not_have_is_none(answers: Answers) -> None:
    client = answers({})
    assert (client.workers(), client.audit(), client.model_totals()) == (None, None, None)
    assert answers({"/api/machine/stats": {"totalCost": 1}}).model_totals() is None


@pytest.mark.parametrize("path", ["/health", "/api/overrides/stats"])
def test_what_every_gateway_has_cannot_be_missing(answers: Answers, path: str) -> None:
    with pytest.raises(NotAGateway, match=f"{path} answers 404"):
        CALLS[path](answers({}))


STRANGERS: Mapping[str, Any] = {
    "html": (200, HTML, b"<!doctype html><p>welcome"),
    "no json": (200, JSON, b"\xff{"),
    "an array": [],
    "a text": "ok",
    "server error": (500, JSON, b"{}"),
    "redirect": (302, {"location": "/login"}, b""),
    "forbidden": (403, HTML, b"no"),
    "undecodable": (200, {**JSON, "content-encoding": "gzip"}, b"not gzip"),
}


@pytest.mark.parametrize("kind", STRANGERS)
@pytest.mark.parametrize("path", CALLS)
def test_stranger_is_no_gateway(answers: Answers, path: str, kind: str) -> None:
    with pytest.raises(NotAGateway, match=path):
        CALLS[path](answers({path: STRANGERS[kind]}))


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("/gateway/workers", {"workers": [{}]}),
        ("/gateway/workers", {"workers": None}),
        ("/gateway/workers", {"workers": [1]}),
        ("/gateway/workers", {"workers": [], "reload": [1]}),
        ("/api/overrides/stats", {}),
        ("/api/overrides/stats", {"total_overrides": "3"}),
        ("/api/overrides/stats", {"total_overrides": 3, "overrides_by_model": [1]}),
        ("/api/overrides/stats", {"total_overrides": 3, "overrides_by_model": {"a": []}}),
        ("/api/overrides/stats", {"total_overrides": 3, "overrides_by_model": {"a": {}}}),
        ("/api/overrides/stats", {"total_overrides": 3, "overrides_by_model": {"a": 3}}),
        ("/gateway/audit", {"entries": [1]}),
        ("/api/machine/stats", {"models": [{}]}),
        ("/api/machine/stats", {"models": [{"name": "m", "calls": None, "cost": 1}]}),
        ("/api/machine/stats", {"models": ["m"]}),
    ],
)
def test_answer_of_another_shape_is_no_gateways(
    answers: Answers, path: str, row: Mapping[str, object]
) -> None:
    with pytest.raises(NotAGateway, match=path):
        CALLS[path](answers({path: row}))


@pytest.mark.parametrize("path", CALLS)
def test_refused_connection_is_unreachable(world: World, closed_port: int, path: str) -> None:
    client = GatewayClient(f"http://127.0.0.1:{closed_port}/", world.http)
    with pytest.raises(Unreachable, match=f"http://127.0.0.1:{closed_port} does not answer"):
        CALLS[path](client)


def test_connection_that_closes_while_idle_is_opened_again(world: World) -> None:
    body = json.dumps(ORIGINAL_HEALTH).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept_twice() -> None:
            for reply in (b"", answer):  # the first connection ends without a word
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

        thread = threading.Thread(target=accept_twice)
        thread.start()
        client = GatewayClient(f"http://127.0.0.1:{server.getsockname()[1]}", world.http)
        assert client.health().status == "ok"
        thread.join()


def test_page_is_what_a_browser_gets(answers: Answers) -> None:
    assert answers({"/": (200, HTML, b"<p>Model Overrides")}).page() == "<p>Model Overrides"


@pytest.mark.parametrize("reply", [(200, JSON, b"{}"), (404, HTML, b"<p>no")])
def test_page_that_is_none_is_said(answers: Answers, reply: Reply) -> None:
    with pytest.raises(NotAGateway, match="no page"):
        answers({"/": reply}).page()


def test_busy_supervisor_is_asked_again_and_not_for_ever(serve: Serve, world: World) -> None:
    asked = []

    def script(_method: str, target: str, _body: bytes) -> Reply:
        asked.append(target)
        if len(asked) < 3:
            return 503, JSON, b'{"error": {"message": "the supervisor did not answer"}}'
        return 200, JSON, b'{"workers": []}'

    assert GatewayClient(serve(script), world.http).workers() == Workers((), "", None)
    assert len(asked) == 3

    def never(_method: str, target: str, _body: bytes) -> Reply:
        asked.append(target)
        return 503, JSON, b"{}"

    asked.clear()
    with pytest.raises(NotAGateway, match="503"):
        GatewayClient(serve(never), world.http).workers()
    assert len(asked) == ASKED_AT_MOST
