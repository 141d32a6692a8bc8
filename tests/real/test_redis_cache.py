"""A real Redis behind two gateways: shared answers, and requests that never notice its troubles."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from gateway.cache.redis_cache import PREFIX

DEADLINE_S = 90.0
MODEL = "claude-sonnet-4-5-20250929"
PASSWORD = "right-pass-word"
Json = Any  # a parsed document

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def until(condition: Callable[[], Any]) -> Any:  # Any: whatever truth the condition finds
    """Return the condition's first true value; other processes offer nothing to wait on."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)
    return value


class RedisServer:
    """A server on a socket of its own, without a file; its password is set from the start."""

    def __init__(self, folder: Path) -> None:
        assert shutil.which("redis-server"), "redis-server is not installed; .ci/run installs it"
        self._socket = folder / "redis.sock"
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", "0", "--unixsocket", str(self._socket)]
        command += ["--save", "", "--appendonly", "no", "--requirepass", PASSWORD]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(self._answers)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def url(self, password: str = PASSWORD) -> str:
        return f"unix://{self._socket}?password={password}"

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self._socket), password=PASSWORD)

    def _answers(self) -> bool:
        with closing(self.client()) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    hit: bool
    body: bytes

    def json(self) -> Json:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway; each call is a new connection, so that any worker may answer."""

    home: Path
    port: int

    def call(self, method: str, path: str, body: Json = None) -> Reply:
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        ) as connection:
            headers = {"x-api-key": "demo-key", "connection": "close"}
            connection.request(method, path, json.dumps(body), headers)
            answer = connection.getresponse()
            return Reply(answer.status, "x-gateway-cache" in answer.headers, answer.read())

    def ask(self, text: str, **change: Json) -> Reply:
        messages = [{"role": "user", "content": text}]
        body = {"model": MODEL, "max_tokens": 50, "temperature": 0, "messages": messages} | change
        reply = self.call("POST", "/v1/messages", body)
        assert reply.status == 200, reply.body
        return reply

    def redis(self) -> Json:
        """Return what one of the workers says about Redis."""
        return self.call("GET", "/api/cache/stats").json()["redis"]

    def wait_until_up(self) -> None:
        """Wait until ten workers in a row, whichever they are, say that Redis is."""
        until(lambda: all(self.redis()["up"] for _ in range(10)))

    def ask_until_down(self) -> None:
        """Ask until none of ten workers in a row takes Redis for up: each has to notice it."""
        until(lambda: self.ask("hello").body and not any(self.redis()["up"] for _ in range(10)))

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()


@contextmanager
def process(argv: list[str], log: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        command = [sys.executable, "-m", "gateway", *argv]
        started = subprocess.Popen(command, stderr=file, env=os.environ | environ)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(DEADLINE_S)
        finally:
            started.kill()
            started.wait()


@pytest.fixture(scope="module")
def upstream_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("upstream")
    ready = folder / "ready.json"
    with process(["demo-upstream", "--ready-file", str(ready)], folder / "log"):
        until(ready.exists)
        yield f"http://127.0.0.1:{json.loads(ready.read_text())['port']}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    yield made
    made.process.send_signal(signal.SIGCONT)
    made.kill()


@contextmanager
def running(
    home: Path,
    upstream_url: str,
    redis_url: str,
    *,
    workers: int = 2,
    ref: str = "env:REDIS",
    wait_s: float = DEADLINE_S,
) -> Iterator[Gateway]:
    (home / "config").mkdir(parents=True)
    provider = {"providerType": "anthropic", "baseUrl": upstream_url}
    document = json.dumps({"llmGateway": {"providers": {"anthropic": provider}}})
    (home / "config" / "orchestra-config.json").write_text(document)
    (home / "config" / "gateway.toml").write_text(
        f'[cache]\nenabled = true\nttl_s = 600\nmax_answer_bytes = 4000\nredis_url = "{ref}"\n'
        f"redis_wait_s = {wait_s}\n"
        "[server]\nlinger_s = 0.1\n"
    )
    argv = ["run", "--home", str(home), "--port", "0", "--workers", str(workers)]
    log = home / "log"
    with process(argv, log, REDIS=redis_url) as started:
        until(lambda: "Override rules loaded" in log.read_text() or started.poll() is not None)
        assert started.poll() is None, log.read_text()
        yield Gateway(home, json.loads((home / "daemon.pid").read_text())["gateway_port"])


@pytest.fixture
def wait_s() -> float:
    """How long a request waits for Redis: a slow machine is no fault."""
    return DEADLINE_S


@pytest.fixture
def gateways(
    tmp_path: Path, upstream_url: str, server: RedisServer, wait_s: float
) -> Iterator[tuple[Gateway, Gateway]]:
    with ExitStack() as stack:
        one, two = (
            stack.enter_context(running(tmp_path / name, upstream_url, server.url(), wait_s=wait_s))
            for name in ("one", "two")
        )
        one.wait_until_up()
        two.wait_until_up()
        yield one, two


def first_answer(gateway: Gateway, server: RedisServer, text: str, **change: Json) -> Reply:
    """Return the answer that an empty Redis has kept.

    Who asks before it has would keep an answer of its own.
    """
    first = gateway.ask(text, **change)
    assert not first.hit
    with closing(server.client()) as client:
        until(client.keys)
    return first


def kept(gateway: Gateway, text: str, **change: Json) -> Reply:
    """Ask until the answer comes from the cache; nobody waits for it to be kept."""
    found: Reply = until(lambda: (reply := gateway.ask(text, **change)).hit and reply)
    return found


@pytest.mark.parametrize("stream", [False, True])
def test_gateways_share_answers_byte_for_byte(
    gateways: tuple[Gateway, Gateway], server: RedisServer, stream: bool
) -> None:
    one, two = gateways
    first = first_answer(one, server, "hello", stream=stream)
    assert kept(two, "hello", stream=stream).body == first.body
    assert all(gateway.ask("hello", stream=stream).hit for gateway in (one, two) * 5)
    with closing(server.client()) as client:
        (key,) = client.keys()
        value = client.get(key)
        assert isinstance(key, bytes)
        assert isinstance(value, bytes)
        assert key.startswith(PREFIX.encode())
        assert 0 < client.pttl(key) <= 600_000
        assert b"demo-key" not in key + value
    stats = two.call("GET", "/api/cache/stats").json()
    assert (stats["redis"]["up"], stats["redis"]["error"]) == (True, None)
    assert (stats["cached_items"], stats["memory_usage_bytes"]) == (None, None)
    assert stats["cache_hits"] >= 6


def test_long_answers_are_not_kept(gateways: tuple[Gateway, Gateway], server: RedisServer) -> None:
    one, _ = gateways
    long = one.ask("a long answer", max_tokens=500, stream=True)
    assert len(long.body) > 4000
    short = first_answer(one, server, "short")
    assert kept(one, "short").body == short.body
    with closing(server.client()) as client:
        assert len(client.keys()) == 1


def test_killed_redis_fails_no_request_and_is_used_again_when_back(
    gateways: tuple[Gateway, Gateway], server: RedisServer
) -> None:
    one, two = gateways
    before = one.ask("hello")
    kept(two, "hello")
    server.kill()
    assert not any(gateway.ask("hello").hit for gateway in gateways * 5)
    for gateway in gateways:
        gateway.ask_until_down()
        assert "redis.sock" in gateway.redis()["error"]
        assert gateway.redis()["failures"] >= 1
        assert gateway.log.count("requests go on without") <= 4, "not once a request"
    server.start()
    for gateway in gateways:
        gateway.wait_until_up()
    assert not one.ask("hello").hit, "Redis has forgotten everything"
    after = kept(two, "hello")
    assert (after.status, len(after.body)) == (200, len(before.body))


@pytest.mark.parametrize("wait_s", [0.05])
def test_stopped_redis_fails_no_request(
    gateways: tuple[Gateway, Gateway], server: RedisServer
) -> None:
    one, two = gateways
    one.ask("hello")
    kept(two, "hello")
    server.process.send_signal(signal.SIGSTOP)
    assert not any(gateway.ask("hello").hit for gateway in gateways * 5)
    for gateway in gateways:
        gateway.ask_until_down()
        assert "no answer within" in gateway.redis()["error"]
    server.process.send_signal(signal.SIGCONT)
    for gateway in gateways:
        gateway.wait_until_up()
    assert kept(one, "hello").status == 200


def test_full_redis_still_gives_what_it_has(
    gateways: tuple[Gateway, Gateway], server: RedisServer
) -> None:
    one, two = gateways
    one.ask("hello")
    kept(two, "hello")
    with closing(server.client()) as client:
        client.config_set("maxmemory", "1mb")
    assert not two.ask("another").hit
    assert until(lambda: one.redis()["failures"] + two.redis()["failures"])
    assert all(gateway.ask("hello").hit for gateway in gateways * 5)
    assert (one.redis()["up"], two.redis()["up"]) == (True, True)


def test_wrong_password_is_said_and_not_told(
    tmp_path: Path, upstream_url: str, server: RedisServer
) -> None:
    wrong = server.url("wrong-pass-word")
    with running(tmp_path / "one", upstream_url, wrong, workers=1) as gateway:
        until(lambda: gateway.redis()["failures"])
        assert (gateway.ask("hello").hit, gateway.ask("hello").hit) == (False, False)
        found = gateway.redis()
        assert (found["up"], "password" in found["error"]) == (False, True)
        assert "requests go on without: invalid username-password pair" in gateway.log
        assert "wrong-pass-word" not in gateway.log + json.dumps(found)


def test_url_is_read_from_a_file(tmp_path: Path, upstream_url: str, server: RedisServer) -> None:
    home = tmp_path / "one"
    home.mkdir()
    (home / "redis-url").write_text(server.url() + "\n")
    with running(home, upstream_url, "", workers=1, ref="file:redis-url") as gateway:
        gateway.wait_until_up()
        gateway.ask("hello")
        assert kept(gateway, "hello").status == 200
        assert PASSWORD not in gateway.log
