"""What is said of a request's sender, and of its provider, for the record."""

from __future__ import annotations

import pytest

from gateway.describe import rate_limits

REQUESTS, TOKENS = b"anthropic-ratelimit-requests-limit", b"anthropic-ratelimit-tokens-limit"


@pytest.mark.parametrize(
    ("answered", "limits"),
    [
        ({}, ()),
        ({b"content-type": b"application/json"}, ()),
        ({TOKENS: b"80000", REQUESTS: b"50"}, (("requests", 50), ("tokens", 80_000))),
        ({b"x-ratelimit-limit-tokens": b"7", TOKENS: b"soon"}, (("tokens", 7),)),
        ({REQUESTS: b""}, ()),
        ({REQUESTS: b"-1"}, ()),
        ({REQUESTS: b"9" * 5000}, ()),
    ],
)
def test_rate_limits_are_what_a_provider_says_in_digits(
    answered: dict[bytes, bytes], limits: tuple[tuple[str, int], ...]
) -> None:
    assert rate_limits(answered) == limits
