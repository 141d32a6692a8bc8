"""Which answers are kept, under which key, and for how long."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.cache.response_cache import Asked, Kept, ResponseCache, cache_key, kept_headers

ASKED = Asked(("p", "url"), "m", b"/v1/messages", b"payer", (b"2023-06-01", b""))
REQUEST: dict[str, Any] = {  # Any: JSON
    "model": "x",
    "max_tokens": 5,
    "temperature": 0,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=1; cch=abc;"},
        {"type": "text", "text": "Be brief."},
    ],
    "metadata": {"user_id": "session-1"},
    "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}],
}


def key(request: dict[str, Any], asked: Asked = ASKED, *, any_: bool = False) -> bytes | None:
    return cache_key(json.dumps(request).encode(), asked, any_temperature=any_)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "y"},
        {"metadata": {"user_id": "session-2"}},
        {"metadata": {}},
        {"temperature": 0.0} | {"max_tokens": 5},
        {"system": REQUEST["system"][1:]},
        {"agent_type": "reviewer"},
    ],
)  # fmt: skip
def test_what_differs_between_sessions_does_not_count(change: dict[str, Any]) -> None:
    expected = key(REQUEST | {"temperature": change.get("temperature", 0)})
    assert expected is not None
    changed = REQUEST | change
    assert key(dict(reversed(changed.items()))) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": 6},
        {"stream": True},
        {"unknown": None},
        {"metadata": {"user_id": "a", "other": 1}},
        {"system": "Be brief."},
        {"system": [{"type": "text", "text": "Be long."}]},
        {"messages": REQUEST["messages"][1:]},
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hO"}]},
    ],
)
def test_everything_else_counts(change: dict[str, Any]) -> None:
    assert key(REQUEST | change) not in (None, key(REQUEST))


@pytest.mark.parametrize(
    "asked",
    [
        replace(ASKED, provider=("q", "url")),
        replace(ASKED, provider=("p", "other")),
        replace(ASKED, provider=("pu", "rl")),
        replace(ASKED, model="n"),
        replace(ASKED, target=b"/v1/messages?beta=true"),
        replace(ASKED, payer=b"other"),
        replace(ASKED, versions=(b"", b"2023-06-01")),
    ],
)
def test_what_decides_the_answer_beside_the_body_counts(asked: Asked) -> None:
    assert key(REQUEST, asked) not in (None, key(REQUEST))


@pytest.mark.parametrize(
    ("change", "any_temperature", "kept"),
    [
        ({}, False, True),
        ({"temperature": 0.1}, False, False),
        ({"temperature": 0.1}, True, True),
        ({"temperature": None}, False, False),
        ({"tools": []}, False, True),
        ({"tools": [{"name": "t"}]}, True, False),
        ({"functions": [{"name": "t"}]}, True, False),
        ({"mcp_servers": [{"name": "t"}]}, True, False),
        ({"container": "c"}, True, False),
    ],
)
def test_only_repeatable_requests_have_a_key(
    change: dict[str, Any], any_temperature: bool, kept: bool
) -> None:
    assert (key(REQUEST | change, any_=any_temperature) is not None) is kept


def kept(size: int) -> Kept:
    return Kept((), b"x" * size, stream=False)


def test_answer_is_forgotten_with_age() -> None:
    now = 0.0
    cache = ResponseCache(100_000, 10, lambda: now)
    cache.put(b"k", kept(1))
    now = 9.9
    assert cache.get(b"k") == kept(1)
    now = 10.0
    assert cache.get(b"k") is None
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_least_recently_used_answers_go_first() -> None:
    cache = ResponseCache(10_000, 10, lambda: 0.0)
    for name in (b"a", b"b", b"c", b"a2", b"b2", b"c2", b"d", b"e"):
        cache.put(name, kept(700))
    assert cache.get(b"a") is not None
    cache.put(b"f", kept(700))
    assert cache.size_bytes <= 10_000
    assert cache.get(b"b") is None
    assert cache.get(b"a") is not None


def test_same_key_replaces_and_too_large_is_not_kept() -> None:
    cache = ResponseCache(10_000, 10, lambda: 0.0)
    cache.put(b"k", kept(10))
    cache.put(b"k", kept(20))
    assert (len(cache), cache.get(b"k")) == (1, kept(20))
    cache.put(b"k", kept(10_000))
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_headers_of_one_delivery_are_not_kept() -> None:
    headers = ((b"content-type", b"a"), (b"request-id", b"b"), (b"set-cookie", b"c"))
    assert kept_headers(headers) == ((b"content-type", b"a"),)
