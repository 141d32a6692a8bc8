"""Headers of a message: looked up by name, and those of one hop left behind."""

from __future__ import annotations

import pytest

from gateway.wire.hops import end_to_end
from gateway.wire.http import Head, Header, Request, all_values, first_values

HEADERS: tuple[Header, ...] = ((b"a", b"1"), (b"host", b"h"), (b"a", b"2"), (b"te", b"trailers"))


@pytest.mark.parametrize(
    ("name", "first", "every"),
    [
        (b"a", b"1", (b"1", b"2")),
        (b"host", b"h", (b"h",)),
        (b"absent", None, ()),
    ],
)
def test_header_is_found_by_its_name(
    name: bytes, first: bytes | None, every: tuple[bytes, ...]
) -> None:
    request = Request(Head(b"GET", b"/", HEADERS), b"", 0.0)
    assert request.header(name) == first
    assert all_values(HEADERS, first_values(HEADERS), name) == every
    alone = HEADERS[:2]
    expected = tuple(value for key, value in alone if key == name)
    assert all_values(alone, first_values(alone), name) == expected


@pytest.mark.parametrize(
    ("headers", "connection", "left"),
    [
        (HEADERS[:3], (), HEADERS[:3]),
        (HEADERS, (), HEADERS[:3]),
        (((b"connection", b"A, host"), *HEADERS), (b"A, host",), ((b"host", b"h"),)),
    ],
    ids=["nothing to drop", "of one hop", "named by Connection"],
)
def test_headers_of_one_hop_stay_behind(
    headers: tuple[Header, ...], connection: tuple[bytes, ...], left: tuple[Header, ...]
) -> None:
    assert end_to_end(headers, connection) == left
