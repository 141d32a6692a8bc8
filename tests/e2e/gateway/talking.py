"""A client of a running worker before the demo upstream, over a connection that stays open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.demo.upstream import DemoUpstream, known_models
from gateway.serve.http_server import HttpServer, Limits
from tests.e2e.gateway.in_process import (
    ANTHROPIC,
    DEADLINE_S,
    Gateway,
    open_application,
    overriding,
    write_config,
)
from tests.e2e.gateway.scripted import Json


@dataclass(slots=True)
class Client:
    """A client of a running worker, over one connection that stays open."""

    gateway: Gateway
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)

    async def call(
        self, method: str, path: str, body: Json = None, headers: dict[str, str] | None = None
    ) -> Json:
        data = b"" if body is None else json.dumps(body).encode()
        sent = {"host": "127.0.0.1", "x-api-key": "demo-key"} | (headers or {})
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in sent.items())]
        self.writer.write("\r\n".join([*lines, f"content-length: {len(data)}", "", ""]).encode())
        self.writer.write(data)
        async with asyncio.timeout(DEADLINE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *fields = head.strip().split("\r\n")
            found = dict(line.lower().split(": ", 1) for line in fields)
            answer = await self.reader.readexactly(int(found["content-length"]))
        self.answers.append((int(status.split()[1]), found))
        return json.loads(answer)

    async def ask(self, body: Json, headers: dict[str, str] | None = None) -> Json:
        return await self.call("POST", "/v1/messages", body, headers)

    async def what_if(self, question: Json) -> Json:
        return await self.call("POST", "/gateway/what-if", question, self.admin)

    @property
    def admin(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.gateway.admin.items()}


@asynccontextmanager
async def demo_upstream() -> AsyncIterator[str]:
    server = HttpServer(DemoUpstream(known_models(), 0).handle, Limits())
    listener = await asyncio.get_running_loop().create_server(server.protocol, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        await server.drain(0, DEADLINE_S)


@asynccontextmanager
async def connected(gateway: Gateway) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        yield Client(gateway, reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def running(
    home: Path,
    upstream: str,
    *,
    rules: Sequence[list[str]] = (),
    agent_rules: Mapping[str, str] | None = None,
    own: str = "",
) -> AsyncIterator[Client]:
    document = {"llmGateway": {"providers": {"anthropic": ANTHROPIC | {"baseUrl": upstream}}}}
    files = {"orchestra-config.json": json.dumps(document), "gateway.toml": own}
    files |= overriding(*rules)
    agents = [
        f"{json.dumps(name)} = {json.dumps(one)}" for name, one in (agent_rules or {}).items()
    ]
    files["model-overrides.toml"] += "\n".join(["[agent_rules]", *agents, ""])
    write_config(home, files)
    async with open_application(home) as gateway, connected(gateway) as client:
        yield client
