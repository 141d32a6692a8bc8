"""Who may use a real worker's application, how much, and with whose keys; scripted providers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import Application
from gateway.config import load
from gateway.serve.http_server import HttpServer, Limits
from gateway.wire.workers import ReloadOutcome, WorkerIdentity, WorkerRecord

Json = Any  # a parsed document whose shape the assertions state
DEADLINE_S = 10.0
MESSAGES, COUNT, CHAT = "/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions"
BODY = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": []}
ANSWER = b'{"type":"message","content":[],"usage":{"input_tokens":100,"output_tokens":400}}'
KEY, TOKEN, ADMIN = "sk-ant-client", "tok-1", "admin-0123456789abcdef0123456789abcdef"


def client(name: str, token: str, more: str = "") -> str:
    digest = hashlib.sha256(token.encode()).hexdigest()
    return f'[[clients]]\nname = "{name}"\ntoken_sha256 = "{digest}"\n{more}\n'


@dataclass(slots=True)
class Provider:
    """Answers each request in the same way, once it may."""

    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines[1:-2])
                await reader.readexactly(int(headers.get("content-length", "0")))
                self.seen.append(headers)
                await self.may_answer.wait()
                head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
                writer.write(f"{head}{len(ANSWER)}\r\n\r\n".encode() + ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class OneWorker:
    """A supervisor with nothing to tell."""

    async def workers(self) -> tuple[WorkerRecord, ...]:
        return ()

    async def last_reload(self) -> ReloadOutcome | None:
        return None

    def shut_down(self) -> None:
        raise AssertionError


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running application and its provider."""

    http: httpx.AsyncClient
    provider: Provider
    server: HttpServer

    async def post(
        self, path: str = MESSAGES, token: str = KEY, content: bytes | None = None
    ) -> httpx.Response:
        data = json.dumps(BODY).encode() if content is None else content
        return await self.http.post(path, content=data, headers={"x-api-key": token})

    async def statuses(self, times: int, path: str = MESSAGES, token: str = KEY) -> list[int]:
        return [(await self.post(path, token)).status_code for _ in range(times)]

    async def audit(self) -> list[Json]:
        found = (await self.http.get("/gateway/audit?limit=1000")).json()
        entries: list[Json] = sorted(found["entries"], key=lambda entry: entry["seq"])
        return entries


@asynccontextmanager
async def running(home: Path, own: str, **provider: Json) -> AsyncIterator[Gateway]:
    upstream = Provider()
    upstream.may_answer.set()
    listening = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = listening.sockets[0].getsockname()[1]
    folder = home / "config"
    folder.mkdir()
    (folder / "gateway.toml").write_text(own)
    entry = {"providerType": "anthropic", "baseUrl": f"http://127.0.0.1:{upstream.port}"}
    document = {"llmGateway": {"providers": {"a": entry | {"maxRetries": 0} | provider}}}
    (folder / "orchestra-config.json").write_text(json.dumps(document))
    app = await Application.open(
        load(folder, home), WorkerIdentity(0, 1, "boot", "127.0.0.1:0"), OneWorker()
    )
    server = HttpServer(app.handle, Limits())
    listener = await asyncio.get_running_loop().create_server(server.protocol, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=DEADLINE_S) as http:
            yield Gateway(http, upstream, server)
    finally:
        listener.close()
        app.begin_draining()
        await server.drain(0, DEADLINE_S)
        await app.close()
        listening.close()


def run(
    home: Path, own: str, scenario: Callable[[Gateway], Awaitable[None]], **provider: Json
) -> None:
    async def main() -> None:
        async with running(home, own, **provider) as gateway:
            await scenario(gateway)

    asyncio.run(main())


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_KEY", "sk-ant-own")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens behind a socket; nothing there can be awaited."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


# -- whose key


OWN_KEYS = 'credentials = "gateway"\n'
SECRETS = {
    "x-api-key": "sk-ant-client",
    "authorization": "Bearer sk-ant-oat01-client",
    "cookie": "session=client",
}


@pytest.mark.parametrize("path", [MESSAGES, COUNT, CHAT, "/v1/models"])
def test_clients_key_is_never_forwarded_when_the_gateway_pays(tmp_path: Path, path: str) -> None:
    async def scenario(gateway: Gateway) -> None:
        method = "GET" if path == "/v1/models" else "POST"
        content = None if method == "GET" else json.dumps(BODY)
        reply = await gateway.http.request(method, path, content=content, headers=SECRETS)
        assert reply.status_code in (200, 502), "502: what is no chat completion is not translated"
        (seen,) = gateway.provider.seen
        assert seen["x-api-key"] == "sk-ant-own"
        assert not set(SECRETS.values()) & set(seen.values())

    run(tmp_path, OWN_KEYS, scenario, apiKeyRef="env:OWN_KEY")


