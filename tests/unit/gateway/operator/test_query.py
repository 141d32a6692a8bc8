"""The times that the operator API takes."""

from __future__ import annotations

from datetime import datetime

import pytest

from gateway.errors import RequestError
from gateway.operator.query import micros


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
