"""A worker's application on loopback in the test's own event loop, and a client that reads all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway import resources
from gateway.app import Application
from gateway.config.loading import Settings, load
from gateway.links import open_links
from gateway.operator.api import OperatorApi
from gateway.operator.parts import open_parts
from gateway.overrides.capabilities import Capabilities
from gateway.serve.http_server import HttpServer, Limits
from gateway.service import Service, open_service
from gateway.wire.workers import ReloadOutcome, WorkerIdentity, WorkerRecord, WorkerState
from tests.e2e.gateway.reply import Reply, parse
from tests.e2e.gateway.scripted import Json, Provider, Script, Seen, providing

DEADLINE_S = 90.0  # a slow machine is no fault
MESSAGES, COUNT, CHAT = "/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions"
_LIMITS = Limits()
KEY = {b"x-api-key": b"sk-ant-client-0123456789"}
"""What a client shows unless a test says otherwise."""


@dataclass(slots=True)
class Supervisor:
    """Knows one worker, and counts how often it was asked to stop."""

    stopped: int = 0

    async def workers(self) -> tuple[WorkerRecord, ...]:
        return (WorkerRecord(0, 1, "boot", "f" * 16, WorkerState.SERVING, "2026-01-01T00:00:00Z"),)

    async def last_reload(self) -> ReloadOutcome | None:
        return None

    def shut_down(self) -> None:
        self.stopped += 1


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running application, and the scripted providers it was given, by their names."""

    home: Path
    app: Application
    server: HttpServer
    port: int
    settings: Settings
    supervisor: Supervisor
    providers: Mapping[str, Provider]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def provider(self) -> Provider:
        """The only one."""
        (provider,) = self.providers.values()
        return provider

    def asked(self, name: str) -> list[Seen]:
        return self.providers[name].seen

    @property
    def admin(self) -> dict[bytes, bytes]:
        token = (self.home / "admin-token").read_bytes().strip()
        return {b"authorization": b"Bearer " + token}

    async def post(
        self, document: Json, path: str = MESSAGES, headers: Mapping[bytes, bytes] = KEY
    ) -> Reply:
        return await self.call("POST", path, json.dumps(document).encode(), headers)

    async def call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[bytes, bytes] = KEY
    ) -> Reply:
        """Return the answer of a connection of its own."""
        async with (
            asyncio.timeout(DEADLINE_S),
            self.connect(method, path, body, headers) as (reader, _),
        ):
            return parse(await reader.read())

    async def send(self, data: bytes) -> Reply:
        """Return the answer to these very bytes, which ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(DEADLINE_S):
                writer.write(data)
                return parse(await reader.read())
        finally:
            writer.close()

    @asynccontextmanager
    async def connect(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[bytes, bytes] = KEY
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Send a request; the connection is closed at the end of the block."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            sent = {b"host": b"127.0.0.1", b"connection": b"close", **headers}
            lines = [f"{method} {path} HTTP/1.1".encode()]
            lines += (b"%b: %b" % pair for pair in sent.items())
            lines += [b"content-length: %d" % len(body), b"", b""]
            writer.write(b"\r\n".join(lines) + body)
            yield reader, writer
        finally:
            writer.close()

    async def get(self, path: str) -> Json:
        return (await self.call("GET", path)).json()

    async def audit(
        self, records: int = 1, query: str = "", headers: Mapping[bytes, bytes] = KEY
    ) -> list[Json]:
        """Return the audit records in their order, once there are so many.

        An answer does not wait for its record beyond a quarter of a second.
        """
        entries: list[Json] = []

        async def recorded() -> bool:
            path = f"/gateway/audit?limit=1000&{query}"
            found = (await self.call("GET", path, headers=headers)).json()
            entries[:] = sorted(found["entries"], key=lambda entry: entry["seq"])
            assert found["total"] >= len(entries)
            return len(entries) >= records

        await until(recorded)
        return entries


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what happens behind a socket; nothing there can be awaited."""
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():
            await asyncio.sleep(0.01)


# -- opening

Change = Callable[[Service], Service]
"""Puts something else in the place of a part of the service."""

Providers = Mapping[str, tuple[Mapping[str, Json], Script]]


