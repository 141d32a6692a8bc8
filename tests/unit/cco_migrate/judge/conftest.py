"""Shared fixtures: criteria to judge by, with nothing to depend on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cco_migrate.criteria import CRITERIA
from cco_migrate.judge.criterion import Bounds, Criterion
from cco_migrate.judge.ruling import Conditions

Alone = Callable[..., Criterion]


@pytest.fixture
def alone() -> Alone:
    """Return a criterion of the table by id, with other bounds where given."""

    def criterion(name: str, bounds: Bounds | None = None) -> Criterion:
        known = CRITERIA[name]
        return replace(known, bounds=bounds or known.bounds, depends_on=(), minimum_samples=1)

    return criterion


@pytest.fixture
def fresh() -> Conditions:
    """Nothing stands in the way of judging."""
    return Conditions(age_s=1.0)
