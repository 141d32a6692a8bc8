"""A worker process: joins the HTTP server to the application, proves itself, serves, drains."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

import uvloop

from gateway.config.loading import Settings, load
from gateway.errors import GatewayError
from gateway.serve.channel import Loaded
from gateway.serve.control import SupervisorLink
from gateway.serve.http_server import HttpServer, Limits
from gateway.serve.logs import to_stderr
from gateway.serve.request_parser import Refusal
from gateway.serve.signals import CUT, FINISH
from gateway.wire.http import Request, Responder
from gateway.wire.workers import WorkerDirectory, WorkerIdentity

log = logging.getLogger(__name__)

_BACKLOG = 4096
_SELF_CHECK_S = 5.0
_YOUNG_OBJECTS = 20_000
"""What a request leaves is freed by its reference counts; the collector looks for cycles only."""
_DRAIN_S = 60.0  # open streams get this long at least, unless less is configured


class ServedApplication(Protocol):
    """What a worker serves."""

    def handle(self, request: Request, responder: Responder) -> Awaitable[None]:
        """Return what answers one request."""

    def refused(self, refusal: Refusal, request_id: str) -> asyncio.Future[bool] | None:
        """Note what the framing refuses; return what its answer waits for, None for nothing."""

    async def longest_stream_s(self) -> float | None:
        """Return how long the longest stream lately took, seconds; None when that is not known."""

    def begin_draining(self) -> None:
        """Tell health checks that this worker is leaving."""

    async def close(self) -> None:
        """Finish what is pending."""


OpenApplication = Callable[
    [Settings, WorkerIdentity, WorkerDirectory], Awaitable[ServedApplication]
]


@dataclass(frozen=True, slots=True)
class WorkerArguments:
    """What a worker is started with; the descriptors are inherited from the supervisor."""

    listen_fd: int
    control_fd: int
    identity: WorkerIdentity
    workers: int
    config_dir: Path
    home: Path


def main(open_application: OpenApplication | None = None) -> int:
    """Run a worker as the command line says; return its exit code."""
    to_stderr()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the supervisor's
    return uvloop.run(serve(open_application or _open_gateway, _arguments(sys.argv[1:])))


async def serve(open_application: OpenApplication, arguments: WorkerArguments) -> int:
    """Serve until told to stop, or until the supervisor is gone; return the exit code."""
    link = await SupervisorLink.open(socket.socket(fileno=arguments.control_fd))
    stop = _Stop(link)
    starting = asyncio.get_running_loop().create_task(_start(open_application, arguments, link))
    try:
        served = await stop.unless_wanted(starting)
    except (GatewayError, OSError, TimeoutError) as error:
        return await _fail(link, str(error) or type(error).__name__)
    except Exception as error:  # the edge of the process: the supervisor is to say what happened
        log.exception("the worker could not start")
        return await _fail(link, f"{type(error).__name__}: {error}")
    if served is None:
        return await _fail(link, "told to stop before it was ready")
    _settle_memory()
    link.ready(arguments.identity.boot_id, os.getpid(), _loaded(served.settings))
    await stop.wanted.wait()
    await _leave(served, link, stop)
    return 0


class _Served(NamedTuple):
    """What a worker has opened when it is ready."""

    settings: Settings
    application: ServedApplication
    server: HttpServer
    listener: asyncio.Server


async def _start(
    open_application: OpenApplication, arguments: WorkerArguments, link: SupervisorLink
) -> _Served:
    """Open everything, prove it, and accept connections."""
    settings = _settings(arguments)
    application = await open_application(settings, arguments.identity, link)
    server = HttpServer(application.handle, _limits(settings), application.refused)
    await _check_self(server, arguments.identity.instance)
    listener = await asyncio.get_running_loop().create_server(
        server.protocol, sock=socket.socket(fileno=arguments.listen_fd), backlog=_BACKLOG
    )
    return _Served(settings, application, server, listener)


def _settle_memory() -> None:
    """Take what stays for the life of the worker out of every later garbage collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


async def _fail(link: SupervisorLink, error: str) -> int:
    link.failed(error)
    await link.close()
    return 1


async def _leave(served: _Served, link: SupervisorLink, stop: _Stop) -> None:
    """Take nothing new, finish what is open, and close."""
    settings, application, server, listener = served
    listener.close()
    server.begin_draining()
    application.begin_draining()
    link.draining(settings.server.drain_s)
    drain_s = drain_deadline_s(await application.longest_stream_s(), settings.server.drain_s)
    link.draining(drain_s)
    await _drain(server, settings.server.linger_s, drain_s, stop)
    await application.close()
    await link.close()


