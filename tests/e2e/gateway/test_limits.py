"""How much of a real worker's application a client may use, and what is refused outright."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.gateway.in_process import CHAT, COUNT, KEY, MESSAGES, Gateway, before_one, run, until
from tests.e2e.gateway.reply import Reply
from tests.e2e.gateway.scripted import Seen, answering
from tests.e2e.gateway.spoken import SAID, asking

pytestmark = pytest.mark.usefixtures("own_keys")


def client(name: str, token: str, more: str = "") -> str:
    digest = hashlib.sha256(token.encode()).hexdigest()
    return f'[[clients]]\nname = "{name}"\ntoken_sha256 = "{digest}"\n{more}\n'


def refused(reply: Reply, kind: str) -> str:
    """Check the form of a refusal; return its message."""
    assert reply.status == 429
    assert 1 <= int(reply.headers[b"retry-after"]) <= 60
    error = reply.json()["error"]
    assert kind in error.values()
    assert reply.request_id
    message: str = error["message"]
    return message


async def statuses(
    gateway: Gateway, times: int, path: str = MESSAGES, headers: Mapping[bytes, bytes] = KEY
) -> list[int]:
    return [(await gateway.post(asking(), path, headers)).status for _ in range(times)]


@pytest.mark.parametrize("path", [MESSAGES, CHAT])
def test_request_over_the_limit_is_429_and_recorded(tmp_path: Path, path: str) -> None:
    async def scenario(gateway: Gateway) -> None:
        own_format = path == MESSAGES
        for _ in range(2):
            assert (await gateway.post(asking(), path)).status != 429
        reply = await gateway.post(asking(), path)
        assert refused(reply, "rate_limit_error").startswith("this gateway is limited to 2 requ")
        assert ("code" in reply.json()["error"]) is not own_format
        assert len(gateway.provider.seen) == 2
        entry = (await gateway.audit(3))[-1]
        assert entry["request_id"] == reply.request_id
        assert (entry["status"], entry["success"], entry["cost_usd"]) == (429, False, None)
        assert "limited to 2 requests a minute" in entry["error_message"]
        metrics = (await gateway.call("GET", "/metrics")).body.decode()
        assert 'gateway_limited_total{limit="requests"} 1' in metrics
        assert 'gateway_limited_total{limit="tokens"} 0' in metrics

    own = "[limits]\nrequests_per_minute = 2\n"
    run(tmp_path, before_one(answering(SAID), own=own, apiKeyRef="env:OWN_KEY"), scenario)


def test_each_client_has_limits_of_its_own_or_the_common_ones(tmp_path: Path) -> None:
    own = "[limits]\nrequests_per_minute = 2\n"
    own += client("one", "t1") + client("two", "t2") + client("big", "t3", "requests_per_minute=4")

    async def scenario(gateway: Gateway) -> None:
        for token, allowed in (("t1", 2), ("t2", 2), ("t3", 4)):
            found = await statuses(gateway, 5, headers={b"x-api-key": token.encode()})
            assert found == [200] * allowed + [429] * (5 - allowed)
        assert await statuses(gateway, 1, headers={b"x-api-key": b"unknown"}) == [401]
        users = [entry["user"] for entry in await gateway.audit(16) if entry["status"] == 429]
        assert users == ["one"] * 3 + ["two"] * 3 + ["big"]

    run(tmp_path, before_one(answering(SAID), own=own, apiKeyRef="env:OWN_KEY"), scenario)


def test_token_counts_and_lists_of_models_are_counted_apart(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert await statuses(gateway, 2) == [200, 429]
        assert await statuses(gateway, 1, COUNT) == [200]
        refused(await gateway.call("GET", "/v1/models"), "rate_limit_error")
        refused(await gateway.post(asking(), COUNT), "rate_limit_error")
        assert len(gateway.provider.seen) == 2

    run(tmp_path, before_one(answering(SAID), own="[limits]\nrequests_per_minute = 1\n"), scenario)


def test_tokens_are_charged_when_the_answer_is_known(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert await statuses(gateway, 3) == [200, 200, 429]
        told = refused(await gateway.post(asking()), "rate_limit_error")
        wait = re.search(r"16 tokens a minute; try again in (\d+) s$", told)
        assert wait is not None, told
        assert 1 <= int(wait[1]) <= 53, "14 of 16 are owed, less what time has given back"
        assert await statuses(gateway, 1, COUNT) == [200], "it uses none"

    own = "[limits]\ntokens_per_minute = 16\n"  # an answer uses 15
    run(tmp_path, before_one(answering(SAID), own=own), scenario)


def test_open_requests_are_limited_however_they_end(tmp_path: Path) -> None:
    may_answer = asyncio.Event()
    may_answer.set()

    async def script(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await may_answer.wait()
        SAID.write(writer)

    async def scenario(gateway: Gateway) -> None:
        async def asked() -> bool:
            return len(gateway.provider.seen) == 4

        async def nobody_is_left() -> bool:
            return gateway.server.clients_left == 0

        assert await statuses(gateway, 3) == [200] * 3
        assert (await gateway.call("POST", MESSAGES, b"{")).status == 400
        may_answer.clear()
        waiting = asyncio.create_task(gateway.post(asking()))
        await until(asked)
        reply = await gateway.post(asking())
        assert refused(reply, "rate_limit_error").startswith(
            "this gateway is limited to 1 requests"
        )
        assert reply.headers[b"retry-after"] == b"1"
        waiting.cancel()  # the client leaves
        await asyncio.wait({waiting})
        await until(nobody_is_left)
        may_answer.set()
        assert await statuses(gateway, 2) == [200] * 2

    run(tmp_path, before_one(script, own="[limits]\nconcurrent_requests = 1\n"), scenario)


# -- what no provider is ever asked


DEEP = b'{"model":"m","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize("path", [MESSAGES, COUNT, CHAT])
@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (DEEP, {}, 400),
        (DEEP.replace(b"[", b'{"a":').replace(b"]", b"}"), {}, 400),
        (DEEP.replace(b'"x"', b'"thinking"'), {}, 400),
        (b'{"model":"m"', {}, 400),
        (b'{"model":"\xff"}', {}, 400),
        (b'"model"', {}, 400),
        (b"\x1f\x8b\x08\x00", {b"content-encoding": b"gzip"}, 400),
        (b"", {b"x": b"a" * 70_000}, 431),
        (b"x" * ((32 << 20) + 1), {}, 413),
    ],
    ids=["lists", "objects", "decoded", "cut", "encoding", "string", "compressed", "head", "body"],
)
def test_absurd_request_is_refused_in_the_callers_format(
    tmp_path: Path, path: str, content: bytes, headers: dict[bytes, bytes], status: int
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("POST", path, content, headers)
        assert (reply.status, gateway.provider.seen) == (status, [])
        document = reply.json()
        assert document.get("type") == (None if path == CHAT else "error")
        assert document["error"]["type"] in ("invalid_request_error", "request_too_large")
        assert ("code" in document["error"]) is (path == CHAT)

    run(tmp_path, before_one(answering(SAID)), scenario)
