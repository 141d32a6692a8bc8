"""The last client of a rollback: what a gateway says of its workers becomes a time or a count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cco_migrate.context import Context
from cco_migrate.model import Step
from cco_migrate.steps import ACTIONS
from cco_migrate.world import Clock

STEP = Step(0, "back-clients", "clients", "clients.recovered")
BEGUN = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)


class QuickClock(Clock):
    """A clock on which every pause takes a second, and no time."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return BEGUN + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def pause(self, seconds: float) -> None:
        self.passed += 1


@dataclass
class Workers:
    """Draining workers, one number a look; the last one stays."""

    draining: Sequence[int]
    looks: int = field(default=0)

    def __call__(self, _method: str, path: str, _body: bytes) -> Any:
        assert path == "/gateway/workers"
        count = self.draining[min(self.looks, len(self.draining) - 1)]
        self.looks += 1
        rows = [
            {"slot": 0, "generation": 2, "boot_id": "b", "fingerprint": "f", "state": state}
            for state in ["serving", *["draining"] * count]
        ]
        return 200, {}, json.dumps({"workers": rows, "reload": None}).encode()


@pytest.mark.parametrize(
    ("draining", "seconds", "left", "said"),
    [
        ([0], 0.0, 0, "the last client had recovered 0.0 s after the restart"),
        ([2, 1, 1, 0], 3.0, 0, "the last client had recovered 3.0 s after the restart"),
        ([1], None, 1, "1 old worker still finishes what began before the restart"),
        ([3, 2], None, 2, "2 old workers still finish what began before the restart"),
    ],
)
def test_last_client_is_timed_or_the_workers_left_are_counted(
    context_at: Any, serve: Any, draining: list[int], seconds: float | None, left: int, said: str
) -> None:
    outcome = ACTIONS[STEP.uses].apply(STEP, {}, _at(context_at(serve(Workers(draining)))))
    assert outcome.facts == {"recovered_s": seconds, "draining": left}
    assert outcome.summary.startswith(said)


def test_gateway_without_workers_or_without_an_answer_is_not_measured(
    context_at: Any, serve: Any, closed_port: int
) -> None:
    foreign = serve(lambda *_: (404, {}, b'{"error": "no such route"}'))
    for url in (foreign, f"http://127.0.0.1:{closed_port}"):
        outcome = ACTIONS[STEP.uses].apply(STEP, {}, _at(context_at(url)))
        assert outcome.facts == {"recovered_s": None, "draining": None}
        assert outcome.summary.startswith("not measured: ")
        assert url in outcome.summary


def test_gateway_that_never_left_the_old_configuration_is_not_asked(
    context_at: Any, closed_port: int
) -> None:
    context = context_at(f"http://127.0.0.1:{closed_port}")
    stayed = replace(context, evidence={"back-restart": {"how": "none"}})
    outcome = ACTIONS[STEP.uses].apply(STEP, {}, stayed)
    assert outcome.facts == {"recovered_s": 0.0, "draining": 0}


def _at(context: Context) -> Context:
    """The context on the quick clock, after a restart that began as that starts."""
    evidence = {"back-restart": {"begun_at": BEGUN.isoformat()}}
    world = replace(context.world, clock=QuickClock())
    return replace(context, world=world, evidence=evidence)
