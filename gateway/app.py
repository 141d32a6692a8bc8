"""One worker's application: opens what it needs, sends each request to whoever answers it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import uuid

from gateway import resources
from gateway.config import Settings
from gateway.exchange import Exchange, Service
from gateway.links import open_links
from gateway.operator_api import OperatorApi, Parts
from gateway.overrides import Overrides
from gateway.passthrough import pass_through
from gateway.pricing import Pricing
from gateway.store.ledger import Ledger
from gateway.store.records import Endpoint
from gateway.wire.answers import reply_error
from gateway.wire.http import Request, Responder
from gateway.wire.workers import WorkerDirectory, WorkerIdentity

log = logging.getLogger(__name__)

ENDPOINTS = {
    b"/v1/messages": Endpoint.MESSAGES,
    b"/v1/messages/count_tokens": Endpoint.COUNT_TOKENS,
}
"""The recorded paths of the client API."""

_SWEEP_S = 1.0


class Application:
    """Everything behind one worker's connections."""

    def __init__(self, service: Service, operator: OperatorApi, parts: Parts) -> None:
        self._service = service
        self._operator = operator
        self._parts = parts
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    @classmethod
    async def open(
        cls, settings: Settings, identity: WorkerIdentity, directory: WorkerDirectory
    ) -> Application:
        """Open the ledger and the connection pools. Raises ConfigError and OSError."""
        if identity.slot == 0:  # once, not once a worker
            for warning in settings.warnings:
                log.warning("configuration: %s", warning)
        pricing = Pricing.parse(resources.prices())
        ledger = Ledger(settings.audit.db_path, keep_entries=settings.audit.enabled)
        links = open_links(settings.providers, os.environ)
        for link in links.values():
            if link.problem is not None:
                log.warning("provider %s: %s", link.name, link.problem)
        parts = Parts(settings, identity, directory, links, ledger)
        rules = settings.overrides.rules if settings.overrides.enabled else ()
        service = Service(
            link=links[settings.routing.default_provider],
            overrides=Overrides(rules),
            override_settings=settings.overrides,
            pricing=pricing,
            ledger=ledger,
            boot_id=identity.boot_id,
        )
        return cls(service, OperatorApi(parts), parts)

    async def handle(self, request: Request, responder: Responder) -> None:
        """Answer one request, of a client or of the operator."""
        request_id = f"gw_{uuid.uuid4().hex}"
        path, target = request.path, request.target
        if path.startswith(b"/v1/v1/"):
            path, target = path[3:], target[3:]
            self._doubled()
        endpoint = ENDPOINTS.get(path)
        if endpoint is not None and request.method == b"POST":
            exchange = Exchange(self._service, endpoint, request, responder, request_id)
            await exchange.run(target)
        elif endpoint is not None:
            text = "only POST is served at this path"
            reply_error(responder, 405, "invalid_request_error", text, request_id)
        elif request.method == b"GET" and (path == b"/v1/models" or path[:11] == b"/v1/models/"):
            await pass_through(self._service.link, request, responder, target, request_id)
        else:
            await self._operator.handle(request, responder, request_id)

    def begin_draining(self) -> None:
        """Say that the worker is leaving: `/health` and `/ready` turn 503."""
        self._operator.begin_draining()

    async def close(self) -> None:
        """Write what is queued and close everything."""
        self._operator.begin_draining()
        self._sweeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sweeper
        await self._operator.close()
        await self._parts.ledger.close()
        for link in self._parts.links.values():
            link.origin.close()

    def _doubled(self) -> None:
        counts = self._service.counts
        counts.doubled_v1 += 1
        if counts.doubled_v1 == 1:
            log.warning("a client's base URL ends in /v1, so its paths begin with /v1/v1; served")

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)  # a clock, not a wait for something
            for link in self._parts.links.values():
                link.origin.sweep(loop.time())
