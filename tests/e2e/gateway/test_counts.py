"""Thousands of requests of every kind and fate over two workers: each counts once, everywhere."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

import apsw
import pytest

from tests.e2e.gateway.process import GatewayProcess, StartGateway, until
from tests.e2e.gateway.scripted import LAST_CHUNK, Json, chunk

pytestmark = pytest.mark.process

MODEL = "claude-sonnet-4-5-20250929"
REQUESTS, CLIENTS = 5000, 24
DEADLINE_S = 300.0
BOUND = 16_384
"""Largest body the gateway accepts here, in bytes."""


class Fate(StrEnum):
    """What becomes of a request, and how often among a hundred."""

    WHOLE = "whole"
    STREAM = "stream"
    TRANSLATED = "translated"
    TRANSLATED_STREAM = "translated-stream"
    CACHED = "cached"
    COUNT = "count"
    BAD_REQUEST = "bad-request"  # the provider's
    NO_MODEL = "no-model"  # the gateway's own refusal
    OVERLOADED = "overloaded"
    BROKEN = "broken"  # 200, and then the provider's connection ends
    CUT = "cut"  # the same in a stream
    LEFT_WAITING = "left-waiting"  # the client goes before any answer
    LEFT_READING = "left-reading"  # and in the middle of a stream
    OVERSIZE = "oversize"  # what the framing refuses, as it does the next
    AMBIGUOUS = "ambiguous"
    NOT_POST = "not-post"


SHARES: dict[Fate, int] = {
    Fate.WHOLE: 23,
    Fate.STREAM: 23,
    Fate.TRANSLATED: 6,
    Fate.TRANSLATED_STREAM: 6,
    Fate.CACHED: 8,
    Fate.COUNT: 6,
    Fate.BAD_REQUEST: 5,
    Fate.NO_MODEL: 2,
    Fate.OVERLOADED: 4,
    Fate.BROKEN: 2,
    Fate.CUT: 4,
    Fate.LEFT_WAITING: 3,
    Fate.LEFT_READING: 4,
    Fate.OVERSIZE: 2,
    Fate.AMBIGUOUS: 1,
    Fate.NOT_POST: 1,
}
STATUSES: dict[Fate, int] = {
    Fate.BAD_REQUEST: 400,
    Fate.NO_MODEL: 400,
    Fate.OVERLOADED: 529,
    Fate.BROKEN: 502,
    Fate.OVERSIZE: 413,
    Fate.AMBIGUOUS: 400,
    Fate.NOT_POST: 405,
    Fate.LEFT_WAITING: 499,  # nobody is there to be told
}
"""What the client is answered, where it is not 200."""

BROKEN_OFF = (Fate.CUT, Fate.LEFT_READING)
LEFT = (Fate.LEFT_WAITING, Fate.LEFT_READING)
STREAMED = (Fate.STREAM, Fate.TRANSLATED_STREAM, *BROKEN_OFF)


# -- the provider


def event(kind: str, **fields: Json) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n".encode()


USAGE = {"input_tokens": 100, "output_tokens": 40, "cache_read_input_tokens": 1000}
MESSAGE: Json = {"id": "m", "type": "message", "role": "assistant", "model": MODEL}
WHOLE = json.dumps(MESSAGE | {"content": [{"type": "text", "text": "hi"}], "usage": USAGE}).encode()
BEGINNING = event("message_start", message=MESSAGE | {"usage": USAGE | {"output_tokens": 1}})
ENDING = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 40})
ENDING += event("message_stop")


def plain(status: int, body: bytes, missing: int = 0) -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body) + missing}\r\n\r\n".encode() + body


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
BUSY = json.dumps({"type": "error", "error": {"type": "x", "message": "no"}}).encode()


@dataclass(slots=True)
class Provider:
    """Does what the first words of the request's last message say."""

    asked: dict[str, asyncio.Event] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                fate, number = text_of(body["messages"][-1]["content"]).split(" ")[:2]
                if not await self._answer(Fate(fate), number, (reader, writer)):
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, fate: Fate, number: str, link: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> bool:
        """Answer; return whether the connection is fit for another request."""
        reader, writer = link
        if fate in STREAMED:
            writer.write(STREAM_HEAD + chunk(BEGINNING))
        if fate in (Fate.STREAM, Fate.TRANSLATED_STREAM):
            writer.write(chunk(ENDING) + LAST_CHUNK)
        elif fate in LEFT:
            self.asked[number].set()
            await reader.read()  # until the gateway has let go
            return False
        elif fate is Fate.COUNT:
            writer.write(plain(200, b'{"input_tokens":5}'))
        elif fate is Fate.BROKEN:
            writer.write(plain(200, WHOLE[:20], missing=100))
        elif fate is not Fate.CUT:
            status = STATUSES.get(fate, 200)
            writer.write(plain(status, WHOLE if status == 200 else BUSY))
        return fate not in (Fate.BROKEN, Fate.CUT)


