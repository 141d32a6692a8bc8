"""Shared fixtures: an order, and measurements of a healthy gateway to change at one place."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cco_migrate.checks.sending import Exchange
from cco_migrate.gates.baseline import Baseline, Pace, first_tokens
from cco_migrate.gates.evidence import observe
from cco_migrate.gates.kept import Kept, Run
from cco_migrate.gates.looking import Look
from cco_migrate.gates.measured import Daemon, Measured
from cco_migrate.gates.order import GateOptions, Order, make_order
from cco_migrate.gates.outcome import Judged, Row, judge
from cco_migrate.judge.attestations import Attestation
from cco_migrate.judge.integrity import Invariant
from cco_migrate.judge.moments import Moments
from cco_migrate.probes.audited import Record
from cco_migrate.probes.canaries import canary
from cco_migrate.probes.counters import REQUESTS, STATISTICS, Counters
from cco_migrate.probes.footprint import Footprint
from cco_migrate.probes.glances import Glance
from cco_migrate.probes.instances import Health, Process
from cco_migrate.probes.streams import Sent
from cco_migrate.probes.tallies import FIGURES, Tally
from cco_migrate.probes.windows import window_of
from cco_migrate.world import Clock, Files, World

PLANNED = "c7d2c7d2c7d2c7d2"
NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
DAY_S = 86_400.0
STREAMS = 43


class Scene:
    """Measurements of a healthy gateway; each method makes one part, with what a test changes."""

    streams = STREAMS
    now = NOW
    options = GateOptions("http://127.0.0.1:3000", fingerprint=PLANNED, key="demo")

    def order(self, **change: Any) -> Order:
        """Freeze a gate; phases 2 and 3 with their switches, a baseline and every approval."""
        order = make_order(replace(self.options, **change), Files())
        if order.phase < 2:
            return order
        given = {one.id: (self.approval(order.scope),) for one in order.criteria}
        given["complaints"] = (self.approval(order.scope, counted=(0, 40)),)
        return replace(order, switches=(True, False), approvals=given, baseline=self.baseline())

    def approval(self, scope: str, **change: Any) -> Attestation:
        """Approve today, for a month."""
        made = Attestation("ada", NOW, scope, datetime(2026, 2, 20, tzinfo=UTC))
        return replace(made, **change)

    def health(self, boot: str = "b0", at_s: float = 102.0, **change: Any) -> Health:
        """Answer one look at health."""
        return replace(Health("ok", PLANNED, boot, 1, int(at_s), at_s, at_s), **change)

    def look(self, at_s: float, requests: float) -> Look:
        """Look once, eightfold."""
        series = {f'{REQUESTS}{{status="200"}}': requests, STATISTICS: requests}
        counters = Counters(series, ("b0",), at_s)
        found = (Process("worker 0", "b0", PLANNED),)
        return Look((self.health(at_s=at_s),) * 8, found, {"anthropic": True}, counters)

    def sent(self, number: int, **change: Any) -> Sent:
        """Send one canary, with its answer."""
        usage = {"input_tokens": 100, "output_tokens": 20}
        # Spread as answers are, so that a comparison has something to go by.
        first_s = 0.1 * 1.1 ** (number % 3 - 1)
        stream = Exchange(f"gw_{number}", 200, usage=usage, first_token_s=first_s)
        question = canary(number, run="r", model="m")
        return Sent(question, replace(stream, **change), None, compared=True, loss="")

    def record(self, number: int, **change: Any) -> Record:
        """Record that canary."""
        betas = list(canary(number, run="r", model="m").betas)
        row = {
            "request_id": f"gw_{number}", "model": "claude-haiku-4-5-20251001",
            "cost_usd": 0.0002, "terms": [], "request_shape": {"betas": betas},
        }  # fmt: skip
        return {**row, **change}

    def bursts(self, times: float = 1.0, n: int = 100) -> Mapping[str, Moments]:
        """Take bursts, as many times faster than usual; spread as they are."""
        rates = (30 * times * 1.02 ** (number % 3 - 1) for number in range(n))
        return {"m, 3 at a time": Moments.of_logs(rates)}

    def audited(self, requests: int, **change: Any) -> tuple[Record, ...]:
        """Record so many requests of clients, five minutes apart up to now, the latest first."""
        return tuple(
            {
                "id": number,
                "timestamp": (NOW - 5 * timedelta(minutes=requests - number)).isoformat(),
                "endpoint": "messages", "client": "cli", "boot_id": "b0", "seq": number,
                "requested_model": "m", "model": "m", "input_tokens": 100,
                "cache_write_tokens": 0, "cache_read_tokens": 900, **change,
            }
            for number in range(requests, 0, -1)
        )  # fmt: skip

    def counted(self, boot: str, requests: float, statistics: float) -> Counters:
        """Read the counters of one process; of an unknown one for an empty name."""
        series = {REQUESTS: requests, STATISTICS: statistics}
        return Counters(series, (boot,) if boot else (), 0.0)

    def glances(self, minutes: int, **change: Any) -> tuple[Glance, ...]:
        """Look once a minute up to now, at growing counts: 50 requests a minute, all streams.

        Keywords name figures by their growth a minute.
        """
        growth = {"requests": 50.0, "streams": 50.0, "overhead_s": 0.5, "overheads": 50.0}
        growth |= change
        return tuple(
            Glance(
                NOW.timestamp() - 60 * (minutes - number),
                up=True,
                tally=self.tally("b0", {name: by * number for name, by in growth.items()}),
                footprint=Footprint(100 << 20, 10 << 20),
            )
            for number in range(minutes + 1)
        )

    def tally(self, boot: str, figures: Mapping[str, float]) -> Tally:
        """Count these figures, and nought of every other."""
        return Tally((boot,), tuple(figures.get(one, 0.0) for one in FIGURES))

    def healthy(self, glances: Sequence[Glance] = ()) -> Measured:
        """Measure a gate of a healthy gateway, with these looks before."""
        before, after = self.look(100, 10), self.look(102, 10 + STREAMS)
        numbers = range(STREAMS)
        found = (before.counters, after.counters)
        return Measured(
            before,
            after,
            tuple(one for one in found if isinstance(one, Counters)),
            tuple(self.sent(n) for n in numbers),
            "",
            tuple(self.record(n) for n in numbers),
            Daemon(Invariant(3), Invariant(1)),
            Kept(tuple(glances)),
            window_of(glances),
            NOW,
            {},
            throughput=self.bursts(),
            audit=self.audited(200),
        )

    def after(self, **change: Any) -> Measured:
        """Measure, and find something else at the end."""
        measured = self.healthy()
        return replace(measured, after=replace(measured.after, **change))

    def read_as(self, *readings: Counters) -> Measured:
        """Measure, and read the counters as these."""
        return replace(self.healthy(), readings=readings)

    def judged(self, order: Order, measured: Measured) -> Judged:
        """Judge what was measured."""
        return judge(order, observe(measured, order))

    def rows(self, order: Order, measured: Measured) -> Mapping[str, Row]:
        """Judge what was measured; the rows by id."""
        return {row.ruling.criterion.id: row for row in self.judged(order, measured).rows}

    def run(self, **change: Any) -> Run:
        """Remember a run of an hour ago whose hundred streams were all right."""
        tokens = first_tokens(tuple(self.sent(number) for number in range(100)))
        return replace(Run(NOW.timestamp() - 3600, True, 100, 0, tokens), **change)

    def baseline(self, times: float = 1.0) -> Baseline:
        """Capture an old path that took so many times as long as the new one does."""
        sent = (self.sent(number) for number in range(200))
        slow = tuple(
            replace(one, stream=replace(one.stream, first_token_s=first_s * times))
            for one in sent
            if (first_s := one.stream.first_token_s)
        )
        pace = Pace(first_tokens(slow), self.bursts(1 / times), 200, 0)
        return Baseline("2026-01-01T00:00:00.000Z", "http://old", pace)


class Hurried(Clock):
    """A clock on which waiting takes no time."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead_s)

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead_s

    def pause(self, seconds: float) -> None:
        self._ahead_s += seconds


@pytest.fixture
def hurried(world: World) -> World:
    """The real world, but for its clock."""
    return replace(world, clock=Hurried())


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def order(scene: Scene) -> Order:
    return scene.order()


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, object], str]:
    """Write a JSON document into the test's folder; returns its path as text."""

    def write(name: str, document: object) -> str:
        path = tmp_path / name
        path.write_text(json.dumps(document))
        return str(path)

    return write
