"""A worker whose application is small enough to see through; run by `tiny_supervisor.py`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from gateway import worker
from gateway.config.loading import Settings
from gateway.serve.request_parser import Refusal
from gateway.wire.http import Request, Responder
from gateway.wire.workers import WorkerDirectory, WorkerIdentity

_EVENT_S = 0.03  # the pace of a stream


class Tiny:
    """Says who it is, echoes, streams at a pace; a stream ends once no file `hold` is there."""

    def __init__(self, home: Path, identity: WorkerIdentity, directory: WorkerDirectory) -> None:
        self._hold = home / "hold"
        self._identity, self._directory, self._draining = identity, directory, False

    async def handle(self, request: Request, responder: Responder) -> None:
        """Answer one request."""
        match request.path:
            case b"/health":
                responder.reply(503 if self._draining else 200, b"{}")
            case b"/gateway/workers":
                responder.reply(200, await self._workers())
            case b"/stream":
                await self._stream(int(request.query), responder)
            case _:
                who = {"pid": os.getpid(), "generation": self._identity.generation}
                responder.reply(200, json.dumps({**who, "bytes": len(request.body)}).encode())

    def refused(self, refusal: Refusal, request_id: str) -> None:
        """Keep no record."""

    async def longest_stream_s(self) -> None:
        """Know nothing of streams before."""

    def begin_draining(self) -> None:
        """Turn the health answer."""
        self._draining = True

    async def close(self) -> None:
        """Leave a trace, so that a test can see that the end was an orderly one."""
        print(f"closed {os.getpid()}", file=sys.stderr, flush=True)

    async def _workers(self) -> bytes:
        workers, reload = await asyncio.gather(
            self._directory.workers(), self._directory.last_reload()
        )
        rows, supervisor = [asdict(row) for row in workers], os.getppid()
        told = {"supervisor": supervisor, "workers": rows, "reload": reload and asdict(reload)}
        return json.dumps(told).encode()

    async def _stream(self, events: int, responder: Responder) -> None:
        responder.start(200, ((b"content-type", b"text/event-stream"),), b"event: start\n\n")
        for _ in range(events):
            await asyncio.sleep(_EVENT_S)
            responder.write(b"event: piece\n\n")
        while self._hold.exists():
            await asyncio.sleep(_EVENT_S)
        responder.write(b"event: end\n\n")
        responder.end()


async def open_application(
    settings: Settings, identity: WorkerIdentity, directory: WorkerDirectory
) -> Tiny:
    """Open, or fail in the way the file `fault` of the state root says."""
    fault = settings.home / "fault"
    match fault.read_text() if fault.exists() else "":
        case "exit":
            os._exit(7)
        case "raise":
            raise RuntimeError("the tiny application is out of order")
        case "hang":
            await asyncio.Event().wait()
    return Tiny(settings.home, identity, directory)


if __name__ == "__main__":
    sys.exit(worker.main(open_application))