def test_provider_that_needs_no_key_gets_none_when_the_gateway_pays(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        await gateway.http.post(CHAT, json=BODY, headers=SECRETS)
        (seen,) = gateway.provider.seen
        assert not (set(SECRETS) | {"api-key"}) & set(seen)

    run(tmp_path, OWN_KEYS, scenario, providerType="ollama")


@pytest.mark.parametrize(
    ("own", "billing"), [("", "subscription"), (OWN_KEYS, "metered")], ids=["client", "gateway"]
)
def test_subscriber_is_metered_only_when_the_gateway_pays(
    tmp_path: Path, own: str, billing: str
) -> None:
    subscriber = {"authorization": "Bearer sk-ant-oat01-client"}

    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.http.post(MESSAGES, json=BODY, headers=subscriber)
        assert reply.status_code == 200
        (seen,) = gateway.provider.seen
        assert ("sk-ant-oat01-client" in str(seen)) is (own == "")
        (entry,) = await gateway.audit()
        assert entry["billing"] == billing

    settings = {"apiKeyRef": "env:OWN_KEY"} if own else {}
    run(tmp_path, own, scenario, **settings)


@pytest.mark.parametrize("own", ["", 'credentials = "client"\n'])
def test_clients_key_is_forwarded_unless_told_otherwise(tmp_path: Path, own: str) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.post()).status_code == 200
        assert gateway.provider.seen[0]["x-api-key"] == "sk-ant-client"

    run(tmp_path, own, scenario)


def test_provider_without_a_key_is_unhealthy_when_the_gateway_pays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post()
        assert (reply.status_code, gateway.provider.seen) == (503, [])
        reason = 'it needs apiKeyRef, because credentials = "gateway" forwards no key'
        assert f"provider a: {reason}" in reply.json()["error"]["message"]
        assert f"provider a: {reason}" in caplog.text
        assert (await gateway.http.get("/gateway/health")).json()["status"] == "unhealthy"

    run(tmp_path, OWN_KEYS, scenario)


# -- how much


def refused(reply: httpx.Response, kind: str) -> str:
    """Check the form of a refusal; return its message."""
    assert reply.status_code == 429
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    error = reply.json()["error"]
    assert kind in error.values()
    assert reply.headers["x-gateway-request-id"]
    message: str = error["message"]
    return message


@pytest.mark.parametrize("path", [MESSAGES, CHAT])
def test_request_over_the_limit_is_429_and_recorded(tmp_path: Path, path: str) -> None:
    async def scenario(gateway: Gateway) -> None:
        own_format = path == MESSAGES
        for _ in range(2):
            assert (await gateway.post(path)).status_code != 429
        reply = await gateway.post(path)
        assert refused(reply, "rate_limit_error").startswith("this gateway is limited to 2 requ")
        assert ("code" in reply.json()["error"]) is not own_format
        assert len(gateway.provider.seen) == 2
        entry = (await gateway.audit())[-1]
        assert entry["request_id"] == reply.headers["x-gateway-request-id"]
        assert (entry["status"], entry["success"], entry["cost_usd"]) == (429, False, None)
        assert "limited to 2 requests a minute" in entry["error_message"]
        metrics = (await gateway.http.get("/metrics")).text
        assert 'gateway_limited_total{limit="requests"} 1' in metrics
        assert 'gateway_limited_total{limit="tokens"} 0' in metrics

    run(tmp_path, "[limits]\nrequests_per_minute = 2\n", scenario, apiKeyRef="env:OWN_KEY")


def test_each_client_has_limits_of_its_own_or_the_common_ones(tmp_path: Path) -> None:
    own = "[limits]\nrequests_per_minute = 2\n"
    own += client("one", "t1") + client("two", "t2") + client("big", "t3", "requests_per_minute=4")

    async def scenario(gateway: Gateway) -> None:
        for token, allowed in (("t1", 2), ("t2", 2), ("t3", 4)):
            statuses = await gateway.statuses(5, token=token)
            assert statuses == [200] * allowed + [429] * (5 - allowed)
        assert await gateway.statuses(1, token="unknown") == [401]
        users = [entry["user"] for entry in await gateway.audit() if entry["status"] == 429]
        assert users == ["one"] * 3 + ["two"] * 3 + ["big"]

    run(tmp_path, own, scenario, apiKeyRef="env:OWN_KEY")


