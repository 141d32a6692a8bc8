"""The operator API: what the gateway is, what it did, and the dashboard."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from gateway import operator_query
from gateway.config import Settings
from gateway.errors import RequestError
from gateway.health import ProviderHealth
from gateway.links import Link
from gateway.live import LiveStream
from gateway.store import queries
from gateway.store.ledger import Ledger
from gateway.wire.answers import reply_error, to_json
from gateway.wire.http import Header, Request, Responder
from gateway.wire.workers import WorkerDirectory, WorkerIdentity, WorkerState

log = logging.getLogger(__name__)

VERSION = metadata.version("cco-migrate")

_DIRECTORY_WAIT_S = 1.0
_OPEN_PATHS = frozenset({b"/health", b"/ready"})
"""Answered whatever the Host header says: probes of orchestrators call by address."""

_PAGE_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache"),
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the operator API reports on."""

    settings: Settings
    identity: WorkerIdentity
    directory: WorkerDirectory
    links: Mapping[str, Link]
    ledger: Ledger


class OperatorApi:
    """Answers the operator's requests.

    Attributes:
        draining: Whether the worker is on its way out; `/health` and `/ready` then say 503.
    """

    def __init__(self, parts: Parts) -> None:
        """Read the dashboard page. Raises OSError when it is not installed."""
        self.draining = False
        self._parts = parts
        self._started = time.monotonic()
        self._page = (Path(__file__).parent / "dashboard" / "index.html").read_bytes()
        self._health = ProviderHealth(parts.links.values())
        self._live = LiveStream(parts.ledger, enabled=parts.settings.overrides.enabled)
        self._routes: Mapping[bytes, Callable[[Request], Awaitable[tuple[int, object]]]] = {
            b"/health": self._get_health,
            b"/ready": self._get_ready,
            b"/gateway/workers": self._get_workers,
            b"/gateway/health": self._get_providers_health,
            b"/gateway/metrics": self._get_metrics,
            b"/gateway/providers": self._get_providers,
            b"/gateway/audit": self._get_audit,
            b"/api/overrides/stats": self._get_overrides,
            b"/api/machine/stats": self._get_machine,
        }

    async def handle(self, request: Request, responder: Responder, request_id: str) -> None:
        """Answer any request that is not part of the client API."""
        try:
            await self._handle(request, responder, request_id)
        except RequestError as error:
            reply_error(responder, error.status, error.kind, str(error), request_id)
        except sqlite3.Error as error:
            log.warning("the ledger cannot be read: %s", error)
            reply_error(responder, 503, "api_error", "the ledger cannot be read", request_id)

    def begin_draining(self) -> None:
        """Say so from now on, and end the live streams."""
        self.draining = True
        self._live.close()

    async def close(self) -> None:
        """Return once nothing reads the ledger any more."""
        await self._live.stopped()

    async def _handle(self, request: Request, responder: Responder, request_id: str) -> None:
        path = request.path
        own: tuple[Header, ...] = ((b"x-gateway-request-id", request_id.encode()),)
        route = self._routes.get(path)
        if route is None and path not in (b"/", b"/api/stream"):
            raise RequestError(404, "not_found_error", "there is nothing at this path")
        if path not in _OPEN_PATHS:
            operator_query.require_local(request, self._parts.settings.server.host)
        if request.method not in (b"GET", b"HEAD"):
            raise RequestError(405, "invalid_request_error", "only GET is served at this path")
        if path == b"/":
            html = b"text/html; charset=utf-8"
            responder.reply(200, self._page, html, headers=_PAGE_HEADERS + own)
        elif route is not None:
            status, document = await route(request)
            headers = ((b"cache-control", b"no-store"), *own)
            responder.reply(status, to_json(document), headers=headers)
        elif self._live.full or request.method == b"HEAD":
            raise RequestError(503, "overloaded_error", "no further live stream is served")
        else:
            await self._live.serve(responder, own)

    # -- one method a path; each returns a status and a document

    async def _get_health(self, _: Request) -> tuple[int, object]:
        settings, identity = self._parts.settings, self._parts.identity
        uptime_s = int(time.monotonic() - self._started)
        document = {
            "status": "draining" if self.draining else "ok",
            "version": VERSION,
            "uptime": uptime_s,
            "uptime_seconds": uptime_s,
            "overrides_enabled": settings.overrides.enabled,
            "override_rules": len(settings.overrides.rules),
            "cache_hits": 0,
            "cache_misses": 0,
            "config_fingerprint": settings.fingerprint,
            "instance": identity.instance,
            "worker": identity.slot,
            "workers": await self._count_workers(),
            "boot_id": identity.boot_id,
        }
        return (503 if self.draining else 200), document

    async def _get_ready(self, _: Request) -> tuple[int, object]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        document = {"ready": not self.draining, "version": VERSION, "timestamp": now}
        return (503 if self.draining else 200), document

    async def _get_workers(self, _: Request) -> tuple[int, object]:
        directory = self._parts.directory
        try:
            async with asyncio.timeout(_DIRECTORY_WAIT_S):
                workers = await directory.workers()
                reload = await directory.last_reload()
        except TimeoutError:
            raise RequestError(503, "api_error", "the supervisor does not answer") from None
        return 200, {"workers": workers, "reload": reload}

    async def _get_providers_health(self, _: Request) -> tuple[int, object]:
        settings, ledger = self._parts.settings, self._parts.ledger
        up = await self._health.up()
        default = settings.routing.default_provider
        status = "healthy" if all(up.values()) and ledger.healthy else "degraded"
        return 200, {
            "status": status if up[default] else "unhealthy",
            "providers": up,
            "routing": {"default_provider": default, "fallback_chain": []},
            "audit": {
                "enabled": settings.audit.enabled,
                "log_request_bodies": False,
                "log_response_bodies": False,
                "healthy": ledger.healthy,
                "write_failures": ledger.failures,
                "late_commits": ledger.late,
            },
            "config_fingerprint": settings.fingerprint,
        }

    async def _get_metrics(self, request: Request) -> tuple[int, object]:
        wanted = operator_query.metrics_filter(request)
        return 200, await self._parts.ledger.read(lambda db: queries.metrics(db, wanted))

    async def _get_providers(self, _: Request) -> tuple[int, object]:
        up = await self._health.up()
        rows = [
            {
                "name": provider.name,
                "type": provider.type,
                "healthy": up.get(provider.name, False),
                "enabled": provider.enabled,
                "circuit": {},
            }
            for provider in self._parts.settings.providers
        ]
        return 200, {"providers": rows}

    async def _get_audit(self, request: Request) -> tuple[int, object]:
        wanted = operator_query.audit_filter(request)
        return 200, await self._parts.ledger.read(lambda db: queries.audit(db, wanted))

    async def _get_overrides(self, _: Request) -> tuple[int, object]:
        enabled = self._parts.settings.overrides.enabled
        return 200, await self._parts.ledger.read(lambda db: queries.overrides(db, enabled=enabled))

    async def _get_machine(self, _: Request) -> tuple[int, object]:
        return 200, await self._parts.ledger.read(queries.machine)

    async def _count_workers(self) -> int:
        """Return how many workers serve; what is configured when the supervisor is silent."""
        try:
            async with asyncio.timeout(_DIRECTORY_WAIT_S):
                workers = await self._parts.directory.workers()
        except TimeoutError:
            return self._parts.settings.server.workers
        return sum(worker.state is WorkerState.SERVING for worker in workers)