def text_of(content: Json) -> str:
    return str(content if isinstance(content, str) else content[0]["text"])


# -- the clients


@dataclass(frozen=True, slots=True)
class Told:
    """What a client knows of its request in the end.

    Attributes:
        id: The gateway's name for it; None when no answer had begun.
    """

    fate: Fate
    id: str | None
    status: int
    hit: bool


@dataclass(slots=True)
class Client:
    """Sends requests over one connection, and over a new one when that has ended."""

    port: int
    provider: Provider
    link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, fate: Fate, number: int) -> Told:
        if self.link is None:
            self.link = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.link
        if fate in LEFT:
            self.provider.asked[str(number)] = asyncio.Event()
        writer.write(request(fate, number))
        if fate is Fate.LEFT_WAITING:
            await self.provider.asked[str(number)].wait()
            self.close()
            return Told(fate, None, 499, hit=False)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        if fate is Fate.LEFT_READING:
            await reader.readuntil(b"message_start")
            self.close()
        else:
            body = await read_body(reader, headers)
            assert (fate is Fate.CUT) == (b"event: error" in body), body
            if headers.get("connection") == "close":
                self.close()
        hit = headers.get("x-gateway-cache") == "hit"
        return Told(fate, headers.get("x-gateway-request-id"), int(first.split()[1]), hit)

    def close(self) -> None:
        if self.link is not None:
            self.link[1].close()
            self.link = None


async def read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    body = b""
    while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


def request(fate: Fate, number: int) -> bytes:
    # Few different questions, so that most of the cached ones have been asked before.
    text = f"{fate} {number % 10 if fate is Fate.CACHED else number} "
    body: Json = {"model": "" if fate is Fate.NO_MODEL else MODEL, "max_tokens": 50}
    body |= {"messages": [{"role": "user", "content": text}], "stream": fate in STREAMED}
    body |= {"temperature": 0 if fate is Fate.CACHED else 0.5}
    path = "/v1/chat/completions" if fate.startswith("translated") else "/v1/messages"
    if fate is Fate.COUNT:
        path += "/count_tokens"
    elif fate is Fate.OVERSIZE:
        body["padding"] = "x" * BOUND
    data = json.dumps(body).encode()
    method = "PUT" if fate is Fate.NOT_POST else "POST"
    lines = [f"{method} {path} HTTP/1.1", "host: a", "x-api-key: k"]
    lines += ["content-type: application/json"]
    lines += ["transfer-encoding: chunked"] if fate is Fate.AMBIGUOUS else []
    return "\r\n".join([*lines, f"content-length: {len(data)}", "", ""]).encode() + data


async def ask_all(port: int, provider: Provider, fates: Iterable[Fate]) -> list[Told]:
    """Send one request after the other from each of CLIENTS connections."""
    left = iter(enumerate(fates))

    async def client() -> list[Told]:
        with closing(Client(port, provider)) as one:
            return [await one.send(fate, number) for number, fate in left]

    told = await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return [one for row in told for one in row]


