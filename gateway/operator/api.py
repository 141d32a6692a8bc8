"""The operator API's door: who may ask for what; the dashboard and the live stream behind it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import apsw

from gateway.access.pages import own_names, require_local
from gateway.errors import RequestError
from gateway.operator.admin import require_admin
from gateway.operator.answers import Answer, OperatorAnswers, Parts
from gateway.operator.live import LiveStream
from gateway.operator.what_if import what_if
from gateway.wire.answers import refuse, reply_error
from gateway.wire.http import Header, Request, Responder

log = logging.getLogger(__name__)

_OPEN_PATHS = frozenset({b"/health", b"/ready"})
"""Answered whatever the Host header says: probes of orchestrators call by any name."""

_PAGE = b"/"
_STREAM = b"/api/stream"
_PAGE_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache"),
)
_FRESH: Header = (b"cache-control", b"no-store")

Route = Callable[[Request], Awaitable[Answer]]


class OperatorApi:
    """Answers the operator's requests.

    Attributes:
        gets: What is read, by path.
        posts: What is changed, by path; each needs the admin token.
    """

    def __init__(self, parts: Parts) -> None:
        """Read the dashboard page. Raises OSError when it is not installed."""
        self._parts = parts
        self._names = own_names(parts.settings.server)
        self._page = (Path(__file__).parents[1] / "dashboard" / "index.html").read_bytes()
        self._live = LiveStream(parts.ledger, enabled=parts.settings.overrides.enabled)
        self._answers = answers = OperatorAnswers(parts)
        self.gets: Mapping[bytes, Route] = {
            b"/health": answers.health,
            b"/ready": answers.ready,
            b"/gateway/workers": answers.workers,
            b"/gateway/health": answers.providers_health,
            b"/gateway/metrics": answers.metrics,
            b"/gateway/providers": answers.providers,
            b"/gateway/audit": answers.audit,
            b"/api/overrides/stats": answers.overrides,
            b"/api/cache/stats": answers.cache,
            b"/api/machine/stats": answers.machine,
            b"/api/project/stats": answers.project,
            b"/metrics": answers.prometheus,
            b"/openapi.json": answers.openapi,
        }
        self.posts: Mapping[bytes, Route] = {
            b"/gateway/metrics/reset": answers.reset_metrics,
            b"/api/shutdown": answers.shut_down,
            b"/gateway/what-if": partial(what_if, parts),
        }

    async def handle(self, request: Request, responder: Responder, request_id: str) -> None:
        """Answer any request that is not part of the client API."""
        own: tuple[Header, ...] = ((b"x-gateway-request-id", request_id.encode()),)
        try:
            await self._handle(request, responder, own)
        except RequestError as error:
            refuse(responder, error, request_id)
        except apsw.Error as error:
            log.warning("the ledger cannot be read: %s", error)
            reply_error(responder, 503, "api_error", "the ledger cannot be read", request_id)

    def begin_draining(self) -> None:
        """Say so from now on, and end the live streams."""
        self._answers.draining = True
        self._live.close()

    async def close(self) -> None:
        """Return once nothing reads the ledger any more."""
        await self._live.stopped()

    async def _handle(
        self, request: Request, responder: Responder, own: tuple[Header, ...]
    ) -> None:
        path = request.path
        if path not in _OPEN_PATHS:
            require_local(request.head, self._names)
        if path == _PAGE and request.method in (b"GET", b"HEAD"):
            html = b"text/html; charset=utf-8"
            responder.reply(200, self._page, html, headers=_PAGE_HEADERS + own)
        elif path == _STREAM and request.method == b"GET":
            if self._live.full:
                raise RequestError(503, "overloaded_error", "no further live stream is served")
            await self._live.serve(responder, own)
        else:
            answer = await self._route(request)(request)
            headers = (_FRESH, *own)
            responder.reply(answer.status, answer.body, answer.content_type, headers=headers)

    def _route(self, request: Request) -> Route:
        """Return who answers. Raises RequestError (401, 404, 405)."""
        path, method = request.path, request.method
        route = self.gets.get(path)
        if route is not None and method in (b"GET", b"HEAD"):
            return route
        change = self.posts.get(path)
        if change is not None and method == b"POST":
            require_admin(request, self._parts.admin_token)
            return change
        if route is None and change is None and path not in (_PAGE, _STREAM):
            raise RequestError(404, "not_found_error", "there is nothing at this path")
        served = "POST" if change is not None else "GET"
        raise RequestError(405, "invalid_request_error", f"only {served} is served at this path")
