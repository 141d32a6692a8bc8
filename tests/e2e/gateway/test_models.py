"""Which models a real worker's application says there are: whose list, in whose form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import anthropic
import openai
import pytest

from tests.e2e.gateway.in_process import (
    ANTHROPIC,
    DEAD_URL,
    KEY,
    OPENAI,
    OWN_KEY,
    Gateway,
    Setup,
    run,
)
from tests.e2e.gateway.scripted import JSON, Answer, Json, answering

pytestmark = pytest.mark.usefixtures("own_keys")

MODELS = "/v1/models"
VERSION = {b"anthropic-version": b"2023-06-01"}
BEARER = {b"authorization": b"Bearer sk-client"}
NINE: Json = {"type": "model", "id": "claude-9", "display_name": "Nine"}
NINE |= {"created_at": "2026-01-01T00:00:00Z"}
ROW: Json = {"id": "gpt-9", "object": "model", "created": 1_767_225_600, "owned_by": "openai"}
PAGE: Json = {"data": [NINE], "has_more": False, "first_id": "claude-9", "last_id": "claude-9"}
LIST: Json = {"object": "list", "data": [ROW]}
FOREIGN_NINE = ROW | {"id": "claude-9", "owned_by": "unknown"}
FOREIGN_ROW = NINE | {"id": "gpt-9", "display_name": "gpt-9"}
AZURE = OPENAI | {"providerType": "azure"}


def said(document: Json, status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode(), (JSON, (b"request-id", b"req_1")))


def is_told(document: Json, kind: str, words: str, *, to: Mapping[bytes, bytes]) -> bool:
    """Return whether an error is in the form of whoever shows these headers."""
    error = document["error"]
    if to.keys() & {b"x-api-key", b"anthropic-version"}:
        form = document["type"] == "error" and document["request_id"].startswith("gw_")
    else:
        form = document.keys() == {"error"} and error["code"] == kind
    return form and error["type"] == kind and words in error["message"]


@pytest.mark.parametrize(
    ("entry", "headers", "path", "target"),
    [
        (ANTHROPIC, KEY, MODELS + "?limit=2", b"/v1/models?limit=2"),
        (OPENAI, BEARER, MODELS + "?x=1", b"/v1/models?x=1"),
        (OPENAI, {}, MODELS + "/gpt-9", b"/v1/models/gpt-9"),
        (OPENAI | {"api": "responses"}, BEARER, MODELS, b"/v1/models"),
        (AZURE, BEARER, MODELS, b"/openai/models?api-version=2024-10-21"),
        (
            AZURE | {"deployment": "d", "apiVersion": "2025-01-01"},
            BEARER,
            MODELS + "/gpt-9",
            b"/openai/models/gpt-9?api-version=2025-01-01",
        ),
    ],
)
def test_list_in_the_clients_own_form_keeps_every_byte(
    tmp_path: Path,
    entry: dict[str, Json],
    headers: dict[bytes, bytes],
    path: str,
    target: bytes,
) -> None:
    odd = b'{ "data":[1.0e0], "more" : "\\u00e9"}'

    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("GET", path, headers=headers)
        assert (reply.status, reply.body) == (200, odd)
        assert reply.header(b"content-type") == b"application/json"
        assert reply.header(b"x-gateway-request-id")
        (seen,) = gateway.provider.seen
        assert seen.target == target
        shown = seen.headers.get(b"x-api-key") == KEY[b"x-api-key"]
        assert shown is (headers is KEY)

    run(tmp_path, Setup({"p": (entry, answering(Answer(body=odd)))}), scenario)


@pytest.mark.parametrize(
    ("entry", "headers", "asked", "said_there", "told"),
    [
        (
            OWN_KEY,
            BEARER,
            (MODELS, b"/v1/models?limit=1000"),
            PAGE,
            LIST | {"data": [FOREIGN_NINE]},
        ),
        (
            OWN_KEY,
            {},
            (MODELS + "/claude-9", b"/v1/models/claude-9?limit=1000"),
            NINE,
            FOREIGN_NINE,
        ),
        (
            OPENAI,
            VERSION | BEARER,
            (MODELS + "?limit=1", b"/v1/models"),
            LIST | {"data": [ROW, ROW | {"id": "gpt-8"}]},
            {"data": [FOREIGN_ROW], "has_more": True, "first_id": "gpt-9", "last_id": "gpt-9"},
        ),
        (OPENAI, KEY, (MODELS + "/gpt-9", b"/v1/models/gpt-9"), ROW, FOREIGN_ROW),
    ],
)
def test_list_in_another_form_is_told_in_the_clients(
    tmp_path: Path,
    entry: dict[str, Json],
    headers: dict[bytes, bytes],
    asked: tuple[str, bytes],
    said_there: Json,
    told: Json,
) -> None:
    path, target = asked

    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("GET", path, headers=headers)
        assert (reply.status, reply.json()) == (200, told)
        assert reply.header(b"request-id") == b"req_1"
        (seen,) = gateway.provider.seen
        assert seen.target == target
        assert not {*headers.values()} & {*seen.headers.values()}

    run(tmp_path, Setup({"p": (entry, answering(said(said_there)))}), scenario)


@pytest.mark.parametrize("headers", [KEY, VERSION | BEARER, BEARER, {}])
@pytest.mark.parametrize(
    ("entry", "answer", "status", "words"),
    [
        (OWN_KEY, said({"error": {"message": "no"}}, 401), 503, "own key: HTTP 401: no"),
        (OPENAI, said({"error": {"message": "no"}}, 403), 503, "own key: HTTP 403: no"),
        (OWN_KEY | {"baseUrl": DEAD_URL}, said(PAGE), 502, "provider p failed"),
        (OPENAI | {"apiKeyRef": "env:NO"}, said(LIST), 503, "cannot be resolved"),
    ],
    ids=["own-key-401", "own-key-403", "dead", "no-key"],
)
def test_trouble_is_told_in_the_clients_form(
    tmp_path: Path,
    headers: dict[bytes, bytes],
    entry: dict[str, Json],
    answer: Answer,
    status: int,
    words: str,
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("GET", MODELS, headers=headers)
        assert reply.status == status
        assert is_told(reply.json(), "api_error", words, to=headers)

    run(tmp_path, Setup({"p": (entry, answering(answer))}), scenario)


@pytest.mark.parametrize(
    ("entry", "headers", "answer", "status", "told"),
    [
        # A client's own key is its own affair.
        (ANTHROPIC, KEY, said({"error": 1}, 401), 401, {"error": 1}),
        (OPENAI, BEARER, said({"error": 1}, 429), 429, {"error": 1}),
        (OWN_KEY, KEY, said({"error": 1}, 404), 404, {"error": 1}),
    ],
)
def test_providers_refusal_in_the_clients_own_form_is_passed_on(
    tmp_path: Path,
    entry: dict[str, Json],
    headers: dict[bytes, bytes],
    answer: Answer,
    status: int,
    told: Json,
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("GET", MODELS, headers=headers)
        assert (reply.status, reply.json()) == (status, told)

    run(tmp_path, Setup({"p": (entry, answering(answer))}), scenario)


@pytest.mark.parametrize(
    ("entry", "headers", "answer", "status", "kind"),
    [
        (OWN_KEY, BEARER, said({"error": {"message": "gone"}}, 404), 404, "invalid_request_error"),
        (OPENAI, KEY, said({"error": {"message": "gone"}}, 404), 404, "not_found_error"),
        (OPENAI, KEY, said({"error": {"message": "gone"}}, 429), 429, "rate_limit_error"),
    ],
)
def test_other_refusals_are_told_in_the_clients_form(
    tmp_path: Path,
    entry: dict[str, Json],
    headers: dict[bytes, bytes],
    answer: Answer,
    status: int,
    kind: str,
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("GET", MODELS + "/x", headers=headers)
        assert (reply.status, reply.json()["error"]["type"]) == (status, kind)
        assert ("type" in reply.json()) is (headers is KEY)

    run(tmp_path, Setup({"p": (entry, answering(answer))}), scenario)


@pytest.mark.parametrize("body", [b"<p>Models</p>", b'[{"id":"gpt-9"}]', b'{"models":[]}', b""])
def test_what_is_no_list_is_passed_on_as_it_came(tmp_path: Path, body: bytes) -> None:
    page = (b"content-type", b"text/html")

    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("GET", MODELS, headers=KEY)
        assert (reply.status, reply.body, reply.header(page[0])) == (200, body, page[1])

    run(tmp_path, Setup({"p": (OPENAI, answering(Answer(body=body, headers=(page,))))}), scenario)


NO_KEY: dict[str, Json] = {"apiKeyRef": ""}


@pytest.mark.parametrize(
    ("first", "second", "headers", "asked"),
    [
        (ANTHROPIC, OPENAI | NO_KEY, KEY, "a"),
        (ANTHROPIC, OPENAI | NO_KEY, BEARER, "b"),
        (OPENAI | NO_KEY, ANTHROPIC, KEY, "b"),
        (OWN_KEY, OPENAI | NO_KEY, BEARER, "a"),
        (OPENAI | NO_KEY, AZURE | NO_KEY, KEY, None),
    ],
)
def test_provider_is_asked_that_a_key_fits(
    tmp_path: Path,
    first: dict[str, Json],
    second: dict[str, Json],
    headers: dict[bytes, bytes],
    asked: str | None,
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("GET", MODELS, headers=headers)
        assert reply.status == (503 if asked is None else 200)
        assert [name for name in ("a", "b") if gateway.asked(name)] == [asked] * (asked is not None)

    answer = answering(said({"data": []}))
    setup = Setup({"a": (first, answer), "b": (second, answer)}, {"defaultProvider": "a"})
    run(tmp_path, setup, scenario)


CATALOGUE = 'models = ["claude-9", "org/gpt-9", "claude-9"]\n'


def test_configured_models_are_listed_and_nobody_is_asked(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        url = gateway.url
        async with anthropic.AsyncAnthropic(base_url=url, api_key="sk-ant-test") as client:
            ids = [model.id async for model in client.models.list(limit=1)]
            assert ids == ["claude-9", "org/gpt-9"]
            assert (await client.models.retrieve("org/gpt-9")).display_name == "org/gpt-9"
            with pytest.raises(anthropic.NotFoundError, match="model: gpt"):
                await client.models.retrieve("gpt")
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-test") as caller:
            ids = [model.id async for model in caller.models.list()]
            assert ids == ["claude-9", "org/gpt-9"]
            assert (await caller.models.retrieve("claude-9")).object == "model"
            with pytest.raises(openai.NotFoundError, match="model: gpt"):
                await caller.models.retrieve("gpt")
        assert gateway.provider.seen == []

    files = {"gateway.toml": CATALOGUE}
    run(tmp_path, Setup({"a": (ANTHROPIC, answering(said(PAGE)))}, files=files), scenario)


def test_configured_models_are_not_listed_to_strangers(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        for headers in (KEY, BEARER, {}):
            reply = await gateway.call("GET", MODELS, headers=headers)
            assert reply.status == 401
            assert is_told(reply.json(), "authentication_error", "client token", to=headers)
        reply = await gateway.call("GET", MODELS, headers={b"authorization": b"Bearer tok-1"})
        assert [model["id"] for model in reply.json()["data"]] == ["claude-9", "org/gpt-9"]

    digest = hashlib.sha256(b"tok-1").hexdigest()
    own = f'{CATALOGUE}[[clients]]\nname = "team"\ntoken_sha256 = "{digest}"\n'
    setup = Setup({"a": (OWN_KEY, answering(said(PAGE)))}, files={"gateway.toml": own})
    run(tmp_path, setup, scenario)


def test_switched_off_gateway_passes_the_providers_list_on(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.call("GET", MODELS)).json() == PAGE

    files = {"gateway.toml": CATALOGUE, "daemon-config.json": '{"gatewayEnabled": false}'}
    run(tmp_path, Setup({"a": (ANTHROPIC, answering(said(PAGE)))}, files=files), scenario)
