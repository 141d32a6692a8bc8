"""What holds for all tests: which drive whole programs, and how often a law is tried."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies

_HERE = Path(__file__).parent
_OF_PROGRAMS = tuple(
    _HERE / name for name in ("contract", "e2e/daemon", "e2e/migrate", "e2e/supervisor", "kill")
)
# A hang is found by it, nothing else: a machine whose cores all have something else to do starts a
# program in seconds instead of a quarter of one, and such a test starts a dozen.
_PROGRAM_TIMEOUT_S = 900

# The same examples on every run, however slow the machine: a red build is never luck.
_LAW = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", _LAW, max_examples=30)
settings.register_profile("ci", _LAW, max_examples=150)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@given(strategies.none())
def _first_law(_: None) -> None:
    """Nothing."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while modules and tests are collected, nor ever among what they are:
    all of it stays to the end, and going through it again and again is half of the collection."""
    # Hypothesis asks the collector who holds its random numbers when the first law is tried. From
    # Python 3.14 on it would not find who: that is frozen by then, and the first test fails.
    _first_law()
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the folders of whole programs as `process`, and give every such test more time."""
    paths = {item.path for item in items}
    of_programs = {
        path for path in paths if any(path.is_relative_to(folder) for folder in _OF_PROGRAMS)
    }
    for item in items:
        if item.path in of_programs:
            item.add_marker(pytest.mark.process)
        if item.get_closest_marker("process") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_PROGRAM_TIMEOUT_S))
