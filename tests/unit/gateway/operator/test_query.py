"""Who may call the operator API, by Host, Origin and what browsers tell; the times it takes."""

from __future__ import annotations

from datetime import datetime

import pytest

from gateway.errors import RequestError
from gateway.operator.query import micros, require_local
from gateway.wire.http import Head, Header, Request


def header(name: str, value: str) -> Header:
    return name.encode(), value.encode()


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"host": "127.0.0.1:3000"}, True),
        ({"host": "localhost"}, True),
        ({"host": "LOCALHOST:3000"}, True),
        ({"host": "[::1]:3000"}, True),
        ({"host": "10.1.2.3:3000"}, True),
        ({"host": "gateway.internal:3000"}, True),
        ({"host": "Gateway.Example.com"}, True),
        ({"host": "evil.example"}, False),
        ({"host": "127.0.0.1.evil.example"}, False),
        ({"host": "evil.example@127.0.0.1"}, False),
        ({"host": "127.0.0.1@evil.example"}, False),
        ({"host": "[::1"}, False),
        ({"host": ":3000"}, False),
        ({"host": "localhost:3000", "origin": "http://localhost:3000"}, True),
        ({"host": "localhost:3000", "origin": "HTTP://LOCALHOST:3000"}, True),
        ({"host": "localhost:3000", "origin": "https://localhost:3000"}, True),
        ({"host": "localhost:3000", "origin": "http://localhost:8080"}, False),
        ({"host": "localhost:3000", "origin": "http://127.0.0.1:3000"}, False),
        ({"host": "localhost:3000", "origin": "https://evil.example"}, False),
        ({"host": "localhost:3000", "origin": "null"}, False),
        ({"host": "localhost:3000", "origin": ""}, False),
        ({"origin": "http://localhost"}, False),
        ({"host": "localhost", "sec-fetch-site": "same-origin"}, True),
        ({"host": "localhost", "sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, True),
        ({"host": "localhost", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, True),
        ({"host": "localhost", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, False),
        ({"host": "localhost", "sec-fetch-site": "same-site"}, False),
    ],
)
def test_foreign_callers_are_refused(headers: dict[str, str], allowed: bool) -> None:
    pairs = tuple(header(*pair) for pair in headers.items())
    request = Request(Head(b"GET", b"/gateway/audit", pairs), b"", 0.0)
    if allowed:
        require_local(request, {"gateway.internal", "gateway.example.com"})
        return
    with pytest.raises(RequestError) as caught:
        require_local(request, {"gateway.internal", "gateway.example.com"})
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00.000001+01:00", 1),
        ("1969-12-31T23:59:59.500000Z", -500_000),
        ("9999-12-31T23:59:59.999999-01:00", 253_402_304_399_999_999),
        ("0001-01-01T00:00:00+01:00", -62_135_600_400_000_000),
    ],
)
def test_time_is_microseconds_since_the_epoch(text: str, expected: int) -> None:
    assert micros(datetime.fromisoformat(text), "start_time") == expected


def test_time_without_a_zone_is_refused() -> None:
    with pytest.raises(RequestError, match="start_time: must name its time zone") as caught:
        micros(datetime.fromisoformat("2026-01-01"), "start_time")
    assert caught.value.status == 400
