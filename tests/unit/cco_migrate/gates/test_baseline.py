"""What a baseline holds: both paths, and which of them it was."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cco_migrate import resources
from cco_migrate.gates.baseline import Baseline, Pace, pace_of_bursts, read_baseline
from cco_migrate.judge.moments import Moments
from cco_migrate.probes.streams import Burst

Scene = Any  # Any: the fixture of conftest.py, which cannot be imported
PATH = Path("baseline.json")


def paces() -> Pace:
    return Pace({"m, text": Moments(9, -1.5, 0.2)}, {"m, 3 at a time": Moments(3, 2.0, 0.1)}, 9, 1)


@pytest.mark.parametrize(
    "known",
    [
        Baseline("2026-01-01T00:00:00Z", "http://old", paces()),
        Baseline("2026-01-01T00:00:00Z", "https://provider", paces(), "http://127.0.0.1:8080"),
        Baseline("2026-01-01T00:00:00Z", "http://old", paces(), "", "http://new", paces()),
    ],
    ids=["direct", "proxy", "both"],
)
def test_baseline_comes_back_as_it_was_and_fits_its_schema(known: Baseline) -> None:
    document = json.loads(known.encoded())
    Draft202012Validator(resources.schema("gate-baseline")).validate(document)
    assert document["path"] == ("proxy" if known.proxy else "direct")
    assert read_baseline(known.encoded(), PATH) == known


def test_file_of_an_earlier_version_tells_the_first_token_alone() -> None:
    strata = {"m": {"n": 50, "mean": -1.0, "squares": 2.0}}
    row = {"schema_version": 1, "at": "2026-01-01T00:00:00Z", "url": "u", "first_token": strata}
    found = read_baseline(json.dumps(row).encode(), PATH)
    assert found.old == Pace({"m": Moments(50, -1.0, 2.0)})
    assert (found.proxy, found.new) == ("", None)
    assert str(found) == "baseline of 2026-01-01T00:00:00Z, u"


def test_throughput_is_that_of_whole_bursts_of_full_size(scene: Scene) -> None:
    full = tuple(scene.sent(number) for number in range(3))
    cut = (*full[:2], scene.sent(2, faults=("no message_stop",)))
    pace = pace_of_bursts((Burst(full, 0.5), Burst(full, 2.0), Burst(cut, 0.1), Burst(full[:2], 1)))
    ((stratum, rates),) = pace.throughput.items()
    assert stratum == "m, 3 at a time"
    assert rates.n == 2
    assert math.exp(rates.mean) == pytest.approx(math.sqrt(6.0 * 1.5))
    assert (pace.streams, pace.broken) == (11, 1)
    assert sum(one.n for one in pace.first_token.values()) == 10


def test_refused_streams_are_no_streams(scene: Scene) -> None:
    refused = tuple(scene.sent(number, status=401, faults=("401",)) for number in range(3))
    assert replace(pace_of_bursts((Burst(refused, 0.1),)), first_token={}) == Pace()
