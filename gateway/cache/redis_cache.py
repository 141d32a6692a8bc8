"""Keep answers in Redis or Valkey, where all workers of all gateways find them; opens sockets.

Redis is never needed, and no request waits for it for longer than a moment. The first failure ends
the asking; a task of this module, and not the next request, finds out when Redis is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from gateway.cache.response_cache import Kept, StoreHealth, kept_headers
from gateway.redact import redact
from gateway.wire.http import Header

log = logging.getLogger(__name__)

PREFIX = "cco-gateway:answer:1:"
"""Begins every key; the number is that of the format of the values."""

MAX_WRITES = 64
"""Answers on their way to Redis; more are not kept."""

_CONNECTIONS = 4
_CONNECT_S = 1.0
_RETRY_S, _MAX_RETRY_S = 0.5, 30.0
_SILENT = f"no answer within {_CONNECT_S:g} s"
_BREAKS = (b"\r", b"\n", b"\0")
# Beside its own errors: what the client makes of a server that speaks something else.
_FAILURES = (RedisError, OSError, TimeoutError, EOFError, ValueError)


class RedisCache:
    """Answers by the digest of their request; Redis forgets them when they are old."""

    def __init__(self, url: str, ttl_s: float, wait_s: float) -> None:
        """Begin to connect; nobody waits for that.

        Args:
            url: `redis://`, `rediss://` or `unix://`, with its password.
            ttl_s: Age at which an answer is forgotten, seconds.
            wait_s: Longest time a request waits for Redis, seconds.

        Raises ValueError for a URL that cannot be used.
        """
        self._client = _client(url)
        self._ttl_ms = max(1, round(ttl_s * 1000))
        self._wait_s, self._late = wait_s, f"no answer within {wait_s * 1000:g} ms"
        self._up = False
        self._failures = 0
        self._error: str | None = "not asked yet"
        self._loop = asyncio.get_running_loop()
        self._answered_at = float("-inf")
        self._writes: set[asyncio.Task[None]] = set()
        self._connecting = self._loop.create_task(self._connect(0))

    @property
    def ready(self) -> bool:
        """Whether it is worth asking."""
        return self._up

    @property
    def health(self) -> StoreHealth:
        """How Redis is doing, as this worker sees it."""
        return StoreHealth(self._up, self._failures, self._error)

    async def get(self, key: bytes) -> Kept | None:
        """Return the answer; None when there is none, or Redis does not say so in time."""
        try:
            async with asyncio.timeout(self._wait_s):
                data = await self._client.get(_name(key))
        except TimeoutError:
            self._overdue()
            return None
        except _FAILURES as error:
            self._lost(_reason(error))
            return None
        self._answered_at = self._loop.time()
        kept = decode(key, data) if isinstance(data, bytes) else None
        if data is not None and kept is None:
            self._complain("a value is not an answer this gateway has written")
        return kept

    def put(self, key: bytes, kept: Kept) -> None:
        """Keep an answer, without waiting for it; not while much is on its way already."""
        if not self._up or len(self._writes) >= MAX_WRITES:
            return
        task = self._loop.create_task(self._put(key, kept))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def close(self) -> None:
        """Let what is on its way arrive, and close the connections."""
        if self._writes:
            await asyncio.wait(self._writes)  # each has its own timeout
        self._connecting.cancel()
        await asyncio.wait({self._connecting})
        with contextlib.suppress(*_FAILURES):
            async with asyncio.timeout(_CONNECT_S):
                await self._client.aclose()

    async def _put(self, key: bytes, kept: Kept) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._client.set(_name(key), encode(key, kept), px=self._ttl_ms)
        except ResponseError as error:  # full, or a replica: what it has can still be read
            self._complain(_reason(error))
        except _FAILURES as error:
            self._lost(_reason(error))
        else:
            self._error = None

    def _overdue(self) -> None:
        """Count an answer that did not come in time.

        In a burst the requests wait for each other, here; only when nobody has been answered for a
        while is it Redis that is slow.
        """
        if self._loop.time() - self._answered_at > self._wait_s / 2:
            self._lost(self._late)
        else:
            self._complain(self._late)

    def _lost(self, reason: str) -> None:
        """Ask no more until Redis is back."""
        self._complain(reason)
        if self._up:
            self._up = False
            self._connecting = self._loop.create_task(self._connect(_RETRY_S))

    async def _connect(self, wait_s: float) -> None:
        """Try until Redis answers on all connections, ever more rarely."""
        while not self._up:
            await asyncio.sleep(wait_s)
            wait_s = min(_MAX_RETRY_S, max(_RETRY_S, 2 * wait_s))
            try:
                async with asyncio.timeout(_CONNECT_S):
                    await self._try_all()
            except _FAILURES as error:
                self._complain(_reason(error))
            else:
                self._up, self._error = True, None
                log.info("response cache: Redis answers")

    async def _try_all(self) -> None:
        """Read over each connection: to read is the right that is needed, a ping proves none."""
        tries = (self._client.get(PREFIX) for _ in range(_CONNECTIONS))
        for found in await asyncio.gather(*tries, return_exceptions=True):
            if isinstance(found, BaseException):
                raise found

    def _complain(self, reason: str) -> None:
        """Count a failure, and log it when it is another one than the last."""
        self._failures += 1
        if reason != self._error:
            self._error = reason
            log.warning("response cache: Redis fails, requests go on without: %s", reason)


class _Value(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What stands in Redis.

    Attributes:
        key: Of the answer, again: what comes back is compared with what was asked for.
    """

    key: bytes
    stream: bool
    headers: tuple[Header, ...]
    body: bytes


_encode_value = msgspec.msgpack.Encoder().encode
_decode_value = msgspec.msgpack.Decoder(_Value).decode


def encode(key: bytes, kept: Kept) -> bytes:
    """Return what is stored of an answer."""
    return _encode_value(_Value(key, kept.stream, kept.headers, kept.body))


def decode(key: bytes, data: bytes) -> Kept | None:
    """Return a stored answer; None for anything but what `encode` makes of this key."""
    try:
        value = _decode_value(data)
    except msgspec.DecodeError:
        return None
    broken = any(mark in text for _, text in value.headers for mark in _BREAKS)
    if value.key != key or broken or kept_headers(value.headers) != value.headers:
        return None
    return Kept(value.headers, value.body, value.stream)


def _client(url: str) -> Redis:
    """Return a client that never retries and speaks the oldest protocol all servers know."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=_CONNECT_S,
        socket_timeout=None,  # the whole exchange has its time limit here
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
    )
    try:
        pool.make_connection()  # type: ignore[no-untyped-call]  # the client's own, without types
    except TypeError as error:
        raise ValueError("the query of the URL holds something unknown") from error
    return Redis.from_pool(pool)


def _name(key: bytes) -> str:
    return PREFIX + key.hex()


def _reason(error: Exception) -> str:
    return _SILENT if isinstance(error, TimeoutError) else redact(str(error) or repr(error))
