"""The legacy HTTP proxy, a process of its own: CONNECT tunnels and absolute-form requests.

What clients used before the gateway, kept to migrate from and to fall back to. It sees a tunnel's
bytes only, so it knows no model, counts nothing and promises nothing about streams.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys

from .logs import to_stderr
from .proxy_connection import ProxyConnection, ProxyLimits
from .signals import CUT, FINISH

__all__ = ["ForwardProxy", "ProxyLimits", "main"]

_BACKLOG = 1024


class ForwardProxy:
    """The connections of one proxy."""

    def __init__(self, limits: ProxyLimits) -> None:
        self._limits = limits
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], ProxyConnection] = {}

    async def start(self, listener: socket.socket) -> None:
        """Accept connections; the socket is ours from now on."""
        self._server = await asyncio.start_server(
            self._serve, sock=listener, limit=self._limits.head_bytes, backlog=_BACKLOG
        )

    async def drain(self) -> None:
        """Accept no more, and wait for what is open; the silent and the late are cut."""
        if self._server is not None:
            self._server.close()
        for connection in self._open.values():
            connection.hasten(self._limits.quiet_s)
        if self._open:
            await asyncio.wait(tuple(self._open), timeout=self._limits.drain_s)
        await self.abort()

    async def abort(self) -> None:
        """Cut everything now."""
        tasks = tuple(self._open)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        crowded = len(self._open) >= self._limits.connections
        self._open[task] = connection = ProxyConnection(reader, writer, self._limits)
        try:
            await connection.serve(crowded=crowded)
        finally:
            del self._open[task]


def main() -> int:
    """Run the proxy as its supervisor says; return the exit code."""
    to_stderr()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the supervisor's
    parser = argparse.ArgumentParser(prog="gateway.serve.forward_proxy", allow_abbrev=False)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--lifeline-fd", type=int, required=True)
    parser.add_argument("--drain-s", type=float, required=True)
    found = parser.parse_args()
    limits = ProxyLimits(drain_s=found.drain_s)
    listener = socket.socket(fileno=found.listen_fd)
    lifeline = socket.socket(fileno=found.lifeline_fd)
    asyncio.run(_run(ForwardProxy(limits), listener, lifeline))
    return 0


async def _run(proxy: ForwardProxy, listener: socket.socket, lifeline: socket.socket) -> None:
    """Serve until told to finish or to cut, or until the supervisor is gone."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(FINISH, stop.set)
    loop.add_signal_handler(CUT, hurry.set)
    await proxy.start(listener)
    reader, writer = await asyncio.open_connection(sock=lifeline)
    writer.write(b"ready\n")
    orphaned = asyncio.ensure_future(reader.read(1))  # it ends when the supervisor has died
    stopped, hurried = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(hurry.wait())
    await asyncio.wait((orphaned, stopped, hurried), return_when=asyncio.FIRST_COMPLETED)
    drained = asyncio.ensure_future(proxy.drain())
    await asyncio.wait((drained, hurried), return_when=asyncio.FIRST_COMPLETED)
    await proxy.abort()
    for task in (orphaned, stopped, hurried):
        task.cancel()
    await drained
    writer.close()


if __name__ == "__main__":
    sys.exit(main())
