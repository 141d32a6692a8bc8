"""A canary on real processes: through a kill to the soft cutover, and back from its first share."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest

from cco_migrate.world import Clock

KIND = ("--kind", "gateway-cutover")
WATCHED = (
    "--soak-interval", "0.4s", "--waive", "availability,error-rate,streaming-failures",
    "--why", "a stage of seconds sees too few clients",
)  # fmt: skip
LONG_S = 180.0


def migrating(folder: Any, *options: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """A canary in another terminal."""
    words = ("migrate", *KIND, "--phase", "2", "--yes", *WATCHED, *options)
    started: AbstractContextManager[subprocess.Popen[str]] = folder.started(*words)
    return started


def eventually(done: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until something is so; a process that was to bring it about must not have ended."""
    ended = process.poll if process else lambda: None
    Clock().wait_until(lambda: done() or ended() is not None, 120)
    assert done(), process.communicate(timeout=10)[0] if process and ended() is not None else ""


def cut_over(folder: Any) -> Path | None:
    """The folder of the run of phase 2; None before it began."""
    found = [
        path.parent for path in (folder.home / "migrate" / "runs").glob("*/plan.json")
        if b'"canary-25"' in path.read_bytes()
    ]  # fmt: skip
    return found[0] if found else None


def judged(folder: Any) -> dict[str, str]:
    """The verdict of every step that was judged so far, in order."""
    run = cut_over(folder)
    path = run / "journal.jsonl" if run else None
    *lines, _torn = path.read_bytes().split(b"\n") if path and path.exists() else [b""]
    entries = map(json.loads, lines)
    return {
        one["step"]: one["data"]["evidence"]["verdict"]
        for one in entries if one["event"] == "judged"
    }  # fmt: skip


def switches(folder: Any) -> Any:
    return json.loads((folder.config.parent / "daemon-config.json").read_bytes())


@pytest.fixture
def validated(folder: Any) -> Any:
    """A demo on its old path whose gate of phase 1 was passed."""
    done = folder.run("migrate", *KIND, "--phase", "1", "--yes", timeout_s=LONG_S)
    assert done.code == 0, done.err
    return folder


def test_canary_goes_on_after_a_kill_and_breaks_no_stream_of_a_live_client(
    validated: Any, live_client: Callable[[str], Any]
) -> None:
    folder, before = validated, validated.tree()
    options = ("--canary", "25,60", "--canary-soak", "3s")
    with live_client(folder.url) as client:
        with migrating(folder, *options) as process:
            eventually(lambda: "canary-25" in judged(folder), process)
            process.send_signal(signal.SIGKILL)
            process.wait()
        said = folder.run("status").out
        assert "canary of 25 %: " in said
        assert "ended with GO" in said
        done = folder.run("migrate", *KIND, "--phase", "2", "--yes", timeout_s=LONG_S)
        assert done.code == 0, done.err
        assert switches(folder) == {"gatewayEnabled": True, "proxyEnabled": False}
        assert folder.run("report.verify").code == 0
        back = folder.run("rollback", "--yes", timeout_s=LONG_S)
        assert back.code == 0, back.err
        seen = client.whole
        eventually(lambda: client.whole > seen)
    assert client.faults == []
    after = folder.tree()
    assert {name: after[name] for name in before} == before
    found = judged(folder)
    assert set(found.values()) == {"GO"}
    order = [step for step in found if step.startswith("canary") or step == "gate"]
    of_a_stage = ("validate", "proof", "routes", "launcher")
    assert order == [
        *(f"canary-{share}{name}" for share in (25, 60)
          for name in (*(f"-{own}" for own in of_a_stage), "")),
        "gate",
    ]  # fmt: skip


def test_stage_that_fails_its_requests_takes_the_whole_way_back(validated: Any) -> None:
    """The provider ends while the first share is watched."""
    folder, before = validated, validated.tree()
    upstream = json.loads((folder.path / ".cco-demo" / "upstream.json").read_bytes())
    options = ("--canary", "25,60", "--canary-soak", "10m", "--soak-requests", "12000")
    with migrating(folder, *options) as process:
        eventually(lambda: _looks(folder) >= 3, process)
        psutil.Process(upstream["pid"]).kill()
        said, _ = process.communicate(timeout=240)
    assert process.returncode == 6, said
    assert "NO-GO: canary of 25 %: " in said
    assert "synthetic-failures: " in said
    after = folder.tree()
    assert {name: after[name] for name in before} == before
    found = judged(folder)
    assert found["canary-25"] == "NO-GO"
    assert not any(step.startswith("canary-60") for step in found)
    assert {found[step] for step in ("back-proof", "back-routes", "back-launcher")} == {"GO"}


def _looks(folder: Any) -> int:
    run = cut_over(folder)
    path = run / "samples-canary-25.jsonl" if run else None
    return len(path.read_text().splitlines()) if path and path.exists() else 0
