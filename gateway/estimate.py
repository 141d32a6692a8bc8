"""Estimate the tokens of a request that no provider can be asked to count. Pure."""

from __future__ import annotations

from gateway.wire.body import Body

BYTES_PER_TOKEN = 3.5
"""Of JSON that holds mostly English and code; other scripts and images are off by more."""

_COUNTED = ("system", "messages", "tools")


def input_tokens(body: Body) -> int:
    """Return a rough number of input tokens, at least 1; prefers too many over too few."""
    return max(1, round(sum(len(body.raw(name)) for name in _COUNTED) / BYTES_PER_TOKEN))
