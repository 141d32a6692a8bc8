"""What is copied of an answer on its way, and what decides whether two requests share one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.cache.answers import AnswerCache, Copy, asked, replay_headers
from gateway.cache.response_cache import Asked, Kept, StoreHealth
from gateway.config.settings import CacheSettings, ProviderSettings
from gateway.links import Link, open_links
from gateway.metrics.counters import Counters
from gateway.metrics.meters import Known, Metrics
from gateway.wire.http import Head, Header, ReadSide, Request

JSON: Header = (b"content-type", b"application/json")
SSE: Header = (b"content-type", b"text/event-stream; charset=utf-8")


@dataclass
class Sent:
    """A responder that notes what it was told."""

    calls: list[tuple[object, ...]] = field(default_factory=list)

    @property
    def started(self) -> bool:
        return bool(self.calls)

    def reply(
        self,
        status: int,
        body: bytes,
        content_type: bytes = b"application/json",
        headers: tuple[Header, ...] = (),
    ) -> None:
        self.calls.append(("reply", status, body, content_type, headers))

    def start(
        self, status: int, headers: tuple[Header, ...], first: bytes = b"", lines: bytes = b""
    ) -> None:
        self.calls.append(("start", status, headers, first, lines))

    def write(self, data: bytes) -> None:
        self.calls.append(("write", data))

    def end(self) -> None:
        self.calls.append(("end",))

    def abort(self) -> None:
        self.calls.append(("abort",))

    def throttle(self, source: ReadSide | None) -> None:
        self.calls.append(("throttle", source))


@pytest.mark.parametrize(("header", "stream"), [(JSON, False), (SSE, True)])
def test_everything_passes_and_is_copied(header: Header, stream: bool) -> None:
    sent = Sent()
    copy = Copy(sent, 100)
    copy.throttle(None)
    headers = (header, (b"request-id", b"r"))
    copy.start(200, headers, b"a", b"x: y\r\n")
    copy.write(b"b")
    copy.end()
    assert copy.started
    assert copy.kept == Kept((header,), b"ab", stream)
    assert [call[0] for call in sent.calls] == ["throttle", "start", "write", "end"]
    assert sent.calls[1] == ("start", 200, headers, b"a", b"x: y\r\n")


def test_too_long_answer_passes_and_is_not_copied() -> None:
    sent = Sent()
    copy = Copy(sent, 3)
    copy.start(200, (JSON,), b"ab")
    copy.write(b"cd")
    copy.write(b"e")
    assert copy.kept is None
    assert sent.calls[1:] == [("write", b"cd"), ("write", b"e")]


def test_the_gateways_own_and_cut_answers_are_not_copied() -> None:
    own, cut = Copy(Sent(), 100), Copy(Sent(), 100)
    own.reply(502, b"{}", headers=(JSON,))
    cut.start(200, (JSON,), b"a")
    cut.abort()
    assert (own.kept, cut.kept) == (None, None)


@pytest.mark.parametrize("value", [b"gzip", b"br", b"zstd", b"gzip, br", b"unheard-of"])
def test_answer_in_an_encoding_is_not_copied(value: bytes) -> None:
    copy = Copy(Sent(), 100)
    copy.start(200, (JSON, (b"content-encoding", b"identity"), (b"content-encoding", value)), b"a")
    assert copy.kept is None


def test_answer_that_says_it_is_in_no_encoding_is_copied() -> None:
    copy = Copy(Sent(), 100)
    copy.start(200, (JSON, (b"content-encoding", b"identity")), b"a")
    assert copy.kept == Kept((JSON,), b"a", stream=False)


def the_request(*headers: Header) -> Request:
    return Request(Head(b"POST", b"/v1/messages", headers), b"{}", 0.0)


def the_link(key: str | None = None, **settings: Any) -> Link:  # Any: fields of the settings
    ref = None if key is None else "env:KEY"
    provider = ProviderSettings(api_key_ref=ref, **settings)
    return open_links([provider], {"KEY": key or ""})["anthropic"]


def ask(request: Request, link: Link, *, authenticated: bool = False) -> Asked:
    return asked(request, link, "m", b"/", authenticated=authenticated)


def test_answers_are_shared_by_those_one_credential_pays_for() -> None:
    one, two = (the_request((b"x-api-key", key)) for key in (b"one", b"two"))
    bearer = the_request((b"authorization", b"one"))
    requests = (one, two, bearer)
    assert len({ask(request, the_link()).payer for request in requests}) == 3
    assert len({ask(request, the_link(), authenticated=True).payer for request in requests}) == 1
    owned = [ask(request, the_link(key)).payer for request in requests for key in ("a", "b")]
    assert len(set(owned)) == 2
    assert not any(b"one" in ask(request, the_link()).payer for request in requests)


BETA = b"anthropic-beta"


def test_every_value_of_a_version_decides_in_its_order() -> None:
    different = [
        (),
        ((BETA, b"a"),),
        ((BETA, b"a"), (BETA, b"b")),
        ((BETA, b"b"), (BETA, b"a")),
        ((BETA, b"a"), (BETA, b"c")),
        ((b"anthropic-version", b"a"),),
        ((b"anthropic-version", b"a"), (BETA, b"a")),
    ]
    assert len({ask(the_request(*headers), the_link()).versions for headers in different}) == 7
    joined, apart = ((BETA, b"a,b"),), ((BETA, b"a"), (b"x", b"y"), (BETA, b"b"))
    assert ask(the_request(*joined), the_link()) == ask(the_request(*apart), the_link())


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "http://127.0.0.1:9"},
        {"type": "azure"},
        {"api": "responses"},
        {"deployment": "d"},
        {"api_version": "d"},
        {"headers": (("anthropic-beta", "x"),)},
    ],
)
def test_another_provider_of_the_same_name_is_another(settings: dict[str, Any]) -> None:
    request = the_request()
    assert ask(request, the_link()) == ask(request, the_link(timeout_s=5, max_retries=0))
    assert ask(request, the_link()) != ask(request, the_link(**settings))


def test_replayed_stream_has_no_length() -> None:
    assert replay_headers(Kept((SSE,), b"ab", stream=True)) == (SSE, (b"x-gateway-cache", b"hit"))
    whole = replay_headers(Kept((JSON,), b"ab", stream=False))
    assert whole == (JSON, (b"x-gateway-cache", b"hit"), (b"content-length", b"2"))


@dataclass
class Shared:
    """A store that can be away."""

    ready: bool = True
    kept: dict[bytes, Kept] = field(default_factory=dict)

    @property
    def health(self) -> StoreHealth:
        return StoreHealth(self.ready, 0, None)

    async def get(self, key: bytes) -> Kept | None:
        assert self.ready
        return self.kept.get(key)

    def put(self, key: bytes, kept: Kept) -> None:
        self.kept[key] = kept

    async def close(self) -> None:
        self.ready = False


def test_store_that_is_away_is_neither_asked_nor_counted(tmp_path: Path) -> None:
    metrics = Metrics(Counters(tmp_path, "one", "boot"), Known((), (), ()))
    store = Shared()
    body, wanted = b'{"temperature":0}', ask(the_request(), the_link())

    async def main() -> None:
        cache = AnswerCache(CacheSettings(True, max_answer_bytes=3), metrics, store)
        for text, found in ((b"long", None), (b"ok", Kept((JSON,), b"ok", stream=False))):
            lookup = await cache.look_up(body, wanted)
            assert lookup is not None
            assert lookup.kept is None
            copy = cache.copy(Sent())
            copy.start(200, (JSON,), text)
            cache.keep(lookup, copy)
            assert store.kept.get(lookup.key) == found
        again = await cache.look_up(body, wanted)
        assert again is not None
        assert again.kept == Kept((JSON,), b"ok", stream=False)
        assert cache.health == StoreHealth(True, 0, None)
        await cache.close()
        assert await cache.look_up(body, wanted) is None

    asyncio.run(main())
    totals = metrics.cache_totals({"boot"})
    assert (totals.hits, totals.misses) == (1, 2)
    metrics.close()