def mixed() -> list[Fate]:
    fates = [fate for fate, share in SHARES.items() for _ in range(share * REQUESTS // 100)]
    random.Random(7).shuffle(fates)  # the same order every time
    return fates


# -- the books


async def entries_of(gateway: GatewayProcess, expected: int) -> list[Json]:
    """Return the audit's entries, once that of the last client that left is written."""
    while gateway.get("/gateway/audit?limit=1")["total"] < expected:  # see below
        await asyncio.sleep(0.01)  # another process writes them: there is nothing to wait on
    pages = (
        gateway.get(f"/gateway/audit?limit=1000&offset={at}") for at in range(0, expected + 1, 1000)
    )
    return [entry for page in pages for entry in page["entries"]]


def total(entries: Iterable[Json], name: str) -> Decimal:
    return sum((Decimal(str(float(entry[name] or 0))) for entry in entries), Decimal())


def samples(text: str) -> dict[str, Decimal]:
    pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: Decimal(value) for name, _, value in pairs}


def check_entries(told: list[Told], entries: list[Json]) -> None:
    """Each request the clients were told of has its entry, and so has each they left without."""
    by_id = {entry["request_id"]: entry for entry in entries}
    assert len(by_id) == len(entries)
    known = {one.id: one for one in told if one.id is not None}
    unknown = [by_id[name] for name in by_id.keys() - known.keys()]
    assert known.keys() <= by_id.keys()
    assert len(unknown) == sum(one.fate is Fate.LEFT_WAITING for one in told)
    assert {(one["status"], one["success"]) for one in unknown} == {(499, False)}
    for name, one in known.items():
        entry = by_id[name]
        good = one.status == 200 and one.fate not in BROKEN_OFF
        found = (entry["status"], entry["success"], entry["partial"], entry["cache"] == "hit")
        assert found == (one.status, good, one.fate in BROKEN_OFF, one.hit), (one, entry)
    numbers: dict[str, list[int]] = {}
    for entry in entries:
        numbers.setdefault(entry["boot_id"], []).append(entry["seq"])
    assert len(numbers) == 2
    for taken in numbers.values():
        assert sorted(taken) == list(range(1, len(taken) + 1))


def check_sums(gateway: GatewayProcess, entries: list[Json]) -> None:
    """The operator API, the metrics and the ledger's sums say what the entries add up to."""
    good = sum(entry["success"] for entry in entries)
    summary = gateway.get("/gateway/metrics")["summary"]
    assert (summary["total_requests"], summary["successful_requests"]) == (len(entries), good)
    assert summary["failed_requests"] == len(entries) - good
    assert summary["streaming_requests"] == total(entries, "stream")
    machine = gateway.get("/api/machine/stats")
    assert machine["totalCalls"] == len(entries)
    assert gateway.get("/api/overrides/stats")["total_overrides"] == 0
    # Of clients that left nobody waited for their record, nor does the count of it.
    records = "gateway_audit_records_total"
    until(lambda: samples(gateway.text("/metrics"))[records] >= len(entries))
    found = samples(gateway.text("/metrics"))
    by_status: Counter[str] = Counter()
    for name, value in found.items():
        if name.startswith("gateway_requests_total{"):
            by_status[name.partition('status="')[2].partition('"')[0]] += int(value)
    assert +by_status == Counter(str(entry["status"]) for entry in entries)
    assert found[records] == len(entries)
    assert found["cco_api_latency_count"] == len(entries)
    assert found["gateway_streams_active"] == 0
    hits = [entry for entry in entries if entry["cache"] is not None]
    assert found["cco_cache_hits"] == sum(entry["cache"] == "hit" for entry in hits)
    assert found["cco_cache_misses"] == sum(entry["cache"] == "miss" for entry in hits)
    cost = total(entries, "cost_usd")
    assert cost > 0
    assert found["gateway_cost_usd_total"] == cost
    assert Decimal(str(summary["total_cost_usd"])) == cost
    assert Decimal(str(machine["totalCost"])) == cost
    for kind in ("input", "output", "cache_read"):
        tokens = total(entries, f"{kind}_tokens")
        assert tokens > 0
        assert found[f'gateway_tokens_total{{kind="{kind}"}}'] == tokens
        assert summary[f"total_{kind}_tokens"] == tokens


def check_ledger(gateway: GatewayProcess, entries: list[Json]) -> None:
    file = str(gateway.home / "ledger.db")
    with closing(apsw.Connection(file, flags=apsw.SQLITE_OPEN_READONLY)) as ledger:
        sums = ledger.execute("SELECT sum(calls), sum(successes), sum(output_tokens) FROM totals")
        records = ledger.execute("SELECT count(*), sum(success), sum(output_tokens) FROM audit")
        expected = (len(entries), total(entries, "success"), total(entries, "output_tokens"))
        assert sums.fetchone() == records.fetchone() == expected


@asynccontextmanager
async def serving(provider: Provider) -> AsyncIterator[int]:
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def files(port: int) -> dict[str, str]:
    """Return the configuration of a gateway in front of the provider on this port."""
    entry: Json = {"providerType": "anthropic", "baseUrl": f"http://127.0.0.1:{port}"}
    entry |= {"apiKeyRef": "env:A_KEY", "maxRetries": 0}
    return {
        "orchestra-config.json": json.dumps({"llmGateway": {"providers": {"anthropic": entry}}}),
        "gateway.toml": f"[cache]\nenabled = true\n[server]\nmax_body_bytes = {BOUND}\n",
    }


def test_every_request_is_counted_once_everywhere(
    start_gateway: StartGateway,
) -> None:
    fates = mixed()
    assert len(fates) == REQUESTS

    async def main() -> tuple[GatewayProcess, list[Told], list[Json]]:
        provider = Provider()
        async with asyncio.timeout(DEADLINE_S), serving(provider) as port:
            gateway = await asyncio.to_thread(start_gateway, files(port), 2, A_KEY="sk-0123456789")
            told = await ask_all(gateway.port, provider, fates)
            return gateway, told, await entries_of(gateway, len(told))

    gateway, told, entries = asyncio.run(main())
    assert Counter(one.fate for one in told) == Counter(fates)
    answered = {fate: {one.status for one in told if one.fate is fate} for fate in Fate}
    assert answered == {fate: {STATUSES.get(fate, 200)} for fate in Fate}
    check_entries(told, entries)
    check_sums(gateway, entries)
    check_ledger(gateway, entries)
