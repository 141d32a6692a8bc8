"""The figures that gates judge by: what a request adds to, by the labels of its counter."""

from __future__ import annotations

import pytest

from cco_migrate.probes.counters import Counters
from cco_migrate.probes.tallies import FIGURES, Figure, tally_of


@pytest.mark.parametrize(
    ("model", "status", "figure"),
    [
        ("m", 200, None),
        ("m", 499, Figure.LEFT),
        ("m", 400, Figure.FAILED),
        ("other", 404, Figure.FAILED),
        ("m", 529, Figure.FAILED),
        # Refused before any model was found: for what its client sent, or for want of room.
        ("none", 400, Figure.LEFT),
        ("none", 403, Figure.LEFT),
        ("none", 405, Figure.LEFT),
        ("none", 408, Figure.LEFT),
        ("none", 431, Figure.LEFT),
        ("none", 501, Figure.LEFT),
        ("none", 505, Figure.LEFT),
        ("none", 500, Figure.FAILED),
        ("none", 503, Figure.FAILED),
    ],
)
def test_request_is_counted_once_and_as_what_it_was(
    model: str, status: int, figure: Figure | None
) -> None:
    labels = f'provider="p",model="{model}",status="{status}",stream="false"'
    tally = tally_of(Counters({f"gateway_requests_total{{{labels}}}": 3.0}, ("b",), 0.0))
    found = dict(zip(FIGURES, tally.figures, strict=True))
    assert found[Figure.REQUESTS] == 3
    ended = {name: found[name] for name in (Figure.FAILED, Figure.LEFT)}
    assert ended == dict.fromkeys(ended, 0) | ({} if figure is None else {figure: 3})
