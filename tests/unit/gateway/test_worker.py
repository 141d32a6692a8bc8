"""How long a worker waits for its open streams."""

from __future__ import annotations

import pytest

from gateway.worker import drain_deadline_s


@pytest.mark.parametrize(
    ("longest_s", "at_most_s", "expected_s"),
    [
        (None, 600, 600),  # nothing is known: as long as is allowed
        (2, 600, 60),  # never less than a minute
        (45, 600, 90),
        (299, 600, 598),
        (1800, 600, 600),
        (45, 20, 20),  # unless less is configured
    ],
)
def test_deadline_is_twice_the_longest_stream_within_bounds(
    longest_s: float | None, at_most_s: float, expected_s: float
) -> None:
    assert drain_deadline_s(longest_s, at_most_s) == expected_s