def test_token_counts_and_lists_of_models_are_counted_apart(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert await gateway.statuses(2) == [200, 429]
        assert await gateway.statuses(1, COUNT) == [200]
        refused(await gateway.http.get("/v1/models"), "rate_limit_error")
        refused(await gateway.post(COUNT), "rate_limit_error")
        assert len(gateway.provider.seen) == 2

    run(tmp_path, "[limits]\nrequests_per_minute = 1\n", scenario)


def test_tokens_are_charged_when_the_answer_is_known(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert await gateway.statuses(3) == [200, 200, 429]
        reply = await gateway.post()
        assert refused(reply, "rate_limit_error").endswith("900 tokens a minute; try again in 7 s")
        assert await gateway.statuses(1, COUNT) == [200], "it uses none"

    run(tmp_path, "[limits]\ntokens_per_minute = 900\n", scenario)


def test_open_requests_are_limited_however_they_end(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        provider = gateway.provider
        assert await gateway.statuses(3) == [200] * 3
        assert (await gateway.post(content=b"{")).status_code == 400
        provider.may_answer.clear()
        waiting = asyncio.create_task(gateway.post())
        await until(lambda: len(provider.seen) == 4)
        reply = await gateway.post()
        assert refused(reply, "rate_limit_error").startswith(
            "this gateway is limited to 1 requests"
        )
        assert reply.headers["retry-after"] == "1"
        waiting.cancel()  # the client leaves
        await asyncio.wait({waiting})
        await until(lambda: gateway.server.clients_left == 1)
        provider.may_answer.set()
        assert await gateway.statuses(2) == [200] * 2

    run(tmp_path, "[limits]\nconcurrent_requests = 1\n", scenario)


# -- what no provider is ever asked


DEEP = b'{"model":"m","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize("path", [MESSAGES, COUNT, CHAT])
@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (DEEP, {}, 400),
        (DEEP.replace(b"[", b'{"a":').replace(b"]", b"}"), {}, 400),
        (b'{"model":"m"', {}, 400),
        (b'{"model":"\xff"}', {}, 400),
        (b'"model"', {}, 400),
        (b"\x1f\x8b\x08\x00", {"content-encoding": "gzip"}, 400),
        (b"", {"x": "a" * 70_000}, 431),
        (b"x" * ((32 << 20) + 1), {}, 413),
    ],
    ids=["lists", "objects", "cut", "encoding", "string", "compressed", "head", "body"],
)
def test_absurd_request_is_refused_in_the_callers_format(
    tmp_path: Path, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.http.post(path, content=content, headers=headers)
        assert (reply.status_code, gateway.provider.seen) == (status, [])
        document = reply.json()
        assert document.get("type") == (None if path == CHAT else "error")
        assert document["error"]["type"] in ("invalid_request_error", "request_too_large")
        assert ("code" in document["error"]) is (path == CHAT)

    run(tmp_path, "", scenario)


# -- the way into the dashboard


EXPOSED = '[server]\nhost = "0.0.0.0"\n' + client("team", TOKEN)


def basic(password: str, user: str = "any") -> dict[str, str]:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", basic(TOKEN), 200),
        ("GET", "/", basic(ADMIN), 200),
        ("GET", "/", basic(ADMIN, "") | {"sec-fetch-site": "none"}, 200),
        ("HEAD", "/", basic(TOKEN), 200),
        ("GET", "/gateway/metrics", basic(TOKEN), 200),
        ("GET", "/metrics", basic(ADMIN), 200),
        ("GET", "/", basic("tok-2"), 401),
        ("GET", "/", basic(""), 401),
        ("GET", "/", {"authorization": "Basic tok-1"}, 401),
        ("GET", "/", {"authorization": "Basic !"}, 401),
        ("GET", "/", {"authorization": "Basic"}, 401),
        ("GET", "/", {"authorization": f"Bearer {ADMIN}"}, 200),
        ("GET", "/", {"x-api-key": TOKEN}, 200),
        # A browser sends the password along whatever page made the request.
        ("POST", "/gateway/metrics/reset", basic(ADMIN), 401),
        ("POST", "/api/shutdown", basic(ADMIN), 401),
        ("GET", "/gateway/metrics", basic(ADMIN) | {"origin": "http://evil.example"}, 403),
        ("GET", "/gateway/audit?include_bodies=true", basic(ADMIN), 401),
        # The client API takes keys only.
        ("POST", MESSAGES, basic(TOKEN), 401),
        ("GET", "/v1/models", basic(ADMIN), 401),
    ],
)
def test_browser_shows_a_token_as_password_beyond_loopback(
    tmp_path: Path, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.http.request(method, path, headers=headers)
        assert reply.status_code == status
        assert "www-authenticate" not in reply.headers, "only a page asks for a password"
        assert gateway.provider.seen == []

    (tmp_path / "admin-token").touch(0o600)
    (tmp_path / "admin-token").write_text(ADMIN)
    run(tmp_path, EXPOSED, scenario, apiKeyRef="env:OWN_KEY")


def test_page_asks_the_browser_for_a_password_and_its_stream_carries_it(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        http, html = gateway.http, {"accept": "text/html,*/*;q=0.8"}
        reply = await http.get("/", headers=html)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == 'Basic realm="gateway"'
        reply = await http.get("/", headers=html | basic(TOKEN))
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        async with http.stream("GET", "/api/stream", headers=basic(TOKEN)) as stream:
            assert stream.status_code == 200
            assert await anext(stream.aiter_lines()) == "event: analytics"

    run(tmp_path, EXPOSED, scenario, apiKeyRef="env:OWN_KEY")


def test_on_loopback_nobody_is_asked_for_a_password(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.http.get("/", headers={"accept": "text/html"} | basic("wrong"))
        assert reply.status_code == 200

    run(tmp_path, client("team", TOKEN), scenario, apiKeyRef="env:OWN_KEY")
