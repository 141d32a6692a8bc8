"""A change on the demo that has to hold for its bake time, with clients that are not ours."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cco_migrate.world import Clock

WAIVED = ("--waive", "availability", "--why", "a bake time of seconds has too few looks")
NO_CLIENTS = (
    "--waive", "availability,error-rate,streaming-failures", "--why", "the demo has no clients",
)  # fmt: skip
GOOD = {
    "model": "claude-sonnet-4-5-20250929", "max_tokens": 16, "stream": True,
    "messages": [{"role": "user", "content": "Answer with one word."}],
}  # fmt: skip


class Client:
    """Sends request after request, whole ones or broken ones, until it is stopped."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._stopped, self.breaks = threading.Event(), threading.Event()
        self.answered = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.03):
            with suppress(OSError, http.client.HTTPException):
                self._ask({**GOOD, "messages": "none"} if self.breaks.is_set() else GOOD)

    def _ask(self, body: dict[str, object]) -> None:
        connection = http.client.HTTPConnection(
            self._parts.hostname or "", self._parts.port, timeout=60
        )
        headers = {"content-type": "application/json", "x-api-key": "any", "user-agent": "theirs"}
        try:
            connection.request("POST", "/v1/messages", json.dumps(body), headers)
            connection.getresponse().read()
            self.answered += 1
        finally:
            connection.close()


def migrating(folder: Any, *options: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """A migration in another terminal."""
    words = ("migrate", "--yes", "--fix", "--requests", "2", "--soak-interval", "0.3s", *options)
    started: AbstractContextManager[subprocess.Popen[str]] = folder.started(*words)
    return started


def evidence(folder: Any) -> frozenset[Path]:
    """The files of every soak so far."""
    return frozenset((folder.home / "migrate" / "runs").glob("*/samples.jsonl"))


def samples(folder: Any, earlier: frozenset[Path] = frozenset()) -> list[str]:
    """The lines of the evidence of the only run besides earlier ones."""
    found = list(evidence(folder) - earlier)
    return found[0].read_text().splitlines() if found else []


def eventually(done: Callable[[], bool]) -> None:
    assert Clock().wait_until(done, 120)


@pytest.fixture
def criteria(tmp_path: Path) -> str:
    """Bounds that some dozen requests can decide."""
    path = tmp_path / "criteria.json"
    wide = {"go": 0.3, "no_go": 0.3}
    path.write_text(json.dumps({"error-rate": wide, "streaming-failures": wide}))
    return str(path)


def test_soak_killed_in_the_middle_goes_on_with_its_evidence_and_is_go(
    demo: Any, criteria: str
) -> None:
    with Client(demo.url) as client:
        eventually(lambda: client.answered >= 30)
        with migrating(demo, "--soak", "7s", "--criteria", criteria, *WAIVED) as process:
            eventually(lambda: len(samples(demo)) >= 5)
            process.send_signal(signal.SIGKILL)
            process.wait()
        before = samples(demo)
        assert "soak: " in demo.run("status").out
        done = demo.run("migrate", "--yes")
    assert done.code == 0, done.err
    after = samples(demo)
    assert after[: len(before)] == before
    assert len(after) > len(before)
    (judged,) = [
        line for line in demo.journal() if (line["step"], line["event"]) == ("soak", "judged")
    ]
    evidence = judged["data"]["evidence"]
    looks = [json.loads(line)["data"] for line in after if json.loads(line)["kind"] == "look"]
    counted = sum(look["tallies"]["error-rate"]["n"] for look in looks)
    assert evidence["statistics"]["rates"]["error-rate"]["n"] == counted > 0
    assert evidence["looks"] == len(looks)
    verdicts = {row["id"]: row["verdict"] for row in evidence["criteria"]}
    assert (verdicts["cost-accuracy"], verdicts["audit-gaps"]) == ("GO", "GO")
    report = demo.home / "migrate" / "runs" / judged["run"] / "report.md"
    assert f"| GO | error-rate | 0 | {counted} |" in report.read_text()


def test_requests_that_break_take_the_change_back(demo: Any, criteria: str) -> None:
    untouched = demo.config.read_bytes()
    with Client(demo.url) as client:
        eventually(lambda: client.answered >= 30)
        with migrating(demo, "--soak", "10m", "--criteria", criteria, *WAIVED) as process:
            eventually(lambda: len(samples(demo)) >= 2)
            client.breaks.set()
            said, _ = process.communicate(timeout=120)
    assert process.returncode == 6, said
    assert "NO-GO: soak: error-rate: " in said
    assert demo.config.read_bytes() == untouched


def test_soak_takes_an_approval_ends_and_waits_while_it_is_held(demo: Any) -> None:
    given = ("--gate", "critical-bugs", "--by", "Kim", "--scope", "change 4711")
    with migrating(demo, "--soak", "20s", *NO_CLIENTS):  # long enough to ask for a hold in it
        eventually(lambda: len(samples(demo)) >= 1)
        assert demo.run("hold", "--why", "lunch").code == 0
        assert demo.run("approve", *given).code == 8  # until when?
        approved = demo.run("approve", *given, "--expires", "24h")
        assert approved.code == 0, approved.err
        held = demo.run("wait", "--for", "held", "--timeout", "120")
        assert held.code == 0, held.err
        assert json.loads(samples(demo)[-1])["data"]["verdict"] == "GO"
        assert "critical-bugs approved by Kim for change 4711, until " in approved.out


def test_abort_does_not_wait_for_the_bake_time(shared_demo: Any) -> None:
    untouched, earlier = shared_demo.config.read_bytes(), evidence(shared_demo)
    offer = ("--soak-requests", "50000")
    with migrating(shared_demo, "--soak", "1h", *offer, *NO_CLIENTS) as process:
        eventually(lambda: len(samples(shared_demo, earlier)) >= 3)
        aborted = shared_demo.run("abort", "--timeout", "120")
        assert aborted.code == 0, aborted.err
        assert process.wait(120) == 6
    assert shared_demo.config.read_bytes() == untouched


def test_soak_that_cannot_decide_is_refused(shared_demo: Any) -> None:
    refused = shared_demo.run("check", "--fix", "--soak", "30m")
    assert refused.code == 8
    assert "error-rate needs 4512 requests, and there are none now" in refused.err
    assert "accept it with --waive error-rate --why WORDS" in refused.err


def test_option_that_makes_no_sense_is_refused(shared_demo: Any) -> None:
    done = shared_demo.run("check", "--fix", "--soak", "1m", "--on-no-go", "pray")
    assert (done.code, "there is: rollback, freeze, ask" in done.err) == (8, True), done.err
