"""The end of a call that starts a sub-agent waits for its commit; nothing else waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.agents.spawns import Spawn, prompt_digest
from gateway.spawn_gate import MAX_HELD_BYTES, SpawnGate
from gateway.wire.http import Header, ReadSide

Json = Any  # a parsed document


def event(kind: str, **fields: Json) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n".encode()


def call(index: int, prompt: str) -> bytes:
    block = {"type": "tool_use", "id": "t", "name": "Agent", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": json.dumps({"prompt": prompt})}
    start = event("content_block_start", index=index, content_block=block)
    return start + event("content_block_delta", index=index, delta=delta)


def stop(index: int) -> bytes:
    return event("content_block_stop", index=index)


def spawn(prompt: str) -> Spawn:
    return Spawn("general-purpose", prompt_digest(prompt))


BEFORE = event("message_start", message={}) + call(1, "one")
BETWEEN = event("ping") + call(2, "two")
AFTER = event("message_delta", delta={}) + event("message_stop")
STREAM = BEFORE + stop(1) + BETWEEN + stop(2) + AFTER


class Client:
    """A responder that keeps what it is given."""

    def __init__(self) -> None:
        self.data = self.lines = b""
        self.started = self.ended = self.cut = False

    def reply(
        self,
        status: int,
        body: bytes,
        content_type: bytes = b"application/json",
        headers: tuple[Header, ...] = (),
    ) -> None:
        self.start(status, headers, body)
        self.end()

    def start(
        self, status: int, headers: tuple[Header, ...], first: bytes = b"", lines: bytes = b""
    ) -> None:
        assert status == 200
        self.started, self.lines = True, lines
        self.data += first

    def write(self, data: bytes) -> None:
        self.data += data

    def end(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.cut = True

    def throttle(self, source: ReadSide | None) -> None:
        raise AssertionError(source)


class Store:
    """Notes calls; the test says when they are committed."""

    def __init__(self) -> None:
        self.noted: list[tuple[Spawn, ...]] = []
        self.commits: list[asyncio.Future[bool]] = []

    def expect(self, spawns: tuple[Spawn, ...]) -> asyncio.Future[bool]:
        self.noted.append(spawns)
        self.commits.append(asyncio.get_running_loop().create_future())
        return self.commits[-1]


def gated(scenario: Callable[[SpawnGate, Client, Store], Awaitable[None]]) -> None:
    async def main() -> None:
        client, store = Client(), Store()
        async with asyncio.timeout(60):
            await scenario(SpawnGate(client, store.expect), client, store)

    asyncio.run(main())


def test_calls_are_held_until_their_commit_at_every_split() -> None:
    async def at(cut: int) -> None:
        client, store = Client(), Store()
        gate = SpawnGate(client, store.expect)
        gate.start(200, (), b"", b"x: y\r\n")
        assert client.lines == b"x: y\r\n"
        gate.write(STREAM[:cut])
        gate.write(STREAM[cut:])
        assert [one for spawns in store.noted for one in spawns] == [spawn("one"), spawn("two")]
        assert BEFORE.startswith(client.data[: len(BEFORE)])
        assert not client.data.endswith(stop(1)), "its last byte waits"
        assert len(client.data) < len(BEFORE + stop(1))
        assert len(client.data) >= min(cut, len(BEFORE)), "what came before passed at once"
        for number, committed in enumerate(store.commits):
            committed.set_result(number == 0)  # one that failed is not waited for either
        await gate.settled()
        assert client.data == STREAM
        gate.end()
        assert (client.ended, client.cut) == (True, False)

    async def main() -> None:
        for cut in range(len(STREAM) + 1):
            await at(cut)

    asyncio.run(main())


def test_second_call_waits_for_its_own_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.spawn_gate.COMMIT_WAIT_S", 60)  # a slow machine is no fault

    async def scenario(gate: SpawnGate, client: Client, store: Store) -> None:
        gate.write(BEFORE)
        gate.write(stop(1))
        gate.write(BETWEEN)
        gate.write(stop(2))
        gate.write(AFTER)
        assert client.data == BEFORE
        store.commits[0].set_result(True)
        await asyncio.wait(store.commits[:1])
        await asyncio.sleep(0)  # its callbacks run
        assert client.data == BEFORE + stop(1) + BETWEEN
        store.commits[1].set_result(True)
        await gate.settled()
        assert client.data == STREAM

    gated(scenario)


def test_stream_without_calls_never_waits() -> None:
    async def scenario(gate: SpawnGate, client: Client, store: Store) -> None:
        data = event("message_start", message={}) + event("ping") + stop(1) + AFTER
        for n in range(len(data)):
            gate.write(data[n : n + 1])
            assert client.data == data[: n + 1]
        await gate.settled()
        assert store.noted == []

    gated(scenario)


def test_commit_that_does_not_come_is_not_waited_for_long(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(gate: SpawnGate, client: Client, store: Store) -> None:
        gate.write(STREAM)
        assert client.data == BEFORE
        await gate.settled()
        assert client.data == STREAM
        store.commits[0].set_result(True)
        gate.write(b": more\n\n")
        assert client.data == STREAM + b": more\n\n"

    gated(scenario)
    assert "no commit in time" in caplog.text


def test_much_that_comes_meanwhile_is_not_piled_up() -> None:
    async def scenario(gate: SpawnGate, client: Client, store: Store) -> None:
        gate.write(BEFORE + stop(1))
        gate.write(b":" * MAX_HELD_BYTES)
        assert client.data == BEFORE + stop(1) + b":" * MAX_HELD_BYTES
        assert not store.commits[0].done()
        await gate.settled()

    gated(scenario)


def test_cut_answer_sends_nothing_that_was_held() -> None:
    async def scenario(gate: SpawnGate, client: Client, store: Store) -> None:
        gate.write(STREAM)
        gate.abort()
        await gate.settled()
        store.commits[0].set_result(True)
        await asyncio.sleep(0)
        assert (client.data, client.cut) == (BEFORE, True)

    gated(scenario)


def test_everything_else_is_the_responders() -> None:
    async def scenario(gate: SpawnGate, client: Client, _: Store) -> None:
        before = gate.started
        gate.reply(200, b"{}")
        assert (before, gate.started, client.data) == (False, True, b"{}")
        with pytest.raises(AssertionError):
            gate.throttle(None)

    gated(scenario)
