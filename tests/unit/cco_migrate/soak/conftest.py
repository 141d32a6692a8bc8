"""The bench of a soak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cco_migrate.context import Context
from tests.unit.cco_migrate.soak.scene import (
    Bench,
    Gateway,
    Serve,
    SteppedClock,
    criteria,
    ordered,
)


@pytest.fixture
def bench(serve: Serve, context_at: Callable[[str], Context]) -> Bench:
    clock, waits = SteppedClock(), list[str]()
    gateway = Gateway(clock)
    context = context_at(serve(gateway))

    def waiting(what: str, _timeout_s: float) -> None:
        waits.append(what)

    world = replace(context.world, clock=clock)
    return Bench(
        clock, gateway, replace(context, world=world, waiting=waiting), waits, ordered(criteria())
    )
