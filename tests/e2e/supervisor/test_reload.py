"""Replacement of the workers: nothing is lost, and a bad set changes nothing."""

from __future__ import annotations

import asyncio
import re
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.supervisor.conftest import Client, Daemon

HANG_S = 10.0  # how long a worker that hangs is waited for, and others may take to start


async def _new_connections(port: int, count: int) -> int:
    good = 0
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        good += (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
    return good


async def _kept_connection(port: int, count: int) -> int:
    """Ask over one connection; a new one only when an answer said that it was the last."""
    good, connection = 0, await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        reader, writer = connection
        writer.write(b"POST /who HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        good += b'"bytes": 3' in await reader.readexactly(int(length[1]))
        if b"connection: close" in head:
            writer.close()
            connection = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.005)  # the client's own pace, so that the load spans the reloads
    connection[1].close()
    return good


async def _paced_stream(port: int, events: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /stream?%d HTTP/1.1\r\nHost: a\r\n\r\n" % events)
    body = await reader.readuntil(b"0\r\n\r\n")
    writer.write(b"GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")  # not lost either
    after = await reader.read()
    writer.close()
    return body.count(b"event: piece") == events and after.startswith(b"HTTP/1.1 200")


def test_replacements_under_load_lose_nothing(daemon: Daemon) -> None:
    daemon.configure(linger_s=60)  # a client that is stopped in its pause still asks again
    daemon.start(workers=2)

    async def load() -> list[int]:
        numbers = (signal.SIGHUP, signal.SIGUSR2, signal.SIGHUP)
        reloads = asyncio.to_thread(lambda: [daemon.reload(number)["error"] for number in numbers])
        work = [
            *(_new_connections(daemon.port, 100) for _ in range(3)),
            *(_kept_connection(daemon.port, 150) for _ in range(3)),
            *(_paced_stream(daemon.port, 50) for _ in range(20)),
        ]
        done = await asyncio.gather(reloads, *work)
        assert done[0] == [None, None, None]
        return [int(number) for number in done[1:]]

    assert asyncio.run(load()) == [100] * 3 + [150] * 3 + [1] * 20
    assert {row["generation"] for row in daemon.workers() if row["state"] == "serving"} == {4}
    daemon.until(lambda: len(daemon.children()) == 2)
    assert daemon.exit_code() == 0
    assert daemon.log.count("closed ") == 6


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_upload_stream_and_idle_connection_survive_a_replacement(
    daemon: Daemon, number: signal.Signals
) -> None:
    daemon.configure(linger_s=60)
    daemon.start()
    daemon.hold_streams()
    upload, idle, begun, probe = (daemon.connect() for _ in range(4))
    upload.send(b"POST /who HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    begun.get("/stream?5")
    begun.read_to(b"event: start")
    idle.get("/who")
    assert b"connection: close" not in idle.answer()[0]
    assert b"connection: close" not in health_head(probe)
    assert daemon.reload(number)["error"] is None
    daemon.until(lambda: b"connection: close" in health_head(probe))  # the old one drains
    upload.send(b"def")
    idle.get("/who")
    daemon.release_streams()
    begun.read_to(b"0\r\n\r\n")
    begun.get("/who")
    for client, size in ((upload, 6), (idle, 0), (begun, 0)):
        head, document = client.answer()
        assert b"connection: close" in head
        assert (document["generation"], document["bytes"]) == (1, size)
        assert client.rest() == b""  # the old one leaves by itself


def health_head(client: Client) -> bytes:
    client.get("/health")
    return client.answer()[0]


def test_reload_with_a_bad_file_keeps_the_old_set_and_says_why(daemon: Daemon) -> None:
    daemon.start()
    before = daemon.workers()
    daemon.configure(prot=1)
    outcome = daemon.reload()
    assert outcome["generation"] == 2
    assert str(daemon.home / "config" / "gateway.toml") in outcome["error"]
    assert "prot" in outcome["error"]
    assert f"the configuration before stays in force: {outcome['error']}" in daemon.log
    after = daemon.until(lambda: rows if len(rows := daemon.workers()) == 1 else None)
    assert [row["boot_id"] for row in after] == [row["boot_id"] for row in before]
    daemon.configure(max_body_bytes=2048)
    outcome = daemon.reload()
    assert (outcome["generation"], outcome["error"]) == (3, None)
    (row,) = daemon.until(lambda: [r for r in daemon.workers() if r["state"] == "serving"])
    assert row["fingerprint"] != before[0]["fingerprint"]
    assert daemon.log.count("Configuration loaded: ") == 2


@pytest.mark.parametrize(
    ("fault", "words"), [("exit", "exited with code 7"), ("hang", "not ready in time")]
)
def test_reload_whose_workers_die_or_hang_keeps_the_old_set(
    daemon: Daemon, fault: str, words: str
) -> None:
    daemon.ready_s = HANG_S if fault == "hang" else daemon.ready_s
    daemon.start(workers=2)
    daemon.break_workers(fault)
    assert words in daemon.reload()["error"]
    daemon.until(lambda: len(daemon.children()) == 2)
    assert daemon.ask()["generation"] == 1