@dataclass(frozen=True, slots=True)
class Setup:
    """A configuration.

    Attributes:
        providers: By name what a provider's entry says beyond its address, and its script.
        files: Further configuration files by name.
    """

    providers: Providers = field(default_factory=dict)
    routing: Mapping[str, Json] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    audit: Mapping[str, Json] = field(default_factory=dict)


DEAD_URL = "http://127.0.0.1:1"  # nobody listens there
ANTHROPIC: dict[str, Json] = {
    "providerType": "anthropic",
    "maxRetries": 0,
    "timeoutSecs": DEADLINE_S,
}
OPENAI: dict[str, Json] = ANTHROPIC | {"providerType": "openai", "apiKeyRef": "env:OPENAI_KEY"}
OWN_KEY: dict[str, Json] = ANTHROPIC | {"apiKeyRef": "env:OWN_KEY"}
"""Providers that are paid with a key of the gateway's; the fixture `own_keys` sets both."""


def overriding(*rules: list[str]) -> dict[str, str]:
    """Return the file of these override rules, from one model to another; none switches it off."""
    lines = ["[overrides]", f"enabled = {json.dumps(bool(rules))}", f"rules = {json.dumps(rules)}"]
    return {"model-overrides.toml": "\n".join([*lines, ""])}


def before_one(script: Script, *rules: list[str], own: str = "", **entry: Json) -> Setup:
    """Return the setup of one provider that speaks the Messages API.

    Args:
        script: The provider's.
        rules: Overrides, from one model to another.
        own: Text of gateway.toml.
        entry: What the provider's entry says.
    """
    files = {"gateway.toml": own} | overriding(*rules)
    return Setup({"anthropic": (ANTHROPIC | entry, script)}, files=files)


@asynccontextmanager
async def open_gateway(
    home: Path, setup: Setup, limits: Limits = _LIMITS, change: Change | None = None
) -> AsyncIterator[Gateway]:
    """Serve a worker's application and the providers of its configuration."""
    async with AsyncExitStack() as stack:
        providers, entries = {}, {}
        for name, (entry, script) in setup.providers.items():
            provider = await stack.enter_async_context(providing(script))
            providers[name] = provider
            entries[name] = {"baseUrl": provider.url, **entry}
        gateway = {"providers": entries, "routing": setup.routing, "audit": setup.audit}
        document = json.dumps({"llmGateway": gateway})
        write_config(home, {"orchestra-config.json": document, **setup.files})
        yield await stack.enter_async_context(open_application(home, providers, limits, change))


def run(
    home: Path,
    setup: Setup,
    scenario: Callable[[Gateway], Awaitable[None]],
    limits: Limits = _LIMITS,
    change: Change | None = None,
) -> None:
    """Run what a test does with a gateway in an event loop of its own."""

    async def main() -> None:
        async with open_gateway(home, setup, limits, change) as gateway:
            await scenario(gateway)

    asyncio.run(main())


def write_config(home: Path, files: Mapping[str, str]) -> None:
    (home / "config").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (home / "config" / name).write_text(text)


@asynccontextmanager
async def open_application(
    home: Path,
    providers: Mapping[str, Provider] | None = None,
    limits: Limits = _LIMITS,
    change: Change | None = None,
) -> AsyncIterator[Gateway]:
    """Serve the application that the files in `config` describe.

    Args:
        change: Takes the service in place of which its result is used; None for none.
    """
    settings, supervisor = load(home / "config", home), Supervisor()
    identity = WorkerIdentity(0, 1, "boot", "127.0.0.1:0")
    if change is None:
        app = await Application.open(settings, identity, supervisor)
    else:
        known = Capabilities.parse(resources.capabilities(), settings.capabilities)
        links = open_links(settings.providers, {}, capabilities=known)
        parts = open_parts(settings, identity, supervisor, links, known)
        service = change(open_service(settings, parts))
        app = Application(service, OperatorApi(parts), parts)
    server = HttpServer(app.handle, limits, app.refused)
    listener = await asyncio.get_running_loop().create_server(server.protocol, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield Gateway(home, app, server, port, settings, supervisor, providers or {})
    finally:
        listener.close()
        app.begin_draining()
        drained = await server.drain(0, DEADLINE_S)
        await app.close()
    assert drained, "an exchange was still under way after the test"