class _Stop:
    """Why a worker stops: a signal, or the death of its supervisor; one of the two signals cuts."""

    def __init__(self, link: SupervisorLink) -> None:
        self.wanted, self.hurry = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(FINISH, self.wanted.set)
        loop.add_signal_handler(CUT, self._cut)
        self._orphaned = loop.create_task(self._follow(link))

    async def unless_wanted(self, starting: asyncio.Task[_Served]) -> _Served | None:
        """Return what was started; None when this worker is to stop before it was.

        One whose supervisor is gone must not keep the port while it waits for something.
        """
        wanted = asyncio.get_running_loop().create_task(self.wanted.wait())
        await asyncio.wait((starting, wanted), return_when=asyncio.FIRST_COMPLETED)
        wanted.cancel()
        if starting.done():
            return starting.result()
        starting.cancel()
        return None

    def _cut(self) -> None:
        self.hurry.set()
        self.wanted.set()

    async def _follow(self, link: SupervisorLink) -> None:
        await link.orphaned.wait()
        if not self.wanted.is_set():
            log.warning("the supervisor is gone; finishing what is open")
        self.wanted.set()


def drain_deadline_s(longest_s: float | None, at_most_s: float) -> float:
    """Return how long to wait for open streams: twice what the longest lately took, seconds.

    Args:
        longest_s: None when that is not known: then `at_most_s`.
        at_most_s: As configured.
    """
    return at_most_s if longest_s is None else min(at_most_s, max(_DRAIN_S, 2 * longest_s))


async def _drain(server: HttpServer, linger_s: float, drain_s: float, stop: _Stop) -> None:
    hurried = asyncio.get_running_loop().create_task(stop.hurry.wait())
    hurried.add_done_callback(lambda task: None if task.cancelled() else server.abort())
    try:
        whole = await server.drain(linger_s, drain_s)
    finally:
        hurried.cancel()
    if not whole:
        log.warning("exchanges were cut drain_s=%g", drain_s)


async def _check_self(server: HttpServer, instance: str) -> None:
    """Answer `GET /health` over a private socket pair. Raises GatewayError when it is not 200."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    request = f"GET /health HTTP/1.1\r\nhost: {instance}\r\nconnection: close\r\n\r\n"
    answer = b""
    with ours:
        await loop.connect_accepted_socket(server.protocol, theirs)
        async with asyncio.timeout(_SELF_CHECK_S):
            await loop.sock_sendall(ours, request.encode())
            while data := await loop.sock_recv(ours, 65536):
                answer += data
    if not answer.startswith(b"HTTP/1.1 200 "):
        text = answer.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")
        status = answer.partition(b"\r\n")[0].decode("latin-1")
        raise GatewayError(f"the worker's own GET /health answered {status or 'nothing'}: {text}")


def _settings(arguments: WorkerArguments) -> Settings:
    """Load the files; the command line of `run` beats what they say about the listener."""
    settings = load(arguments.config_dir, arguments.home, datetime.now(UTC).date())
    host, _, port = arguments.identity.instance.rpartition(":")
    server = replace(
        settings.server, host=host.strip("[]"), port=int(port), workers=arguments.workers
    )
    return replace(settings, server=server)


def _limits(settings: Settings) -> Limits:
    server = settings.server
    return Limits(body_bytes=server.max_body_bytes, buffered_bytes=server.max_buffered_bytes)


def _loaded(settings: Settings) -> Loaded:
    overrides, daemon = settings.overrides, settings.daemon
    return Loaded(
        settings.fingerprint,
        overrides.enabled,
        len(overrides.rules),
        daemon.gateway_enabled,
        daemon.proxy_enabled,
    )


async def _open_gateway(
    settings: Settings, identity: WorkerIdentity, directory: WorkerDirectory
) -> ServedApplication:
    from gateway.app import Application  # noqa: PLC0415 - a worker of a test has its own application

    return await Application.open(settings, identity, directory)


def _arguments(argv: list[str]) -> WorkerArguments:
    parser = argparse.ArgumentParser(prog="gateway.worker", allow_abbrev=False)
    for name in ("listen-fd", "control-fd", "slot", "generation", "workers"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("boot-id", "instance", "supervisor"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("config-dir", "home"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    found = parser.parse_args(argv)
    identity = WorkerIdentity(
        found.slot, found.generation, found.boot_id, found.instance, found.supervisor
    )
    return WorkerArguments(
        found.listen_fd, found.control_fd, identity, found.workers, found.config_dir, found.home
    )


if __name__ == "__main__":
    sys.exit(main())
