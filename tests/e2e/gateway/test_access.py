"""With whose keys a real worker's application asks its provider, and who may use or see it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from pathlib import Path

import pytest

from tests.e2e.gateway.in_process import (
    CHAT,
    COUNT,
    DEADLINE_S,
    KEY,
    MESSAGES,
    Gateway,
    before_one,
    run,
)
from tests.e2e.gateway.scripted import answering
from tests.e2e.gateway.spoken import SAID, asking

pytestmark = pytest.mark.usefixtures("own_keys")

TOKEN, ADMIN = b"tok-1", b"admin-0123456789abcdef0123456789abcdef"
OWN_KEYS = 'credentials = "gateway"\n'
SUBSCRIBER = {b"authorization": b"Bearer sk-ant-oat01-client"}
SECRETS = KEY | SUBSCRIBER | {b"cookie": b"session=client"}


@pytest.mark.parametrize("path", [MESSAGES, COUNT, CHAT, "/v1/models"])
def test_clients_key_is_never_forwarded_when_the_gateway_pays(tmp_path: Path, path: str) -> None:
    async def scenario(gateway: Gateway) -> None:
        method = "GET" if path == "/v1/models" else "POST"
        content = b"" if method == "GET" else json.dumps(asking()).encode()
        reply = await gateway.call(method, path, content, SECRETS)
        assert reply.status in (200, 502), "502: what is no chat completion is not translated"
        (seen,) = gateway.provider.seen
        assert seen.headers[b"x-api-key"] == b"sk-ant-own"
        assert not set(SECRETS.values()) & set(seen.headers.values())

    run(tmp_path, before_one(answering(SAID), own=OWN_KEYS, apiKeyRef="env:OWN_KEY"), scenario)


def test_provider_that_needs_no_key_gets_none_when_the_gateway_pays(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        await gateway.post(asking(), CHAT, SECRETS)
        (seen,) = gateway.provider.seen
        assert not (set(SECRETS) | {b"api-key"}) & set(seen.headers)

    run(tmp_path, before_one(answering(SAID), own=OWN_KEYS, providerType="ollama"), scenario)


@pytest.mark.parametrize(
    ("own", "billing"), [("", "subscription"), (OWN_KEYS, "metered")], ids=["client", "gateway"]
)
def test_subscriber_is_metered_only_when_the_gateway_pays(
    tmp_path: Path, own: str, billing: str
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(), headers=SUBSCRIBER)
        assert reply.status == 200
        (seen,) = gateway.provider.seen
        assert (b"sk-ant-oat01-client" in b"".join(seen.headers.values())) is (own == "")
        (entry,) = await gateway.audit()
        assert entry["billing"] == billing

    settings = {"apiKeyRef": "env:OWN_KEY"} if own else {}
    run(tmp_path, before_one(answering(SAID), own=own, **settings), scenario)


@pytest.mark.parametrize("own", ["", 'credentials = "client"\n'])
def test_clients_key_is_forwarded_unless_told_otherwise(tmp_path: Path, own: str) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.post(asking())).status == 200
        assert set(KEY.items()) <= set(gateway.provider.seen[0].pairs)

    run(tmp_path, before_one(answering(SAID), own=own), scenario)


def test_provider_without_a_key_is_unhealthy_when_the_gateway_pays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert (reply.status, gateway.provider.seen) == (503, [])
        reason = 'it needs apiKeyRef, because credentials = "gateway" forwards no key'
        assert f"provider anthropic: {reason}" in reply.json()["error"]["message"]
        assert f"provider anthropic: {reason}" in caplog.text
        assert (await gateway.get("/gateway/health"))["status"] == "unhealthy"

    run(tmp_path, before_one(answering(SAID), own=OWN_KEYS), scenario)


CLIENT = f'[[clients]]\nname = "team"\ntoken_sha256 = "{hashlib.sha256(TOKEN).hexdigest()}"\n'
EXPOSED = '[server]\nhost = "0.0.0.0"\n' + CLIENT


def basic(password: bytes, user: bytes = b"any") -> dict[bytes, bytes]:
    return {b"authorization": b"Basic " + base64.b64encode(user + b":" + password)}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", basic(TOKEN), 200),
        ("GET", "/", basic(ADMIN), 200),
        ("GET", "/", basic(ADMIN, b"") | {b"sec-fetch-site": b"none"}, 200),
        ("HEAD", "/", basic(TOKEN), 200),
        ("GET", "/gateway/metrics", basic(TOKEN), 200),
        ("GET", "/metrics", basic(ADMIN), 200),
        ("GET", "/", basic(b"tok-2"), 401),
        ("GET", "/", basic(b""), 401),
        ("GET", "/", {b"authorization": b"Basic tok-1"}, 401),
        ("GET", "/", {b"authorization": b"Basic !"}, 401),
        ("GET", "/", {b"authorization": b"Basic"}, 401),
        ("GET", "/", {b"authorization": b"Bearer " + ADMIN}, 200),
        ("GET", "/", {b"x-api-key": TOKEN}, 200),
        # A browser sends the password along whatever page made the request.
        ("POST", "/gateway/metrics/reset", basic(ADMIN), 401),
        ("POST", "/api/shutdown", basic(ADMIN), 401),
        ("GET", "/gateway/metrics", basic(ADMIN) | {b"origin": b"http://evil.example"}, 403),
        ("GET", "/gateway/audit?include_bodies=true", basic(ADMIN), 401),
        # The client API takes keys only.
        ("POST", MESSAGES, basic(TOKEN), 401),
        ("GET", "/v1/models", basic(ADMIN), 401),
    ],
)
def test_browser_shows_a_token_as_password_beyond_loopback(
    tmp_path: Path, method: str, path: str, headers: dict[bytes, bytes], status: int
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call(method, path, headers=headers)
        assert reply.status == status
        assert b"www-authenticate" not in reply.headers, "only a page asks for a password"
        assert gateway.provider.seen == []

    (tmp_path / "admin-token").touch(0o600)
    (tmp_path / "admin-token").write_bytes(ADMIN)
    run(tmp_path, before_one(answering(SAID), own=EXPOSED, apiKeyRef="env:OWN_KEY"), scenario)


def test_page_asks_the_browser_for_a_password_and_its_stream_carries_it(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        html = {b"accept": b"text/html,*/*;q=0.8"}
        reply = await gateway.call("GET", "/", headers=html)
        assert reply.status == 401
        assert reply.headers[b"www-authenticate"] == b'Basic realm="gateway"'
        reply = await gateway.call("GET", "/", headers=html | basic(TOKEN))
        assert reply.headers[b"content-type"] == b"text/html; charset=utf-8"
        async with gateway.connect("GET", "/api/stream", headers=basic(TOKEN)) as (reader, _):
            async with asyncio.timeout(DEADLINE_S):
                shown = await reader.readuntil(b"event: analytics\n")
            assert shown.startswith(b"HTTP/1.1 200 ")

    run(tmp_path, before_one(answering(SAID), own=EXPOSED, apiKeyRef="env:OWN_KEY"), scenario)


def test_on_loopback_nobody_is_asked_for_a_password(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("GET", "/", headers={b"accept": b"text/html"} | basic(b"wrong"))
        assert reply.status == 200

    run(tmp_path, before_one(answering(SAID), own=CLIENT, apiKeyRef="env:OWN_KEY"), scenario)


LOCAL = {b"host": b"127.0.0.1:3000"}
EVIL = {b"host": b"127.0.0.1:3000", b"origin": b"https://evil.example"}
FETCHED = {b"sec-fetch-site": b"cross-site", b"sec-fetch-mode": b"no-cors"}
REBOUND = {b"host": b"evil.example:3000", b"origin": b"http://evil.example:3000"}
CONTAINER = {b"host": b"host.docker.internal:3000"}
PROXIED = {b"host": b"llm.example.com"}


@pytest.mark.parametrize("path", [MESSAGES, COUNT, CHAT])
@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        (LOCAL, True),
        (CONTAINER, True),
        (PROXIED, True),
        (EVIL | KEY, True),
        (EVIL, False),
        (EVIL | {b"content-type": b"text/plain"} | FETCHED, False),
        (EVIL | basic(ADMIN), False),
        (LOCAL | FETCHED, False),
        (REBOUND, False),
        (REBOUND | KEY, False),
        (REBOUND | {b"authorization": b"Bearer any"}, False),
    ],
)
def test_page_of_another_site_spends_nothing_and_is_recorded(
    tmp_path: Path, path: str, headers: dict[bytes, bytes], allowed: bool
) -> None:
    async def scenario(gateway: Gateway) -> None:
        for _ in range(2):  # a head that is known is refused again
            reply = await gateway.post(asking(), path, headers)
            assert reply.status in ((200, 502) if allowed else (403,)), reply.body
            assert b"access-control-allow-origin" not in reply.headers
        assert len(gateway.provider.seen) == (2 if allowed else 0)
        entries = await gateway.audit(2)
        assert entries[1]["request_id"] == reply.request_id
        if not allowed:
            told = reply.json()["error"]
            assert told["code" if path == CHAT else "type"] == "permission_error"
            assert [(one["status"], one["success"]) for one in entries] == [(403, False)] * 2
            assert entries[1]["error_message"] == told["message"]

    run(tmp_path, before_one(answering(SAID), apiKeyRef="env:OWN_KEY"), scenario)


@pytest.mark.parametrize(
    ("headers", "own_key", "allowed"),
    [
        (LOCAL, True, True),
        (CONTAINER, True, True),
        (PROXIED, True, False),
        (PROXIED | KEY, True, False),
        (PROXIED | KEY, False, True),  # nobody else's key pays
        (EVIL, True, False),
        (EVIL | KEY, True, True),
        (LOCAL | FETCHED, True, False),
        (REBOUND | KEY, True, False),
        (REBOUND | KEY, False, False),
    ],
)
def test_page_of_another_site_reads_no_list_of_models(
    tmp_path: Path, headers: dict[bytes, bytes], own_key: bool, allowed: bool
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("GET", "/v1/models?limit=5", headers=headers)
        assert reply.status == (200 if allowed else 403)
        assert len(gateway.provider.seen) == int(allowed)

    entry = {"apiKeyRef": "env:OWN_KEY"} if own_key else {}
    run(tmp_path, before_one(answering(SAID), **entry), scenario)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_configured_name_and_client_tokens_open_the_door(tmp_path: Path, method: str) -> None:
    async def scenario(gateway: Gateway) -> None:
        path = MESSAGES if method == "POST" else "/v1/models"
        content = json.dumps(asking()).encode() if method == "POST" else b""
        shown = PROXIED | {b"origin": b"https://llm.example.com", b"x-api-key": TOKEN}
        assert (await gateway.call(method, path, content, shown)).status == 200

    named = '[server]\nnames = ["LLM.example.com"]\n'
    for number, own in enumerate((named, CLIENT)):
        setup = before_one(answering(SAID), own=own, apiKeyRef="env:OWN_KEY")
        run(tmp_path / str(number), setup, scenario)
