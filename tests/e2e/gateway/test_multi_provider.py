"""Several scripted providers on loopback behind a real worker's application: who is asked, when."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import pytest

from gateway.app import Application
from gateway.config import load
from gateway.serve.http_server import HttpServer, Limits
from gateway.wire.workers import ReloadOutcome, WorkerIdentity, WorkerRecord

Json = Any  # a parsed document whose shape the assertions state
Headers = tuple[tuple[bytes, bytes], ...]

SONNET, HAIKU = "claude-sonnet-4-5", "claude-haiku-4-5"
TYPE_JSON, TYPE_SSE = (
    (b"content-type", b"application/json"),
    (b"content-type", b"text/event-stream"),
)
NOW = (b"retry-after", b"0")
KEY = {b"x-api-key": b"sk-ant-client"}


def message(text: str = "hi", *content: Json) -> bytes:
    blocks = [{"type": "text", "text": text}, *content]
    usage = {"input_tokens": 10, "output_tokens": 5}
    return json.dumps(
        {"type": "message", "model": SONNET, "content": blocks, "usage": usage}
    ).encode()


CHAT_USAGE = {"prompt_tokens": 12, "completion_tokens": 3}
CHAT_ANSWER = json.dumps({"id": "c", "model": "gpt-x", "choices": [], "usage": CHAT_USAGE}).encode()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, scripted or received."""

    status: int = 200
    body: bytes = field(default_factory=message)
    headers: Headers = (TYPE_JSON,)
    whole: bool = True

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)

    def json(self) -> Json:
        return json.loads(self.body)


