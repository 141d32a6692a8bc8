"""The response cache as an exchange uses it: look up, copy an answer on its way, keep it."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from gateway.cache import Asked, Kept, ResponseCache, cache_key, kept_headers
from gateway.metrics import Metrics
from gateway.settings import CacheSettings
from gateway.wire.http import Header, ReadSide, Request, Responder

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


class AnswerCache:
    """One worker's response cache. It asks nobody and never waits.

    Attributes:
        enabled: Whether to look at all.
    """

    def __init__(self, settings: CacheSettings, metrics: Metrics) -> None:
        self.enabled = settings.enabled
        self._settings, self._metrics = settings, metrics
        self._cache = ResponseCache(settings.max_bytes, settings.ttl_s, time.monotonic)

    def look_up(self, body: bytes, asked: Asked) -> Lookup | None:
        """Return what is known; None when the request's answer may not be kept."""
        key = cache_key(body, asked, any_temperature=self._settings.any_temperature)
        if key is None:
            return None
        kept = self._cache.get(key)
        self._metrics.cache_asked(hit=kept is not None)
        return Lookup(key, kept)

    def copy(self, responder: Responder) -> Copy:
        """Return a responder that passes everything on, and copies what may be worth keeping."""
        return Copy(responder, self._settings.max_bytes)

    def keep(self, lookup: Lookup, copy: Copy) -> None:
        """Keep a complete answer with status 200, unless it was too long."""
        if copy.kept is None:
            return
        self._cache.put(lookup.key, copy.kept)
        self._metrics.cache_holds(len(self._cache), self._cache.size_bytes)


class Copy:
    """A responder before the real one."""

    __slots__ = ("_headers", "_left", "_pieces", "_responder")

    def __init__(self, responder: Responder, max_bytes: int) -> None:
        self._responder, self._left = responder, max_bytes
        self._headers: tuple[Header, ...] = ()
        self._pieces: list[bytes] = []

    @property
    def kept(self) -> Kept | None:
        """Everything that passed; None when it was more than the bound."""
        if self._left < 0:
            return None
        stream = any(
            name == b"content-type" and value.lower().startswith(b"text/event-stream")
            for name, value in self._headers
        )
        return Kept(kept_headers(self._headers), b"".join(self._pieces), stream)

    @property
    def started(self) -> bool:
        """Whether the head has been written."""
        return self._responder.started

    def reply(
        self,
        status: int,
        body: bytes,
        content_type: bytes = b"application/json",
        headers: tuple[Header, ...] = (),
    ) -> None:
        """Answer in one piece; such answers are the gateway's own and not copied."""
        self._left = -1
        self._responder.reply(status, body, content_type, headers)

    def start(self, status: int, headers: tuple[Header, ...], first: bytes = b"") -> None:
        """Write the head and a first piece."""
        self._headers = headers
        self._add(first)
        self._responder.start(status, headers, first)

    def write(self, data: bytes) -> None:
        """Send a piece."""
        self._add(data)
        self._responder.write(data)

    def end(self) -> None:
        """Finish the body cleanly."""
        self._responder.end()

    def abort(self) -> None:
        """Cut the connection."""
        self._left = -1
        self._responder.abort()

    def throttle(self, source: ReadSide | None) -> None:
        """Pause and resume this source with the client's reading; None unlinks it."""
        self._responder.throttle(source)

    def _add(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            self._pieces.append(data)
        else:
            self._pieces.clear()


def asked(request: Request, provider: str, model: str, target: bytes, *, shared: bool) -> Asked:
    """Return what beside the body decides an answer.

    Args:
        shared: Whether the gateway's own key pays, so that all its clients share answers.
    """
    credentials = () if shared else _values(request, _CREDENTIALS)
    payer = hashlib.sha256(b"\0".join(credentials)).digest()
    return Asked(provider, model, target, payer, _values(request, _VERSIONS))


def replay_headers(kept: Kept) -> tuple[Header, ...]:
    """Return the headers of a kept answer; a stream has no length, as when it came."""
    length = () if kept.stream else ((b"content-length", b"%d" % len(kept.body)),)
    return (*kept.headers, (b"x-gateway-cache", b"hit"), *length)


def _values(request: Request, names: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(request.header(name) or b"" for name in names)
