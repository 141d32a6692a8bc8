"""Client tokens: who may use a real worker's application, and whose key the provider is shown."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.e2e.gateway.in_process import CHAT, Gateway, before_one, run
from tests.e2e.gateway.scripted import answering
from tests.e2e.gateway.spoken import SAID, asking

pytestmark = pytest.mark.usefixtures("own_keys")

TOKENS = f'[[clients]]\nname = "team"\ntoken_sha256 = "{hashlib.sha256(b"tok-1").hexdigest()}"\n'


@pytest.mark.parametrize("name", [b"x-api-key", b"authorization"])
def test_token_is_checked_and_replaced_by_the_providers_key(tmp_path: Path, name: bytes) -> None:
    token = b"tok-1" if name == b"x-api-key" else b"Bearer tok-1"

    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.post(asking(), headers={name: token})).status == 200
        (seen,) = gateway.provider.seen
        assert seen.headers[b"x-api-key"] == b"sk-ant-own"
        assert b"tok-1" not in b"".join(seen.headers.values())
        (entry,) = await gateway.audit()
        assert (entry["user"], entry["billing"]) == ("team", "metered")
        assert (await gateway.call("GET", "/v1/models", headers={name: token})).status == 200
        assert b"tok-1" not in b"".join(gateway.provider.seen[1].headers.values())

    run(tmp_path, before_one(answering(SAID), own=TOKENS, apiKeyRef="env:OWN_KEY"), scenario)


@pytest.mark.parametrize("headers", [{}, {b"x-api-key": b"tok-2"}, {b"x-api-key": b"sk-ant-own"}])
def test_without_a_token_nothing_is_served(tmp_path: Path, headers: dict[bytes, bytes]) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(), headers=headers)
        assert (reply.status, reply.json()["error"]["type"]) == (401, "authentication_error")
        chat = await gateway.post(asking(), CHAT, headers)
        assert (chat.status, chat.json()["error"]["code"]) == (401, "authentication_error")
        assert (await gateway.call("GET", "/v1/models", headers=headers)).status == 401
        assert gateway.provider.seen == []
        assert [entry["status"] for entry in await gateway.audit(2)] == [401, 401]

    run(tmp_path, before_one(answering(SAID), own=TOKENS, apiKeyRef="env:OWN_KEY"), scenario)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/gateway/audit", {}, 401),
        ("/", {}, 401),
        ("/gateway/audit", {b"x-api-key": b"tok-2"}, 401),
        ("/gateway/audit", {b"x-api-key": b"tok-1"}, 200),
        ("/gateway/audit", {b"authorization": b"Bearer ADMIN"}, 200),
        ("/health", {}, 200),
        ("/ready", {}, 200),
    ],
)
def test_beyond_loopback_the_operator_api_needs_a_token(
    tmp_path: Path, path: str, headers: dict[bytes, bytes], status: int
) -> None:
    async def scenario(gateway: Gateway) -> None:
        admin = (gateway.home / "admin-token").read_bytes().strip()
        sent = {name: value.replace(b"ADMIN", admin) for name, value in headers.items()}
        assert (await gateway.call("GET", path, headers=sent)).status == status

    own = f'[server]\nhost = "0.0.0.0"\n{TOKENS}'
    run(tmp_path, before_one(answering(SAID), own=own, apiKeyRef="env:OWN_KEY"), scenario)


def test_provider_without_a_key_cannot_serve_tokens(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(), headers={b"x-api-key": b"tok-1"})
        assert reply.status == 503
        assert "needs apiKeyRef" in reply.json()["error"]["message"]
        assert gateway.provider.seen == []

    run(
        tmp_path,
        before_one(answering(SAID), own=TOKENS),
        scenario,
    )