OVERLOADED = Reply(529, b'{"type":"error","error":{"message":"overloaded"}}', (TYPE_JSON, NOW))


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as a provider received it."""

    target: bytes
    headers: dict[bytes, bytes]
    body: Json


@dataclass(slots=True)
class Provider:
    """Answers its replies in order, the last one again and again."""

    replies: list[Reply]
    port: int = 0
    seen: list[Seen] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
                headers = dict(pair(line) for line in lines[1:-2])
                body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
                self.seen.append(Seen(lines[0].split()[1], headers, json.loads(body or b"null")))
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                head = [
                    b"HTTP/1.1 %d Any" % reply.status,
                    *(b"%b: %b" % one for one in reply.headers),
                ]
                extra = 0 if reply.whole else 1
                head += [b"content-length: %d" % (len(reply.body) + extra), b"", b""]
                writer.write(b"\r\n".join(head) + reply.body)
                await writer.drain()
                if not reply.whole:
                    break
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


def pair(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip()


class OneWorker:
    """A supervisor with nothing to tell."""

    async def workers(self) -> tuple[WorkerRecord, ...]:
        return ()

    async def last_reload(self) -> ReloadOutcome | None:
        return None

    def shut_down(self) -> None:
        raise AssertionError


@dataclass(slots=True)
class Gateway:
    """A running application and its providers."""

    app: Application
    port: int
    providers: dict[str, Provider]

    def asked(self, name: str) -> list[Seen]:
        return self.providers[name].seen

    async def post(
        self, body: Json, path: str = "/v1/messages", headers: dict[bytes, bytes] | None = None
    ) -> Reply:
        return await self.call("POST", path, json.dumps(body).encode(), headers)

    async def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[bytes, bytes] | None = None,
    ) -> Reply:
        reader, writer = await self.connect(method, path, body, headers)
        raw = await reader.read()
        writer.close()
        head, _, rest = raw.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        found = dict(pair(line) for line in lines[1:])
        if found.get(b"transfer-encoding") == b"chunked":
            rest = unchunk(rest)
        return Reply(int(lines[0].split()[1]), rest, tuple(found.items()))

    async def connect(
        self, method: str, path: str, body: bytes, headers: dict[bytes, bytes] | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: 127.0.0.1", b"Connection: close"]
        lines += [b"%b: %b" % one for one in (KEY if headers is None else headers).items()]
        lines += [b"Content-Length: %d" % len(body), b"", b""]
        writer.write(b"\r\n".join(lines) + body)
        return reader, writer

    async def audit(self) -> list[Json]:
        found = (await self.call("GET", "/gateway/audit?limit=1000")).json()
        entries: list[Json] = sorted(found["entries"], key=lambda entry: entry["seq"])
        return entries


def unchunk(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body, data = body + data[:length], data[length + 2 :]
        if length == 0:
            break
    return body


@dataclass(frozen=True, slots=True)
class Setup:
    """A configuration: by provider its settings and replies, and the other files."""

    providers: dict[str, tuple[dict[str, Json], list[Reply]]]
    routing: dict[str, Json] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


ANTHROPIC: dict[str, Json] = {"providerType": "anthropic", "maxRetries": 0, "timeoutSecs": 5}
OPENAI: dict[str, Json] = ANTHROPIC | {"providerType": "openai", "apiKeyRef": "env:OPENAI_KEY"}


@asynccontextmanager
async def running(home: Path, setup: Setup) -> AsyncIterator[Gateway]:
    servers, providers, entries = [], {}, {}
    for name, (entry, replies) in setup.providers.items():
        provider = providers[name] = Provider(list(replies))
        server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
        servers.append(server)
        provider.port = server.sockets[0].getsockname()[1]
        entries[name] = {"baseUrl": f"http://127.0.0.1:{provider.port}"} | entry
    folder = home / "config"
    folder.mkdir()
    document = {"llmGateway": {"providers": entries, "routing": setup.routing}}
    (folder / "orchestra-config.json").write_text(json.dumps(document))
    for file, text in setup.files.items():
        (folder / file).write_text(text)
    app = await Application.open(
        load(folder, home), WorkerIdentity(0, 1, "boot", "127.0.0.1:0"), OneWorker()
    )
    http = HttpServer(app.handle, Limits())
    listener = await asyncio.get_running_loop().create_server(http.protocol, "127.0.0.1", 0)
    try:
        yield Gateway(app, listener.sockets[0].getsockname()[1], providers)
    finally:
        listener.close()
        app.begin_draining()
        assert await http.drain(0, 5)
        await app.close()
        for server in servers:
            server.close()


def run(home: Path, setup: Setup, scenario: Callable[[Gateway], Awaitable[None]]) -> None:
    async def main() -> None:
        async with running(home, setup) as gateway:
            await scenario(gateway)

    asyncio.run(main())


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_KEY", "sk-openai-own")
    monkeypatch.setenv("OWN_KEY", "sk-ant-own")


def asking(model: str = SONNET, **fields: Json) -> Json:
    return {
        "model": model,
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "x"}],
    } | fields


TWO = {
    "a": (ANTHROPIC, [Reply(body=message("from a"))]),
    "b": (ANTHROPIC, [Reply(body=message("from b"))]),
}


def two(*replies: Reply, **first: Json) -> dict[str, tuple[dict[str, Json], list[Reply]]]:
    return {"a": (ANTHROPIC | first, list(replies)), "b": TWO["b"]}


CHAIN = {"defaultProvider": "a", "fallbackChain": ["a", "b"]}

# -- whom a request goes to


@pytest.mark.parametrize(
    ("headers", "model", "provider", "reason"),
    [
        ({b"x-agent-type": b"Reviewer"}, SONNET, "b", "agent_rule:Reviewer"),
        ({}, HAIKU, "b", "model_tier:haiku"),
        ({}, "local-7b", "b", "model_pattern:^local-"),
        ({}, SONNET, "a", "default"),
    ],
)
def test_rules_choose_the_provider(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    headers: dict[bytes, bytes],
    model: str,
    provider: str,
    reason: str,
) -> None:
    rules: dict[str, Json] = {"defaultProvider": "a", "agentRules": {"reviewer": "b"}}
    rules |= {"modelTierRules": {"haiku": "b"}, "modelPatterns": [["^local-", "b"]]}

    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(model), headers=KEY | headers)
        assert reply.header(b"x-gateway-provider") == provider.encode()
        assert reply.json()["content"][0]["text"] == f"from {provider}"
        (entry,) = await gateway.audit()
        assert (entry["provider"], entry["route_reason"]) == (provider, reason)

    with caplog.at_level(logging.INFO):
        run(tmp_path, Setup(TWO, rules), scenario)
    agent = headers.get(b"x-agent-type", b"main").decode()
    line = f"Routing request: agent_type={agent}, provider={provider}, reason={reason}"
    assert line in caplog.messages


def test_alias_changes_the_name_and_is_no_override(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert gateway.asked("a")[0].body["model"] == "own-sonnet"
        assert reply.header(b"x-gateway-override") is None
        (entry,) = await gateway.audit()
        assert (entry["requested_model"], entry["model"]) == (SONNET, "own-sonnet")
        stats = (await gateway.call("GET", "/api/overrides/stats")).json()
        assert stats["total_overrides"] == 0

    entry = ANTHROPIC | {"modelAliases": {"sonnet": "own-sonnet"}}
    run(tmp_path, Setup({"a": (entry, [Reply()])}), scenario)


# -- agents


def test_agent_rules_choose_the_model_before_the_blanket_rules(tmp_path: Path) -> None:
    files = {
        "model-overrides.toml": f'[overrides]\nrules = [["{SONNET}", "blanket"]]\n'
        '[agent_rules]\nreviewer = "by-rule"\n',
        "llm-router-config.json": json.dumps(
            {"enable_agent_override": True, "agent_model_overrides": {"tester": "by-router"}}
        ),
    }

    async def scenario(gateway: Gateway) -> None:
        for agent in (b"reviewer", b"tester", b"other"):
            await gateway.post(asking(), headers=KEY | {b"x-agent-type": agent})
        asked = [seen.body["model"] for seen in gateway.asked("a")]
        assert asked == ["by-rule", "by-router", "blanket"]

    run(tmp_path, Setup({"a": TWO["a"]}, files=files), scenario)


SESSION = {b"x-claude-code-session-id": b"s1"}
CALL = {
    "type": "tool_use",
    "id": "t",
    "name": "Agent",
    "input": {"prompt": "dig", "subagent_type": "digger"},
}


def sse(*documents: Json) -> bytes:
    return b"".join(
        f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in documents
    )


START = {"type": "message_start", "message": {"model": SONNET, "usage": {"input_tokens": 3}}}
STREAMED = sse(
    START,
    {"type": "content_block_start", "index": 1, "content_block": CALL | {"input": {}}},
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": json.dumps(CALL["input"])},
    },
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)


@pytest.mark.parametrize(
    "first",
    [Reply(body=STREAMED, headers=(TYPE_SSE,)), Reply(body=message("go", CALL))],
    ids=["stream", "whole"],
)
def test_child_is_named_and_routed_by_what_its_parent_said(tmp_path: Path, first: Reply) -> None:
    async def scenario(gateway: Gateway) -> None:
        tools = [{"name": "Agent", "input_schema": {}}]
        parent = await gateway.post(asking(tools=tools), headers=KEY | SESSION)
        assert parent.body == first.body, "reading along changes nothing"
        child = KEY | SESSION | {b"x-claude-code-agent-id": b"a1"}
        spoken = [{"role": "user", "content": [{"type": "text", "text": "dig"}]}]
        await gateway.post(asking(messages=spoken), headers=child)
        await gateway.post(asking(), headers=child)
        entries = await gateway.audit()
        named = [(one["agent_type"], one["agent_source"], one["provider"]) for one in entries]
        digger = ("digger", "parent", "b")
        assert named == [("main", "thread", "a"), digger, digger]

    rules = {"defaultProvider": "a", "agentRules": {"digger": "b"}}
    run(tmp_path, Setup(two(first), rules), scenario)


def test_agent_is_known_by_its_definition_file(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "x.md").write_text("---\nname: careful\n---\nTake great care.\n")
    files = {"gateway.toml": '[agents]\ndirectories = ["agents"]\n'}

    async def scenario(gateway: Gateway) -> None:
        await gateway.post(asking(system=[{"type": "text", "text": "Take great care.\n\nEnv."}]))
        (entry,) = await gateway.audit()
        assert (entry["agent_type"], entry["agent_source"]) == ("careful", "definition")

    run(tmp_path, Setup({"a": TWO["a"]}, files=files), scenario)


# -- trouble before the first byte


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_next_provider_is_asked_when_the_first_is_in_trouble(tmp_path: Path, status: int) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert (reply.status, reply.header(b"x-gateway-provider")) == (200, b"b")
        (entry,) = await gateway.audit()
        assert (entry["provider"], entry["route_reason"]) == ("b", "fallback:a")
        assert (len(gateway.asked("a")), len(gateway.asked("b"))) == (1, 1)

    run(tmp_path, Setup(two(Reply(status)), CHAIN), scenario)


@pytest.mark.parametrize(
    "first",
    [
        {"baseUrl": f"http://127.0.0.1:{closed_port()}"},
        {"apiKeyRef": "env:NOT_SET_ANYWHERE"},
    ],
    ids=["refused", "no-key"],
)
def test_provider_that_cannot_be_asked_is_passed_over(tmp_path: Path, first: Json) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.post(asking())).header(b"x-gateway-provider") == b"b"

    run(tmp_path, Setup(two(Reply(), **first), CHAIN), scenario)


def test_refused_own_key_moves_on_and_a_clients_does_not(tmp_path: Path) -> None:
    async def own(gateway: Gateway) -> None:
        assert (await gateway.post(asking())).header(b"x-gateway-provider") == b"b"

    async def clients(gateway: Gateway) -> None:
        assert (await gateway.post(asking())).status == 401
        assert gateway.asked("b") == []

    for name, scenario, more in (("own", own, {"apiKeyRef": "env:OWN_KEY"}), ("its", clients, {})):
        (tmp_path / name).mkdir()
        run(tmp_path / name, Setup(two(Reply(401, b"{}"), **more), CHAIN), scenario)


def test_first_answer_stands_when_no_other_is_better(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert (reply.status, reply.body) == (529, OVERLOADED.body)
        assert reply.header(b"retry-after") == b"0"
        (entry,) = await gateway.audit()
        assert (entry["provider"], entry["status"]) == ("a", 529)

    setup = {"a": (ANTHROPIC, [OVERLOADED]), "b": (ANTHROPIC, [Reply(500, b"{}")])}
    run(tmp_path, Setup(setup, CHAIN), scenario)


def test_nothing_is_asked_twice_after_the_first_byte(tmp_path: Path) -> None:
    cut = Reply(body=sse(START), headers=(TYPE_SSE,), whole=False)

    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(stream=True))
        assert reply.body.count(b"event: error") == 1
        assert (len(gateway.asked("a")), gateway.asked("b")) == (1, [])

    run(tmp_path, Setup(two(cut, maxRetries=5), CHAIN), scenario)


@pytest.mark.parametrize(
    ("replies", "retries", "status", "asked"),
    [
        ([OVERLOADED, OVERLOADED, Reply()], 2, 200, 3),
        ([OVERLOADED], 2, 529, 3),
        ([OVERLOADED], 0, 529, 1),
        ([Reply(500, b"{}", (TYPE_JSON, NOW, (b"x-should-retry", b"false")))], 2, 500, 1),
        ([Reply(429, b"{}", (TYPE_JSON, (b"retry-after", b"61")))], 2, 429, 1),
        ([Reply(400, b"{}", (TYPE_JSON, NOW))], 2, 400, 1),
        ([OVERLOADED, Reply(400, b"{}")], 2, 400, 2),
    ],
)
def test_retries_honour_the_provider(
    tmp_path: Path, replies: list[Reply], retries: int, status: int, asked: int
) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.post(asking())).status == status
        assert len(gateway.asked("a")) == asked
        assert len(await gateway.audit()) == 1

    run(tmp_path, Setup({"a": (ANTHROPIC | {"maxRetries": retries}, replies)}), scenario)


def test_refused_connection_is_tried_again_and_then_told(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert (reply.status, reply.json()["error"]["type"]) == (502, "api_error")
        (entry,) = await gateway.audit()
        assert (entry["provider"], entry["status"]) == ("a", 502)

    entry = ANTHROPIC | {"baseUrl": f"http://127.0.0.1:{closed_port()}", "maxRetries": 1}
    run(tmp_path, Setup({"a": (entry, [Reply()])}), scenario)


@pytest.mark.parametrize(
    ("entry", "headers", "status"),
    [
        (OPENAI, KEY, 200),
        (OPENAI, KEY | {b"anthropic-version": b"1"}, 200),
        (OPENAI | {"apiKeyRef": ""}, {b"authorization": b"Bearer sk-c"}, 200),
        (OPENAI | {"apiKeyRef": ""}, KEY, 503),
    ],
)
def test_models_are_asked_of_the_default_provider(
    tmp_path: Path, entry: dict[str, Json], headers: dict[bytes, bytes], status: int
) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.call("GET", "/v1/models?limit=2", headers=headers)).status == status
        for seen in gateway.asked("o"):
            assert seen.target == b"/v1/models?limit=2"
            assert b"sk-ant-client" not in b"".join(seen.headers.values())

    run(tmp_path, Setup({"o": (entry, [Reply()])}), scenario)


def test_retries_end_with_their_budget(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        for _ in range(20):
            await gateway.post(asking())
        assert 20 + 10 <= len(gateway.asked("a")) <= 20 + 10 + 2

    run(tmp_path, Setup({"a": (ANTHROPIC | {"maxRetries": 5}, [OVERLOADED])}), scenario)


def test_long_wait_gives_way_to_another_provider(tmp_path: Path) -> None:
    slow = Reply(429, b"{}", (TYPE_JSON, (b"retry-after", b"30")))

    async def scenario(gateway: Gateway) -> None:
        async with asyncio.timeout(5):
            assert (await gateway.post(asking())).header(b"x-gateway-provider") == b"b"

    run(tmp_path, Setup(two(slow, maxRetries=2), CHAIN), scenario)


def test_failing_provider_is_left_alone_while_another_can_answer(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        for _ in range(12):
            assert (await gateway.post(asking())).status == 200
        assert len(gateway.asked("a")) == 5
        assert (await gateway.post(asking(HAIKU))).status == 200
        assert len(gateway.asked("a")) == 6, "another model has a circuit of its own"

    run(tmp_path, Setup(two(OVERLOADED), CHAIN), scenario)


def test_only_provider_is_asked_however_often_it_failed(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        for _ in range(8):
            assert (await gateway.post(asking())).status == 529
        assert len(gateway.asked("a")) == 8

    run(tmp_path, Setup({"a": (ANTHROPIC, [OVERLOADED])}), scenario)


def test_client_that_leaves_during_a_wait_is_recorded(tmp_path: Path) -> None:
    slow = Reply(429, b"{}", (TYPE_JSON, (b"retry-after", b"60")))

    async def scenario(gateway: Gateway) -> None:
        _, writer = await gateway.connect(
            "POST", "/v1/messages", json.dumps(asking()).encode(), KEY
        )
        async with asyncio.timeout(5):
            while not gateway.asked("a"):  # the provider is behind a socket
                await asyncio.sleep(0.01)
            writer.close()
            while not (found := await gateway.audit()):  # likewise
                await asyncio.sleep(0.01)
        assert found[0]["status"] == 499

    run(tmp_path, Setup({"a": (ANTHROPIC | {"maxRetries": 1}, [slow])}), scenario)


SUBSCRIBER = {b"authorization": b"Bearer sk-ant-oat01-x"}


@pytest.mark.parametrize(("allowed", "status"), [(False, 529), (True, 200)])
def test_subscriber_does_not_fall_back_to_a_company_key(
    tmp_path: Path, *, allowed: bool, status: int
) -> None:
    providers = two(OVERLOADED)
    providers["b"] = (ANTHROPIC | {"apiKeyRef": "env:OWN_KEY"}, [Reply()])
    files = {"gateway.toml": "[fallback]\nsubscriptions = true\n"} if allowed else {}

    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.post(asking(), headers=SUBSCRIBER)).status == status
        (entry,) = await gateway.audit()
        assert entry["billing"] == ("metered" if allowed else "subscription")

    run(tmp_path, Setup(providers, CHAIN, files), scenario)


# -- overrides whose target is in trouble


def overriding(mode: str) -> dict[str, str]:
    return {
        "model-overrides.toml": f'[overrides]\nrules = [["{SONNET}", "{HAIKU}"]]\n',
        "gateway.toml": f'[overrides_rollout]\non_target_down = "{mode}"\n',
    }


def test_overridden_request_goes_back_to_its_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert reply.status == 200
        assert reply.header(b"x-gateway-override") is None
        assert [seen.body["model"] for seen in gateway.asked("a")] == [HAIKU, SONNET]
        (entry,) = await gateway.audit()
        assert (entry["model"], entry["skipped_reason"]) == (SONNET, "target_down")
        stats = (await gateway.call("GET", "/api/overrides/stats")).json()
        assert stats["total_overrides"] == 0

    entry = ANTHROPIC | {"maxRetries": 2}
    setup = Setup({"a": (entry, [OVERLOADED, Reply()])}, files=overriding("original"))
    run(tmp_path, setup, scenario)
    assert any(f"override reverted: {HAIKU} → {SONNET}" in line for line in caplog.messages)


def test_override_to_a_format_without_words_for_the_request_is_skipped(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(x_unknown=1))
        assert (reply.status, reply.header(b"x-gateway-provider")) == (200, b"a")
        assert gateway.asked("o") == []
        (entry,) = await gateway.audit()
        assert (entry["model"], entry["skipped_reason"]) == (SONNET, "inexpressible")

    providers = {"a": TWO["a"], "o": (OPENAI, [Reply()])}
    rules = {"defaultProvider": "a", "modelTierRules": {"haiku": "o"}}
    run(tmp_path, Setup(providers, rules, overriding("original")), scenario)


def test_overridden_request_fails_with_its_target_when_told_so(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert (reply.status, reply.body) == (529, OVERLOADED.body)
        assert [seen.body["model"] for seen in gateway.asked("a")] == [HAIKU]
        (entry,) = await gateway.audit()
        assert (entry["model"], entry["skipped_reason"]) == (HAIKU, None)

    run(tmp_path, Setup({"a": (ANTHROPIC, [OVERLOADED])}, files=overriding("fail")), scenario)


# -- client tokens


TOKENS = f'[[clients]]\nname = "team"\ntoken_sha256 = "{hashlib.sha256(b"tok-1").hexdigest()}"\n'
OWN = ANTHROPIC | {"apiKeyRef": "env:OWN_KEY"}


@pytest.mark.parametrize("name", [b"x-api-key", b"authorization"])
def test_token_is_checked_and_replaced_by_the_providers_key(tmp_path: Path, name: bytes) -> None:
    token = b"tok-1" if name == b"x-api-key" else b"Bearer tok-1"

    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.post(asking(), headers={name: token})).status == 200
        (seen,) = gateway.asked("a")
        assert seen.headers[b"x-api-key"] == b"sk-ant-own"
        assert b"tok-1" not in b"".join(seen.headers.values())
        (entry,) = await gateway.audit()
        assert (entry["user"], entry["billing"]) == ("team", "metered")
        assert (await gateway.call("GET", "/v1/models", headers={name: token})).status == 200
        assert b"tok-1" not in b"".join(gateway.asked("a")[1].headers.values())

    run(tmp_path, Setup({"a": (OWN, [Reply()])}, files={"gateway.toml": TOKENS}), scenario)


@pytest.mark.parametrize("headers", [{}, {b"x-api-key": b"tok-2"}, {b"x-api-key": b"sk-ant-own"}])
def test_without_a_token_nothing_is_served(tmp_path: Path, headers: dict[bytes, bytes]) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(), headers=headers)
        assert (reply.status, reply.json()["error"]["type"]) == (401, "authentication_error")
        chat = await gateway.post(asking(), "/v1/chat/completions", headers)
        assert (chat.status, chat.json()["error"]["code"]) == (401, "authentication_error")
        assert (await gateway.call("GET", "/v1/models", headers=headers)).status == 401
        assert gateway.asked("a") == []
        assert [entry["status"] for entry in await gateway.audit()] == [401, 401]

    run(tmp_path, Setup({"a": (OWN, [Reply()])}, files={"gateway.toml": TOKENS}), scenario)


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
        admin = (tmp_path / "admin-token").read_text().strip().encode()
        sent = {name: value.replace(b"ADMIN", admin) for name, value in headers.items()}
        assert (await gateway.call("GET", path, headers=sent)).status == status

    files = {"gateway.toml": f'[server]\nhost = "0.0.0.0"\n{TOKENS}'}
    run(tmp_path, Setup({"a": (OWN, [Reply()])}, files=files), scenario)


def test_provider_without_a_key_cannot_serve_tokens(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(), headers={b"x-api-key": b"tok-1"})
        assert reply.status == 503
        assert "needs apiKeyRef" in reply.json()["error"]["message"]
        assert gateway.asked("a") == []

    run(tmp_path, Setup({"a": TWO["a"]}, files={"gateway.toml": TOKENS}), scenario)


# -- chat completions to providers that speak them


CHAT = "/v1/chat/completions"


def chunk(document: Json) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


CHUNKS = chunk({"model": "gpt-x", "choices": [{"index": 0, "delta": {"role": "assistant"}}]})
CHUNKS += chunk({"model": "gpt-x", "choices": [], "usage": CHAT_USAGE})


def test_chat_is_passed_on_as_it_is(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        sent = asking("gpt-x", x_unknown=[1])
        reply = await gateway.post(sent, CHAT + "?a=b", {b"authorization": b"Bearer sk-c"})
        assert (reply.status, reply.body) == (200, CHAT_ANSWER)
        (seen,) = gateway.asked("o")
        assert (seen.target, seen.body) == (b"/v1/chat/completions?a=b", sent)
        assert seen.headers[b"authorization"] == b"Bearer sk-openai-own"
        (entry,) = await gateway.audit()
        assert (entry["input_tokens"], entry["output_tokens"]) == (12, 3)
        assert (entry["endpoint"], entry["success"]) == ("chat", True)

    run(tmp_path, Setup({"o": (OPENAI, [Reply(body=CHAT_ANSWER)])}), scenario)


@pytest.mark.parametrize(("end", "success"), [(b"data: [DONE]\n\n", True), (b"", False)])
def test_chat_stream_is_metered_and_its_end_checked(
    tmp_path: Path, end: bytes, *, success: bool
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking("gpt-x", stream=True), CHAT)
        assert reply.body.startswith(CHUNKS)
        rest = reply.body.removeprefix(CHUNKS)
        if success:
            assert rest == end
        else:
            document = json.loads(rest.removeprefix(b"data: "))
            assert document["error"]["type"] == "api_error"
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["output_tokens"]) == (success, 3)

    reply = Reply(body=CHUNKS + end, headers=(TYPE_SSE,))
    run(tmp_path, Setup({"o": (OPENAI, [reply])}), scenario)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, CHUNKS.partition(b"\n\n")[0] + b"\n\n"),
        ({"stream_options": {"include_usage": True}}, CHUNKS),
    ],
    ids=["not-asked", "asked"],
)
@pytest.mark.parametrize("whole", [True, False], ids=["ended", "cut"])
def test_chat_stream_has_a_cost_although_the_client_did_not_ask(
    tmp_path: Path, options: Json, expected: bytes, *, whole: bool
) -> None:
    end = b"data: [DONE]\n\n" if whole else b"data: {"

    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking("claude-haiku-4-5", stream=True, **options), CHAT)
        assert reply.body.startswith(expected + end)
        assert whole == (reply.body == expected + end)
        (seen,) = gateway.asked("o")
        assert seen.body["stream_options"] == {"include_usage": True}
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["input_tokens"], entry["output_tokens"]) == (whole, 12, 3)
        assert entry["cost_usd"] > 0

    reply = Reply(body=CHUNKS + end, headers=(TYPE_SSE,), whole=whole)
    run(tmp_path, Setup({"o": (OPENAI | {"streamUsage": True}, [reply])}), scenario)


def test_errors_are_in_the_callers_format(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("POST", CHAT, b"{")
        assert reply.status == 400
        assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
        assert (await gateway.call("GET", CHAT)).json()["error"]["type"] == "invalid_request_error"

    run(tmp_path, Setup({"o": (OPENAI, [Reply()])}), scenario)


def test_azure_gets_its_own_path_and_key(tmp_path: Path) -> None:
    entry = OPENAI | {"providerType": "azure", "deployment": "dep", "apiVersion": "v1"}

    async def scenario(gateway: Gateway) -> None:
        await gateway.post(asking("gpt-x"), CHAT)
        (seen,) = gateway.asked("o")
        assert seen.target == b"/openai/deployments/dep/chat/completions?api-version=v1"
        assert seen.headers[b"api-key"] == b"sk-openai-own"
        assert b"authorization" not in seen.headers

    run(tmp_path, Setup({"o": (entry, [Reply(body=CHAT_ANSWER)])}), scenario)


def test_token_count_is_estimated_where_nobody_counts(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(), "/v1/messages/count_tokens")
        assert reply.header(b"x-gateway-estimate") == b"true"
        assert reply.json()["input_tokens"] > 5
        assert gateway.asked("o") == []
        (entry,) = await gateway.audit()
        assert (entry["status"], entry["cost_usd"]) == (200, 0)

    run(tmp_path, Setup({"o": (OPENAI, [Reply()])}), scenario)


# -- one format in, another out


SPOKEN = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
COMPLETION = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-x"}
CHAT_WHOLE = json.dumps(COMPLETION | {"choices": [SPOKEN], "usage": CHAT_USAGE}).encode()


def delta(fields: Json, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": fields, "finish_reason": reason}
    return chunk(COMPLETION | {"object": "chat.completion.chunk", "choices": [choice]})


CHAT_STREAM = delta({"role": "assistant", "content": ""}) + delta({"content": "h\u00e9"})
CHAT_STREAM += delta({"content": "llo"})
CHAT_END = (
    delta({}, "stop")
    + chunk(COMPLETION | {"choices": [], "usage": CHAT_USAGE})
    + b"data: [DONE]\n\n"
)
MESSAGE_STREAM = sse(
    {"type": "message_start", "message": json.loads(message()) | {"id": "m", "role": "assistant",
     "content": [], "stop_reason": None, "stop_sequence": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
     "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)  # fmt: skip
ALIASED = OPENAI | {"defaultModel": "gpt-x"}
WHOLE_MESSAGE = json.dumps(
    json.loads(message()) | {"id": "m", "role": "assistant", "stop_reason": "end_turn"}
).encode()


def test_message_is_answered_by_a_chat_provider(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(system="Be kind."), "/v1/messages?beta=true")
        document = reply.json()
        assert (document["type"], document["content"][0]["text"]) == ("message", "hi")
        assert document["id"].startswith("msg_")
        assert reply.header(b"x-gateway-model") == b"gpt-x"
        (seen,) = gateway.asked("o")
        assert seen.target == b"/v1/chat/completions"
        assert (seen.body["model"], seen.body["messages"][0]["role"]) == ("gpt-x", "system")
        assert seen.headers[b"authorization"] == b"Bearer sk-openai-own"
        assert b"x-api-key" not in seen.headers
        (entry,) = await gateway.audit()
        assert (entry["requested_model"], entry["model"]) == (SONNET, "gpt-x")
        assert (entry["input_tokens"], entry["output_tokens"]) == (12, 3)

    run(tmp_path, Setup({"o": (ALIASED, [Reply(body=CHAT_WHOLE)])}), scenario)


def test_message_stream_is_read_by_the_sdk_from_a_chat_provider(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        url = f"http://127.0.0.1:{gateway.port}"
        async with (
            anthropic.AsyncAnthropic(base_url=url, api_key="sk-ant-test") as client,
            client.messages.stream(**asking("claude-sonnet-5-5")) as stream,
        ):
            text = "".join([piece async for piece in stream.text_stream])
            final = await stream.get_final_message()
        assert (text, final.stop_reason) == ("h\u00e9llo", "end_turn")
        assert gateway.asked("o")[0].body["stream_options"] == {"include_usage": True}
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["stream"], entry["partial"]) == (True, True, False)
        assert (entry["input_tokens"], entry["output_tokens"]) == (12, 3)

    reply = Reply(body=CHAT_STREAM + CHAT_END, headers=(TYPE_SSE,))
    run(tmp_path, Setup({"o": (ALIASED, [reply])}), scenario)


@pytest.mark.parametrize("whole", [True, False], ids=["ended", "cut"])
def test_translated_stream_without_an_end_is_visibly_broken(tmp_path: Path, *, whole: bool) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(stream=True))
        assert reply.body.count(b"event: error") == 1
        assert b"message_stop" not in reply.body
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["partial"]) == (False, True)
        assert entry["error_message"]

    reply = Reply(body=CHAT_STREAM, headers=(TYPE_SSE,), whole=whole)
    run(tmp_path, Setup({"o": (ALIASED, [reply])}), scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_chat_is_answered_by_a_messages_provider(tmp_path: Path, *, stream: bool) -> None:
    async def scenario(gateway: Gateway) -> None:
        headers = {b"authorization": b"Bearer sk-openai-client"}
        reply = await gateway.post(asking(stream=stream), CHAT, headers)
        assert reply.status == 200
        if stream:
            assert reply.header(b"content-type") == b"text/event-stream; charset=utf-8"
            assert b"hello" in reply.body
            assert reply.body.endswith(b"data: [DONE]\n\n")
        else:
            assert reply.json()["choices"][0]["message"]["content"] == "hi"
        (seen,) = gateway.asked("a")
        assert seen.target == b"/v1/messages"
        assert seen.headers[b"x-api-key"] == b"sk-ant-own"
        assert seen.headers[b"anthropic-version"]
        assert b"sk-openai-client" not in b"".join(seen.headers.values())
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["input_tokens"], entry["output_tokens"]) == (True, 10, 5)

    streamed = Reply(body=MESSAGE_STREAM, headers=(TYPE_SSE,))
    reply = streamed if stream else Reply(body=WHOLE_MESSAGE)
    run(tmp_path, Setup({"a": (OWN, [reply])}), scenario)


@pytest.mark.parametrize(
    ("path", "provider", "body"),
    [
        ("/v1/messages", ALIASED, b'{"error":{"message":"slow down","type":"rate"}}'),
        (CHAT, OWN, b'{"type":"error","error":{"type":"x","message":"slow down"}}'),
    ],
)
def test_provider_error_is_translated_and_keeps_its_status(
    tmp_path: Path, path: str, provider: dict[str, Json], body: bytes
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(), path)
        assert (reply.status, reply.header(b"retry-after")) == (429, b"7")
        document = reply.json()
        assert document["error"]["message"] == "slow down"
        assert ("type" in document) == (path == "/v1/messages")

    answer = Reply(429, body, (TYPE_JSON, (b"retry-after", b"7")))
    run(tmp_path, Setup({"p": (provider, [answer])}), scenario)


def test_what_cannot_be_expressed_is_named_and_nobody_is_asked(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(x_unknown=1))
        assert reply.status == 400
        assert "x_unknown" in reply.json()["error"]["message"]
        assert (gateway.asked("o"), gateway.asked("b")) == ([], [])

    setup = {"o": (ALIASED, [Reply()]), "b": TWO["b"]}
    run(tmp_path, Setup(setup, {"defaultProvider": "o", "fallbackChain": ["b"]}), scenario)


def test_fallback_that_cannot_express_the_request_is_passed_over(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(x_unknown=1))
        assert (reply.status, reply.header(b"x-gateway-provider")) == (200, b"b")
        assert gateway.asked("o") == []

    setup = two(OVERLOADED) | {"o": (ALIASED, [Reply()])}
    run(tmp_path, Setup(setup, {"defaultProvider": "a", "fallbackChain": ["o", "b"]}), scenario)


@pytest.mark.parametrize(
    "answer",
    [
        Reply(body=b"no json"),
        Reply(body=b"{}", headers=(TYPE_JSON, (b"content-encoding", b"gzip"))),
        Reply(body=b'"' + b"x" * (9 << 20) + b'"'),
    ],
    ids=["garbage", "encoded", "too-large"],
)
def test_answer_that_cannot_be_translated_is_502(tmp_path: Path, answer: Reply) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert (reply.status, reply.json()["type"]) == (502, "error")
        (entry,) = await gateway.audit()
        assert (entry["status"], entry["success"]) == (502, False)

    run(tmp_path, Setup({"o": (ALIASED, [answer])}), scenario)


RESPONSE = {"id": "resp_1", "object": "response", "model": "gpt-x", "status": "completed"}
SPOKEN_ITEM = {"type": "message", "role": "assistant", "content": [
    {"type": "output_text", "text": "hello"}]}  # fmt: skip
RESPONSE_WHOLE = RESPONSE | {
    "output": [SPOKEN_ITEM],
    "usage": {"input_tokens": 12, "output_tokens": 3},
}
RESPONSE_STREAM = sse(
    {"type": "response.created", "response": RESPONSE | {"status": "in_progress"}},
    {"type": "response.output_text.delta", "output_index": 0, "delta": "hello"},
    {"type": "response.completed", "response": RESPONSE_WHOLE},
)


@pytest.mark.parametrize("usage", [False, True], ids=["plain", "with-usage"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_chat_is_answered_by_a_responses_provider(
    tmp_path: Path, *, stream: bool, usage: bool
) -> None:
    async def scenario(gateway: Gateway) -> None:
        options = {"stream": True, "stream_options": {"include_usage": usage}} if stream else {}
        reply = await gateway.post(asking("gpt-x", **options), CHAT)
        assert reply.status == 200
        assert b"hello" in reply.body
        if stream:
            assert reply.body.endswith(b"data: [DONE]\n\n")
            assert (b'"usage"' in reply.body) == usage
        else:
            assert reply.json()["choices"][0]["message"]["content"] == "hello"
        (seen,) = gateway.asked("o")
        assert (seen.target, seen.body["store"]) == (b"/v1/responses", False)
        assert seen.headers[b"authorization"] == b"Bearer sk-openai-own"
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["input_tokens"], entry["output_tokens"]) == (True, 12, 3)

    streamed = Reply(body=RESPONSE_STREAM, headers=(TYPE_SSE,))
    reply = streamed if stream else Reply(body=json.dumps(RESPONSE_WHOLE).encode())
    run(tmp_path, Setup({"o": (OPENAI | {"api": "responses"}, [reply])}), scenario)
