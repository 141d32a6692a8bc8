"""Lengths of time as people write them."""

from __future__ import annotations

import pytest

from cco_migrate.durations import parse_duration, show_duration
from cco_migrate.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45s", 45), ("30m", 1800), ("1h30m", 5400), ("1h 30m", 5400), ("4d", 345_600), ("0.5s", 0.5)],
)
def test_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text, "--soak") == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "30 minutes", "5m!", "0s", "0m0s", "1e3s"])
def test_what_is_no_duration_is_refused_by_the_option_it_was_given_for(text: str) -> None:
    with pytest.raises(InvalidInput, match="--soak"):
        parse_duration(text, "--soak")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.04, "0s"), (0.5, "0.5s"), (59.6, "1m"), (1800, "30m"), (5400, "1h30m"),
     (345_600, "4d"), (90_061, "1d1h")],
)  # fmt: skip
def test_duration_is_shown_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text
