"""The proof: 20 reloads and 5 replacements of the whole gateway under load lose nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.gateway.bodies import Pace
from benchmarks.gateway.programs import Address
from benchmarks.gateway.subjects import paced_upstream
from benchmarks.gateway.turnover import TurnoverLoad, bear
from cco_migrate.world import Clock

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

RELOADS, REPLACEMENTS = 20, 5
LOAD = TurnoverLoad(
    requests=50_000, fresh=8, kept=16, streams=200, pace=Pace(deltas=100, every_ms=200)
)


class Gateway:
    """A daemon with two workers in a state root of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.run("daemon", "start", "--workers", "2")
        self.port = int(json.loads((home / "daemon.pid").read_text())["port"])

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *words, "--home", str(self.home)],
            capture_output=True, text=True, check=False, env=os.environ,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def recorded(self) -> int:
        """Return how many requests the ledger knows."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/gateway/audit?limit=1")
        found: int = json.loads(connection.getresponse().read())["total"]
        connection.close()
        return found


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """Start it before an upstream that streams at the pace its requests ask for."""
    (tmp_path / "config").mkdir()
    with paced_upstream() as upstream:
        provider = {"providerType": "anthropic", "baseUrl": f"http://{upstream.address}"}
        section = {"llmGateway": {"providers": {"anthropic": provider}}}
        (tmp_path / "config" / "orchestra-config.json").write_text(json.dumps(section))
        # A client that is stopped in its pause still asks the old worker again.
        (tmp_path / "config" / "gateway.toml").write_text("[server]\nlinger_s = 60\n")
        made = Gateway(tmp_path)
        yield made
        made.run("daemon", "stop", "--timeout", "60")


def test_reloads_and_replacements_under_load_lose_nothing(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    def turn() -> None:
        for number in range(RELOADS):
            gateway.run("reload")
            if number % (RELOADS // REPLACEMENTS) == 1:
                gateway.run("replace")

    begun = time.monotonic()
    report = asyncio.run(bear(Address(gateway.port), LOAD, turn))
    took_s = time.monotonic() - begun
    with capsys.disabled():
        what = f"{RELOADS} reloads and {REPLACEMENTS} replacements in {took_s:.0f} s"
        print(f"\n{what}: {report}")
    assert (report.failures, report.broken, report.faults.total) == ({}, 0, 0)
    assert report.answered >= LOAD.requests
    assert report.streams >= LOAD.streams
    # An answer waits for its record, but not for long.
    expected = report.answered + report.streams
    assert Clock().wait_until(lambda: gateway.recorded() >= expected, 60)
    assert gateway.recorded() == expected
