"""What the operator API answers at each path; reads the ledger, the counters and the supervisor."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib import metadata

from gateway import resources
from gateway.breakers import Circuits
from gateway.cache.answers import AnswerCache
from gateway.config.settings import Settings
from gateway.cost.pricing import Pricing
from gateway.errors import RequestError
from gateway.links import Link
from gateway.metrics.exposition import OPENMETRICS_TYPE, TEXT_TYPE, openmetrics_wanted, render
from gateway.metrics.meters import Metrics
from gateway.metrics.report import Facts
from gateway.operator import openapi, query
from gateway.operator.admin import require_admin
from gateway.operator.health import ProviderHealth
from gateway.overrides.capabilities import Capabilities
from gateway.store import entries, queries, sums
from gateway.store.ledger import Ledger
from gateway.wire.answers import to_json
from gateway.wire.http import Request
from gateway.wire.workers import WorkerDirectory, WorkerIdentity, WorkerState

VERSION = metadata.version("cco-migrate")

_DIRECTORY_WAIT_S = 1.0
_TABLE_WAIT_S = 4.0
"""For who asks for nothing else: a supervisor that starts processes on a busy machine is slow.

Our own commands wait for an answer for 5 s."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the operator API reports on.

    Attributes:
        links: The enabled providers, by name.
        circuits: Which models of which provider this worker does not ask for now.
        admin_token: What bodies and changes need.
    """

    settings: Settings
    identity: WorkerIdentity
    directory: WorkerDirectory
    links: Mapping[str, Link]
    ledger: Ledger
    metrics: Metrics
    cache: AnswerCache
    pricing: Pricing
    capabilities: Capabilities
    admin_token: str = field(repr=False)
    circuits: Circuits = field(default_factory=Circuits)


class OperatorAnswers:
    """One method a path. They raise RequestError and apsw.Error.

    Attributes:
        draining: Whether the worker is on its way out; `/health` and `/ready` then say 503.
    """

    def __init__(self, parts: Parts) -> None:
        self.draining = False
        self._parts = parts
        self._settings = parts.settings
        self._ledger = parts.ledger
        self._health = ProviderHealth(parts.links.values())
        self._started = time.monotonic()

    async def health(self, _: Request) -> Answer:
        """Say that this worker lives, and with which configuration."""
        settings, identity = self._settings, self._parts.identity
        uptime_s = int(time.monotonic() - self._started)
        serving = await self._boot_ids(frozenset({WorkerState.SERVING}))
        # Probes ask often: without a cache nothing is read for them.
        looked = self._parts.metrics.cache_totals(()) if settings.cache.enabled else None
        document = {
            "status": "draining" if self.draining else "ok",
            "version": VERSION,
            "uptime": uptime_s,
            "uptime_seconds": uptime_s,
            "overrides_enabled": settings.overrides.enabled,
            "override_rules": len(settings.overrides.rules),
            "cache_hits": 0 if looked is None else looked.hits,
            "cache_misses": 0 if looked is None else looked.misses,
            "config_fingerprint": settings.fingerprint,
            "instance": identity.instance,
            "worker": identity.slot,
            "workers": settings.server.workers if serving is None else len(serving),
            "boot_id": identity.boot_id,
        }
        return _json(document, 503 if self.draining else 200)

    async def ready(self, _: Request) -> Answer:
        """Say whether this worker takes requests."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        document = {"ready": not self.draining, "version": VERSION, "timestamp": now}
        return _json(document, 503 if self.draining else 200)

    async def workers(self, _: Request) -> Answer:
        """List every live worker and what it has loaded, and say which supervisor's they are."""
        directory = self._parts.directory
        try:
            async with asyncio.timeout(_TABLE_WAIT_S):
                workers = await directory.workers()
                reload = await directory.last_reload()
        except TimeoutError:
            raise RequestError(503, "api_error", "the supervisor does not answer") from None
        # It has started this process. One that has died since is named by nobody's PID file.
        supervisor = os.getppid()
        return _json({"supervisor": supervisor, "workers": workers, "reload": reload})

    async def providers_health(self, _: Request) -> Answer:
        """Say whether the providers can be reached and the ledger be written."""
        settings, ledger = self._settings, self._ledger
        up = await self._health.up()
        routing, audit = settings.routing, settings.audit
        status = "healthy" if all(up.values()) and ledger.healthy else "degraded"
        document = {
            "status": status if up[routing.default_provider] else "unhealthy",
            "providers": up,
            "routing": {
                "default_provider": routing.default_provider,
                "fallback_chain": routing.fallback_chain,
            },
            "audit": {
                "enabled": audit.enabled,
                "log_request_bodies": audit.log_request_bodies,
                "log_response_bodies": audit.log_response_bodies,
                "healthy": ledger.healthy,
                "write_failures": ledger.failures,
                "spilled": ledger.spilled,
                "late_commits": ledger.late,
            },
            "config_fingerprint": settings.fingerprint,
        }
        return _json(document)

    async def metrics(self, request: Request) -> Answer:
        """Sum up all requests since the baseline."""
        wanted = query.metrics_filter(request)
        return _json(await self._ledger.read(partial(queries.metrics, wanted=wanted)))

    async def reset_metrics(self, _: Request) -> Answer:
        """Let the sums of `/gateway/metrics` begin anew; nothing is deleted."""
        now_us = time.time_ns() // 1000
        if not await self._ledger.write(partial(sums.set_baseline, at_us=now_us)):
            raise RequestError(503, "api_error", "the ledger cannot be written")
        text = "the metrics count from now; records, totals and budgets are as they were"
        return _json({"status": "ok", "message": text})

    async def providers(self, _: Request) -> Answer:
        """List the configured providers."""
        up, links = await self._health.up(), self._parts.links
        rows = [
            {
                "name": provider.name,
                "type": provider.type,
                "healthy": up.get(provider.name, False),
                "enabled": provider.enabled,
                "problem": links[provider.name].problem if provider.name in links else None,
                "circuit": self._parts.circuits.states(provider.name),
            }
            for provider in self._settings.providers
        ]
        return _json({"providers": rows})

    async def audit(self, request: Request) -> Answer:
        """List recorded requests; their bodies only for the admin."""
        wanted = query.audit_filter(request)
        if wanted.bodies:
            require_admin(request, self._parts.admin_token)
        return _json(await self._ledger.read(partial(entries.audit, wanted=wanted)))

    async def overrides(self, _: Request) -> Answer:
        """Say how often each override fired and what it saved."""
        enabled = self._settings.overrides.enabled
        return _json(await self._ledger.read(partial(queries.overrides, enabled=enabled)))

    async def cache(self, _: Request) -> Answer:
        """Say what the response caches of all workers did and hold."""
        totals = self._parts.metrics.cache_totals(await self._live())
        redis = self._parts.cache.health  # what it holds is Redis's to say
        document = {
            "cache_hits": totals.hits,
            "cache_misses": totals.misses,
            "hit_rate": round(totals.hit_rate, 4),
            "hit_rate_percent": round(totals.hit_rate * 100, 2),
            "total_requests": totals.hits + totals.misses,
            "memory_usage_bytes": totals.size_bytes if redis is None else None,
            "cached_items": totals.items if redis is None else None,
            "redis": redis,
        }
        return _json(document)

    async def machine(self, _: Request) -> Answer:
        """Return the sums behind the dashboard's charts."""
        return _json(await self._ledger.read(queries.machine))

    async def project(self, _: Request) -> Answer:
        """Return the sums and how they changed within a day."""
        now_us = time.time_ns() // 1000
        return _json(await self._ledger.read(partial(queries.project, now_us=now_us)))

    async def prometheus(self, request: Request) -> Answer:
        """Return the metrics of all workers, in the format asked for."""
        settings = self._settings
        facts = Facts(settings.fingerprint, settings.overrides.enabled, await self._live())
        openmetrics = openmetrics_wanted(request.header(b"accept") or b"")
        body = render(self._parts.metrics.read(facts), openmetrics=openmetrics)
        return Answer(200, body, OPENMETRICS_TYPE if openmetrics else TEXT_TYPE)

    async def openapi(self, _: Request) -> Answer:
        """Return the description of this API."""
        schemas = {name: resources.schema(f"answers/{name}") for name in openapi.schema_names()}
        return _json(openapi.document(schemas, VERSION))

    async def shut_down(self, _: Request) -> Answer:
        """Ask the supervisor to drain all workers and to end."""
        self._parts.directory.shut_down()
        text = "the workers finish what is open, then the gateway ends"
        return _json({"status": "shutdown_initiated", "message": text})

    async def _live(self) -> Collection[str]:
        """Return the boot ids of the live workers; of this one when the supervisor is silent."""
        live = await self._boot_ids(frozenset(WorkerState))
        return {self._parts.identity.boot_id} if live is None else live

    async def _boot_ids(self, states: Collection[WorkerState]) -> Collection[str] | None:
        """Return the workers in one of these states; None when the supervisor is silent."""
        try:
            async with asyncio.timeout(_DIRECTORY_WAIT_S):
                workers = await self._parts.directory.workers()
        except TimeoutError:
            return None
        return {worker.boot_id for worker in workers if worker.state in states}


def _json(document: object, status: int = 200) -> Answer:
    return Answer(status, to_json(document))
