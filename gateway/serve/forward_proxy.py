"""The legacy HTTP proxy, a process of its own: CONNECT tunnels and absolute-form requests.

What clients used before the gateway, kept to migrate from and to fall back to. It sees a tunnel's
bytes only, so it knows no model, counts nothing and promises nothing about streams.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
import sys
from functools import partial

from .logs import to_stderr
from .proxy_connection import ProxyConnection, ProxyLimits
from .signals import CUT, FINISH

__all__ = ["ForwardProxy", "ProxyLimits", "main"]

log = logging.getLogger(__name__)

_PAUSE_S = 1.0  # until the next try to accept when this process has no descriptor left


class ForwardProxy:
    """The connections of one proxy.

    Connections are accepted here and not by an `asyncio.Server`: closing a listener resets whoever
    has connected and was not accepted yet, and a client that was let in has to be served.
    """

    def __init__(self, limits: ProxyLimits) -> None:
        self._limits = limits
        self._listener: socket.socket | None = None
        self._open: dict[asyncio.Task[None], ProxyConnection | None] = {}

    def start(self, listener: socket.socket) -> None:
        """Accept connections; the socket is ours from now on."""
        listener.setblocking(False)
        self._listener = listener
        self._resume()

    def close(self) -> None:
        """Accept who has connected by now, and nobody else. Idempotent."""
        if self._listener is None:
            return
        self._accept()
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self._listener = None

    async def drain(self) -> None:
        """Accept no more, and wait for what is open; the silent and the late are cut."""
        self.close()
        for connection in self._open.values():
            if connection is not None:
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

    def _resume(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        """Take everybody who waits."""
        while self._listener is not None:
            try:
                client, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("Proxy cannot accept, tried again in %g s: %s", _PAUSE_S, error)
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._listener)
                loop.call_later(_PAUSE_S, self._resume)
                return
            crowded = len(self._open) >= self._limits.connections
            task = asyncio.ensure_future(self._serve(client, crowded=crowded))
            self._open[task] = None
            task.add_done_callback(partial(self._ended, client))

    async def _serve(self, client: socket.socket, *, crowded: bool) -> None:
        try:
            streams = await asyncio.open_connection(sock=client, limit=self._limits.head_bytes)
        except OSError as error:
            log.info("Proxy connection broke off: %s", error)
            return
        connection = ProxyConnection(*streams, self._limits)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._open[task] = connection
        if self._listener is None:
            connection.hasten(self._limits.quiet_s)
        await connection.serve(crowded=crowded)

    def _ended(self, client: socket.socket, task: asyncio.Task[None]) -> None:
        if self._open.pop(task) is None:
            client.close()  # cut before anything was made of it


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
    proxy.start(listener)
    reader, writer = await asyncio.open_connection(sock=lifeline)
    writer.write(b"ready\n")
    orphaned = asyncio.ensure_future(reader.read(1))  # it ends when the supervisor has died
    stopped, hurried = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(hurry.wait())
    await asyncio.wait((orphaned, stopped, hurried), return_when=asyncio.FIRST_COMPLETED)
    proxy.close()
    writer.write(b"closed\n")  # from now on another process can have the port
    drained = asyncio.ensure_future(proxy.drain())
    await asyncio.wait((drained, hurried), return_when=asyncio.FIRST_COMPLETED)
    await proxy.abort()
    for task in (orphaned, stopped, hurried):
        task.cancel()
    await drained
    writer.close()


if __name__ == "__main__":
    sys.exit(main())
