"""The whole gateway under load while its processes are replaced: small here, long in tests/real."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.gateway.bodies import Pace
from benchmarks.gateway.programs import Address
from benchmarks.gateway.subjects import paced_upstream
from benchmarks.gateway.turnover import TurnoverLoad, bear

if TYPE_CHECKING:
    from tests.e2e.daemon.conftest import Cco, Home, Until

DEADLINE_S = 120.0
LOAD = TurnoverLoad(requests=1000, fresh=4, kept=4, streams=20, pace=Pace(deltas=40, every_ms=50))


@pytest.fixture
def port(home: Home, cco: Cco) -> Iterator[int]:
    """Return the port of a daemon with two workers before a paced upstream."""
    with paced_upstream() as upstream:
        home.provide(f"http://{upstream.address}")
        # A client that is stopped in its pause still asks the old worker again.
        home.configure(linger_s=60, drain_s=120)
        assert cco("daemon", "start", "--workers", "2").returncode == 0
        yield home.record["port"]
        assert cco("daemon", "stop").returncode == 0


@pytest.mark.smoke
def test_reloads_and_a_replacement_under_load_lose_nothing(
    cco: Cco, port: int, until: Until
) -> None:
    def turn() -> None:
        for words in (("reload",), ("replace",), ("reload",)):
            done = cco(*words)
            assert done.returncode == 0, done.stderr

    report = asyncio.run(bear(Address(port), LOAD, turn))
    assert (report.failures, report.broken, report.faults.total) == ({}, 0, 0), report
    assert report.answered >= LOAD.requests
    assert report.streams >= LOAD.streams
    # An answer waits for its record, but not for long.
    until(lambda: recorded(port) >= report.answered + report.streams)
    assert recorded(port) == report.answered + report.streams


def test_killed_worker_costs_what_it_had_and_no_record(home: Home, port: int, until: Until) -> None:
    supervisor = home.process

    def turn() -> None:
        victim = supervisor.children()[0]
        victim.kill()
        until(lambda: victim not in supervisor.children() and len(supervisor.children()) == 2)

    report = asyncio.run(bear(Address(port), replace(LOAD, streams=4), turn))
    assert set(report.failures) <= {"reset", "cut", "closed without an answer"}, report
    assert report.failures.total() <= LOAD.fresh + LOAD.kept  # one a connection at the most
    assert report.faults.total == 0
    until(lambda: recorded(port) >= report.answered + report.streams - report.broken)


def recorded(port: int) -> int:
    """Return how many requests the ledger knows."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)) as connection:
        connection.request("GET", "/gateway/audit?limit=1")
        found: int = json.loads(connection.getresponse().read())["total"]
    return found
