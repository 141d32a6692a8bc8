"""The response cache as an exchange uses it: look up, copy an answer on its way, keep it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.cache.response_cache import (
    Asked,
    Kept,
    ResponseCache,
    StoreHealth,
    cache_key,
    kept_headers,
)
from gateway.config.settings import CacheSettings, ProviderSettings
from gateway.links import Link
from gateway.metrics.meters import Metrics
from gateway.wire.content_coding import PLAIN_CODINGS
from gateway.wire.http import Header, Request, Responder, all_values
from gateway.wire.passing import PassingResponder

_VERSIONS = (b"anthropic-version", b"anthropic-beta")
_CREDENTIALS = (b"authorization", b"x-api-key")


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the cache said about one request.

    Attributes:
        key: Under which its answer is to be kept.
        kept: The answer; None after a miss.
    """

    key: bytes
    kept: Kept | None


class Store(Protocol):
    """Where answers are kept. Nothing here raises, or waits for longer than a moment."""

    @property
    def ready(self) -> bool:
        """Whether it is worth asking."""

    @property
    def health(self) -> StoreHealth | None:
        """How it is doing; None for the memory of this process."""

    async def get(self, key: bytes) -> Kept | None:
        """Return an answer, or None."""

    def put(self, key: bytes, kept: Kept) -> None:
        """Keep an answer, if that is possible."""

    async def close(self) -> None:
        """Finish what is on its way."""


class AnswerCache:
    """The response cache as one worker uses it.

    Attributes:
        enabled: Whether to look at all.
    """

    def __init__(self, settings: CacheSettings, metrics: Metrics, store: Store) -> None:
        self.enabled = settings.enabled
        self._settings, self._metrics, self._store = settings, metrics, store

    @property
    def health(self) -> StoreHealth | None:
        """How a store shared with other workers is doing; None when each has its own memory."""
        return self._store.health

    async def look_up(self, body: bytes, asked: Asked) -> Lookup | None:
        """Return what is known; None when nobody can say, or the answer may not be kept."""
        if not self._store.ready:
            return None
        key = cache_key(body, asked, any_temperature=self._settings.any_temperature)
        if key is None:
            return None
        kept = await self._store.get(key)
        self._metrics.cache_asked(hit=kept is not None)
        return Lookup(key, kept)

    def copy(self, responder: Responder) -> Copy:
        """Return a responder that passes everything on, and copies what may be worth keeping."""
        return Copy(responder, self._settings.max_answer_bytes)

    def keep(self, lookup: Lookup, copy: Copy) -> None:
        """Keep a complete answer with status 200, unless it was too long."""
        kept = copy.kept
        if kept is not None:
            self._store.put(lookup.key, kept)

    async def close(self) -> None:
        """Keep what is to be kept yet; nothing can be looked up any more."""
        await self._store.close()


def open_answer_cache(
    settings: CacheSettings, metrics: Metrics, environ: Mapping[str, str]
) -> AnswerCache:
    """Return the response cache. No connection is waited for.

    Raises LookupError when the reference to Redis leads nowhere, or to no URL.
    """
    url = settings.resolve_redis_url(environ) if settings.enabled else None
    if url is None:
        return AnswerCache(settings, metrics, Memory(settings, metrics))
    # An extra: only there where it is configured.
    from gateway.cache.redis_cache import RedisCache  # noqa: PLC0415

    try:
        store = RedisCache(url, settings.ttl_s, settings.redis_wait_s)
    except ValueError as error:
        # What is wrong with it may quote its password.
        raise LookupError(f"{settings.redis_url} is not a URL of Redis") from error
    return AnswerCache(settings, metrics, store)


class Memory:
    """Answers in the memory of this worker."""

    ready = True
    health = None

    def __init__(self, settings: CacheSettings, metrics: Metrics) -> None:
        self._answers = ResponseCache(settings.max_bytes, settings.ttl_s, time.monotonic)
        self._metrics = metrics

    async def get(self, key: bytes) -> Kept | None:
        """Return an answer, or None; at once."""
        return self._answers.get(key)

    def put(self, key: bytes, kept: Kept) -> None:
        """Keep an answer, in place of older ones where there is no room."""
        self._answers.put(key, kept)
        self._metrics.cache_holds(len(self._answers), self._answers.size_bytes)

    async def close(self) -> None:
        """Do nothing: the memory ends with the process."""


class Copy(PassingResponder):
    """A responder before the real one."""

    __slots__ = ("_headers", "_left", "_pieces")

    def __init__(self, responder: Responder, max_bytes: int) -> None:
        super().__init__(responder)
        self._left = max_bytes
        self._headers: tuple[Header, ...] = ()
        self._pieces: list[bytes] = []

    @property
    def kept(self) -> Kept | None:
        """Everything that passed; None when it was more than the bound, or is in an encoding.

        An encoding is not asked for, and who asks next may not know it.
        """
        if self._left < 0 or not PLAIN_CODINGS.issuperset(_codings(self._headers)):
            return None
        stream = any(
            name == b"content-type" and value.lower().startswith(b"text/event-stream")
            for name, value in self._headers
        )
        return Kept(kept_headers(self._headers), b"".join(self._pieces), stream)

    def reply(
        self,
        status: int,
        body: bytes,
        content_type: bytes = b"application/json",
        headers: tuple[Header, ...] = (),
    ) -> None:
        """Answer in one piece; such answers are the gateway's own and not copied."""
        self._left = -1
        super().reply(status, body, content_type, headers)

    def start(
        self, status: int, headers: tuple[Header, ...], first: bytes = b"", lines: bytes = b""
    ) -> None:
        """Write the head and a first piece."""
        self._headers = headers
        self._add(first)
        super().start(status, headers, first, lines)

    def write(self, data: bytes) -> None:
        """Send a piece."""
        self._add(data)
        super().write(data)

    def abort(self) -> None:
        """Cut the connection."""
        self._left = -1
        super().abort()

    def _add(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            self._pieces.append(data)
        else:
            self._pieces.clear()


def asked(request: Request, link: Link, model: str, target: bytes, *, authenticated: bool) -> Asked:
    """Return what beside the body decides an answer.

    Clients share answers that are paid with one key of the gateway's, or with none.

    Args:
        authenticated: Whether the client's credential is a token of the gateway's.
    """
    if link.key is not None:
        credentials: tuple[bytes, ...] = (link.key.encode(),)
    else:
        credentials = () if authenticated else _values(request, _CREDENTIALS)
    payer = hashlib.sha256(b"\0".join(credentials)).digest()
    head = request.head
    # A header that stands twice says as much as one with both values.
    versions = tuple(b",".join(all_values(head.headers, head.first, name)) for name in _VERSIONS)
    return Asked(_provider(link.settings), model, target, payer, versions)


def replay_headers(kept: Kept) -> tuple[Header, ...]:
    """Return the headers of a kept answer; a stream has no length, as when it came."""
    length = () if kept.stream else ((b"content-length", b"%d" % len(kept.body)),)
    return (*kept.headers, (b"x-gateway-cache", b"hit"), *length)


def _provider(settings: ProviderSettings) -> tuple[str, ...]:
    extra = (text for header in settings.headers for text in header)
    named = (settings.deployment or "", settings.api_version or "")
    return (settings.name, settings.type, settings.base_url, settings.api, *named, *extra)


def _codings(headers: tuple[Header, ...]) -> Iterator[bytes]:
    return (value for name, value in headers if name == b"content-encoding")


def _values(request: Request, names: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(request.header(name) or b"" for name in names)
