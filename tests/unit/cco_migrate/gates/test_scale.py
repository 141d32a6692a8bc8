"""A day of looks, one a second, is judged in a second: what it takes is counted, not timed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from cco_migrate.gates.evidence_file import open_evidence
from cco_migrate.gates.order import Order
from cco_migrate.model import canonical
from cco_migrate.probes.windows import window_of
from cco_migrate.world import World

Scene = Any  # Any: the fixture of conftest.py, which cannot be imported

CALLS_A_SAMPLE = 45
"""Of Python and C functions together; a dozen are those of the JSON reader."""


class Calls:
    """How many functions were called while it was on."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, _frame: FrameType, event: str, _argument: object) -> None:
        self.made += event in {"call", "c_call"}


@pytest.fixture
def calls() -> Iterator[Calls]:
    counter, before = Calls(), sys.getprofile()
    yield counter
    sys.setprofile(before)


def calls_to_judge(scene: Scene, order: Order, calls: Calls) -> int:
    """Read the evidence of an order and judge it; the functions that took."""
    world, began = World.real(), calls.made
    sys.setprofile(calls)
    kept = open_evidence(order, world).kept
    measured = replace(scene.healthy(), kept=kept, window=window_of(kept.glances))
    scene.judged(order, measured)
    sys.setprofile(None)
    world.http.close()
    return calls.made - began


def test_a_sample_more_costs_a_bounded_number_of_calls(
    scene: Scene, tmp_path: Path, calls: Calls
) -> None:
    made = []
    for minutes in (1000, 3000):
        path = tmp_path / f"{minutes}.jsonl"
        order = scene.order(phase=2, every=60, evidence=str(path))
        open_evidence(order, World.real())
        # Within few minutes of time, as looks once a second are.
        looks = (replace(one, at_s=one.at_s / 60) for one in scene.glances(minutes))
        with path.open("ab") as file:
            file.writelines(canonical(one.to_json()) + b"\n" for one in looks)
        made.append(calls_to_judge(scene, order, calls))
    assert (made[1] - made[0]) / 2000 < CALLS_A_SAMPLE
