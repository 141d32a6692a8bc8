"""Two worker processes show one set of metrics, also when one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Protocol

import psutil

Json = Any  # a parsed document
DEADLINE_S = 120.0


class Reply(Protocol):
    """An answer, as the fixture returns it."""

    status: int
    body: bytes

    def json(self) -> Json: ...


class Daemon(Protocol):
    """The gateway, as the fixture gives it."""

    home: Path
    admin: dict[str, str]
    process: subprocess.Popen[bytes]

    def call(
        self, method: str, path: str, body: Json = None, headers: dict[str, str] | None = None
    ) -> Reply: ...

    def get(self, path: str) -> Json: ...

    def ask(self, **change: Json) -> Reply: ...


COUNTED = (
    "gateway_audit_records_total",
    "cco_api_latency_count",
    "gateway_cost_usd_total",
    "cco_cache_misses",
)


def counters(daemon: Daemon) -> dict[str, float]:
    text = daemon.call("GET", "/metrics").body.decode()
    pairs = (line.rpartition(" ") for line in text.splitlines() if line[0] != "#")
    found = {name: float(value) for name, _, value in pairs}
    return {name: found[name] for name in COUNTED}


def wait_for(condition: Any) -> None:  # Any: a function without arguments
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def test_metrics_are_the_same_whoever_answers_and_never_fall(daemon: Daemon) -> None:
    before = counters(daemon)
    for number in range(20):
        assert daemon.ask(max_tokens=20 + number).status == 200
    counted = ("cco_api_latency_count", "gateway_audit_records_total")
    # An answer waits for its record, but not for long.
    wait_for(lambda: all(counters(daemon)[name] >= before[name] + 20 for name in counted))
    expected = counters(daemon)
    assert [expected[name] for name in counted] == [before[name] + 20 for name in counted]
    answered = set()
    for _ in range(40):
        answered.add(daemon.get("/health")["worker"])
        assert counters(daemon) == expected
    if len(answered) == 1:  # the kernel may give all connections to one worker
        assert daemon.get("/health")["workers"] == 2
    victim = psutil.Process(daemon.process.pid).children()[0]
    boots = {row["boot_id"] for row in daemon.get("/gateway/workers")["workers"]}
    os.kill(victim.pid, signal.SIGKILL)

    def replaced() -> bool:
        rows = daemon.get("/gateway/workers")["workers"]
        serving = {row["boot_id"] for row in rows if row["state"] == "serving"}
        return len(serving) == 2 and serving != boots

    wait_for(replaced)
    for _ in range(10):
        assert counters(daemon) == expected


def test_workers_tell_whose_they_are(daemon: Daemon) -> None:
    assert daemon.get("/gateway/workers")["supervisor"] == daemon.process.pid


def test_shutdown_drains_and_ends_the_daemon(daemon: Daemon) -> None:
    reply = daemon.call("POST", "/api/shutdown", None, daemon.admin)
    assert json.loads(reply.body)["status"] == "shutdown_initiated"
    assert daemon.process.wait(DEADLINE_S) == 0
    assert not (daemon.home / "daemon.pid").exists()
