"""One worker's application: opens what it needs, sends each request to whoever answers it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import logging
import os
import random
import time
from collections.abc import Awaitable
from functools import partial

import apsw

from gateway import model_list, resources
from gateway.access.clients import basic_password, presented
from gateway.access.pages import own_names, refuse_rebound
from gateway.account import open_account
from gateway.config.settings import Settings
from gateway.errors import RequestError
from gateway.exchange import Exchange
from gateway.links import open_links
from gateway.operator.answers import Parts
from gateway.operator.api import OperatorApi
from gateway.operator.parts import close_parts, open_parts
from gateway.overrides.capabilities import Capabilities
from gateway.passthrough import asked_provider, told_models, vendor_of, wire_of
from gateway.redact import redact
from gateway.serve.request_parser import Refusal
from gateway.service import Service, open_service
from gateway.store import durations
from gateway.store.records import Endpoint
from gateway.wire.answers import refuse
from gateway.wire.http import Head, Request, Responder
from gateway.wire.usage import Reading
from gateway.wire.workers import WorkerDirectory, WorkerIdentity

log = logging.getLogger(__name__)

ENDPOINTS = {
    b"/v1/messages": Endpoint.MESSAGES,
    b"/v1/messages/count_tokens": Endpoint.COUNT_TOKENS,
    b"/v1/chat/completions": Endpoint.CHAT,
}
"""The recorded paths of the client API."""

_NOT_POST = RequestError(405, "invalid_request_error", "only POST is served at this path")
_PROBED = frozenset({b"/health", b"/ready"})  # orchestrators show no token
_RANDOM_BITS = 76  # of the 128 of a request's name; the rest are microseconds since the epoch
_SWEEP_S = 1.0
_DAY_US = 86_400 * 1_000_000
_LOOK_UP_S = 2.0


class Application:
    """Everything behind one worker's connections."""

    def __init__(self, service: Service, operator: OperatorApi, parts: Parts) -> None:
        self._service = service
        self._operator = operator
        self._parts = parts
        self._exposed = not _is_loopback(parts.settings.server.host)
        self._names = own_names(parts.settings.server)
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    @classmethod
    async def open(
        cls, settings: Settings, identity: WorkerIdentity, directory: WorkerDirectory
    ) -> Application:
        """Open the ledger and the connection pools. Raises ConfigError and OSError."""
        if identity.slot == 0:  # once, not once a worker
            for warning in settings.warnings:
                log.warning("configuration: %s", warning)
        capabilities = Capabilities.parse(resources.capabilities(), settings.capabilities)
        links = open_links(
            settings.providers,
            os.environ,
            tokens=bool(settings.clients),
            credentials=settings.credentials,
            capabilities=capabilities,
        )
        for link in links.values():
            if link.problem is not None:
                log.warning("provider %s: %s", link.name, link.problem)
        parts = open_parts(settings, identity, directory, links, capabilities)
        return cls(open_service(settings, parts), OperatorApi(parts), parts)

    def handle(self, request: Request, responder: Responder) -> Awaitable[None]:
        """Return what answers one request, of a client or of the operator."""
        # A name, no secret: it need not come from the system's source of random bytes. It begins
        # with the time, so that the ledger's index of names grows at its end.
        at_us, chance = time.time_ns() // 1000, random.getrandbits(_RANDOM_BITS)
        request_id = "gw_" + (at_us << _RANDOM_BITS | chance).to_bytes(16, "big").hex()
        head = request.head
        path, target = head.path, head.target
        endpoint = ENDPOINTS.get(path)
        if endpoint is None and path[:7] == b"/v1/v1/":
            path, target = path[3:], target[3:]
            endpoint = ENDPOINTS.get(path)
            self._doubled()
        if endpoint is not None:
            service = self._service
            exchange = Exchange(
                service,
                open_account(endpoint, request, request_id, next(service.seq), at_us),
                responder,
            )
            return exchange.run(target) if head.method == b"POST" else exchange.refuse(_NOT_POST)
        if head.method == b"GET" and model_list.is_asked_for(path):
            return self._models(request, responder, target, request_id)
        if self._may_operate(request):
            return self._operator.handle(request, responder, request_id)
        return _refused(responder, _closed_to(request), request_id)

    def refused(self, refusal: Refusal, request_id: str) -> asyncio.Future[bool] | None:
        """Record what the framing refuses at a recorded path, as far as its head is known.

        Returns what to wait for before it is answered; None for nothing.
        """
        path, service = refusal.path, self._service
        endpoint = ENDPOINTS.get(path)
        if endpoint is None and path[:7] == b"/v1/v1/":
            endpoint = ENDPOINTS.get(path[3:])
        if endpoint is None:
            return None
        # Of an unread head nothing else may be relied on, and nobody has been let in.
        request = Request(Head(b"", refusal.target, ()), b"", refusal.received)
        at_us = time.time_ns() // 1000
        account = open_account(endpoint, request, request_id, next(service.seq), at_us)
        entry = account.record(
            service.books, refusal.status, Reading(), refusal.message, stream=False, partial=False
        )
        return service.ledger.in_time(service.ledger.record(entry))

    def _may_operate(self, request: Request) -> bool:
        """Return whether the caller may see what the gateway did: records, costs, models."""
        if not self._exposed or request.path in _PROBED:
            return True
        shown = list(presented(request.headers))
        password = basic_password(request.headers)
        # A browser sends it along whatever page made the request: it may look, and change nothing.
        if password is not None and request.method in (b"GET", b"HEAD"):
            shown.append(password)
        admin, name_of = self._parts.admin_token.encode(), self._service.clients.name_of
        return any(hmac.compare_digest(one, admin) or name_of(one) is not None for one in shown)

    async def _models(
        self, request: Request, responder: Responder, target: bytes, request_id: str
    ) -> None:
        service, settings, links = self._service, self._parts.settings, self._parts.links
        default = links[settings.routing.default_provider]
        try:
            user = service.clients.sender(request.head)
            vendor = vendor_of(request, authenticated=user is not None)
            link = asked_provider((default, *links.values()), vendor)
            if user is None and (link.takes_all or link.extra):  # else the client's own key pays
                refuse_rebound(request.head, self._names)
            admission = service.limiter.admit(user, aside=True)
            try:
                status, headers, body = await told_models(
                    settings.models, link, request, target, vendor
                )
            finally:
                admission.release()
        except RequestError as error:
            text = redact(str(error))
            told = RequestError(error.status, error.kind, text, headers=error.headers)
            refuse(responder, told, request_id, wire_of(request))
            return
        own = (
            (b"x-gateway-request-id", request_id.encode()),
            (b"content-length", b"%d" % len(body)),
        )
        responder.start(status, (*headers, *own), body)
        responder.end()

    async def longest_stream_s(self) -> float | None:
        """Return how long the longest stream of the last day took; None when that is not known."""
        since_us = time.time_ns() // 1000 - _DAY_US
        try:
            async with asyncio.timeout(_LOOK_UP_S):
                return await self._parts.ledger.read(
                    partial(durations.longest_stream_s, since_us=since_us)
                )
        except (apsw.Error, TimeoutError) as error:
            log.warning("the longest stream is not known: %r", error)
            return None

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
        await close_parts(self._parts)
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


async def _refused(responder: Responder, error: RequestError, request_id: str) -> None:
    refuse(responder, error, request_id)


def _closed_to(request: Request) -> RequestError:
    """Return the refusal of an operator's request; a browser is told to ask for a password."""
    page = request.path == b"/" and b"text/html" in (request.header(b"accept") or b"")
    headers = ((b"www-authenticate", b'Basic realm="gateway"'),) if page else ()
    text = "beyond loopback this needs a client token or the admin token"
    return RequestError(401, "authentication_error", text, headers=headers)


def _is_loopback(host: str) -> bool:
    return host == "localhost" or ipaddress.ip_address(host).is_loopback
