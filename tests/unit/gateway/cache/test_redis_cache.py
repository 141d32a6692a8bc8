"""Redis that is silent, slow, gone or something else costs a moment at most, and once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.cache import redis_cache
from gateway.cache.redis_cache import MAX_WRITES, RedisCache, decode, encode
from gateway.cache.response_cache import Kept, StoreHealth

KEY, OTHER = b"k" * 32, b"o" * 32
JSON = (b"content-type", b"application/json")
KEPT = Kept((JSON,), b"\x00\xff{}", stream=True)
NIL = b"$-1\r\n"


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (encode(KEY, KEPT), KEPT),
        (encode(KEY, Kept((), b"", stream=False)), Kept((), b"", stream=False)),
        (encode(OTHER, KEPT), None),
        (encode(KEY, Kept(((b"set-cookie", b"a"),), b"", stream=False)), None),
        (encode(KEY, Kept(((b"content-type", b"a\r\nb: c"),), b"", stream=False)), None),
        (encode(KEY, KEPT)[:-1], None),
        (b"", None),
        (b"hello", None),
    ],
)
def test_only_what_was_written_for_the_key_is_read(data: bytes, kept: Kept | None) -> None:
    assert decode(KEY, data) == kept


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is no fault: only who shall be late is."""
    monkeypatch.setattr(redis_cache, "_CONNECT_S", 60)


class Server:
    """Accepts, and answers every command with `answer`; nothing when it is empty."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.commands: list[bytes] = []
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        while command := await reader.read(65536):
            self.commands.append(command)
            writer.write(self.answer)
        writer.close()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[Server]:
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        server.close()


def with_cache(
    answer: bytes,
    scenario: Callable[[RedisCache, Server], Awaitable[None]],
    user: str = "",
    wait_s: float = 60,
) -> None:
    async def main() -> None:
        async with serving(answer) as server:
            cache = RedisCache(f"redis://{user}127.0.0.1:{server.port}", 10, wait_s)
            try:
                async with asyncio.timeout(60):
                    await scenario(cache, server)
            finally:
                await cache.close()

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # the state is another task's: no event
        await asyncio.sleep(0.01)


def test_nothing_found_is_an_answer() -> None:
    async def scenario(cache: RedisCache, _: Server) -> None:
        await until(lambda: cache.ready)
        assert await cache.get(KEY) is None
        assert cache.health == StoreHealth(True, 0, None)

    with_cache(NIL, scenario)


def test_redis_that_falls_silent_is_not_asked_until_it_answers_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(cache: RedisCache, server: Server) -> None:
        await until(lambda: cache.ready)
        server.answer = b""
        assert await asyncio.gather(*(cache.get(KEY) for _ in range(3))) == [None] * 3
        assert cache.health == StoreHealth(False, 3, "no answer within 50 ms")
        cache.put(KEY, KEPT)
        assert not any(b"SET" in command for command in server.commands)
        server.answer = NIL
        await until(lambda: cache.ready)
        assert cache.health == StoreHealth(True, 3, None)

    with caplog.at_level(logging.INFO):
        with_cache(NIL, scenario, wait_s=0.05)
    assert caplog.text.count("no answer within 50 ms") == 1, "once, not once a request"
    assert caplog.text.count("Redis answers") == 2


def test_server_that_never_answers_is_never_asked_by_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_cache, "_CONNECT_S", 1)

    async def scenario(cache: RedisCache, server: Server) -> None:
        await until(lambda: bool(server.commands))
        assert (cache.ready, cache.health.error) == (False, "not asked yet")
        await until(lambda: cache.health.failures > 0)
        assert (cache.ready, cache.health.error) == (False, "no answer within 1 s")

    with_cache(b"", scenario)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"$x\r\n",
        b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        b"-NOPERM this user has no permissions to run the 'get' command\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"*1\r\n$-1\r\n",
    ],
)
def test_server_that_answers_something_else_is_not_used(
    answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(cache: RedisCache, _: Server) -> None:
        await until(lambda: cache.health.failures > 0)
        assert not cache.ready
        assert await cache.get(KEY) is None

    with_cache(answer, scenario, user=":top-secret@")
    assert "requests go on without" in caplog.text
    assert "top-secret" not in caplog.text


def test_value_of_somebody_else_is_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(cache: RedisCache, server: Server) -> None:
        await until(lambda: cache.ready)
        server.answer = b"$5\r\nhello\r\n"
        assert await cache.get(KEY) is None
        assert cache.ready

    with_cache(NIL, scenario)
    assert "not an answer this gateway has written" in caplog.text


def test_refused_write_leaves_what_can_be_read() -> None:
    async def scenario(cache: RedisCache, server: Server) -> None:
        await until(lambda: cache.ready)
        server.answer = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
        cache.put(KEY, KEPT)
        await until(lambda: cache.health.failures == 1)
        assert cache.ready
        assert "maxmemory" in str(cache.health.error)
        server.answer = b"+OK\r\n"
        cache.put(KEY, KEPT)
        await until(lambda: cache.health.error is None)

    with_cache(NIL, scenario)


def test_writes_on_their_way_are_bounded() -> None:
    async def scenario(cache: RedisCache, server: Server) -> None:
        await until(lambda: cache.ready)
        server.answer = b"+OK\r\n"
        for _ in range(MAX_WRITES + 10):
            cache.put(KEY, KEPT)
        await cache.close()
        assert b"".join(server.commands).count(b"SET") == MAX_WRITES

    with_cache(NIL, scenario)


@pytest.mark.parametrize(
    "url", ["http://h", "redis://h:99999", "redis://h/0?color=blue", "redis://h?db=x", "h:6379"]
)
def test_unusable_url_is_refused(url: str) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match=r"URL|[Pp]ort"):
            RedisCache(url, 10, 1)

    asyncio.run(main())
