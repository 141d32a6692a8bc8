"""A run that is steered from another terminal: held, released, stopped, aborted."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCRIPT = str(Path(sys.executable).parent / "cco-migrate")


@contextmanager
def migrating(folder: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A migration in another terminal; it is killed when a test leaves it behind."""
    with subprocess.Popen(
        [SCRIPT, "migrate", "--yes", "--fix"], cwd=folder.path, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def test_held_run_waits_is_stopped_by_a_signal_and_goes_on_when_released(demo: Any) -> None:
    assert demo.run("step.backup", "--yes", "--fix").code == 0
    assert demo.run("hold", "--why", "lunch").code == 0
    with migrating(demo) as process:
        held = demo.run("wait", "--for", "held", "--timeout", "120")
        assert held.code == 0, held.err
        status = demo.run("status")
        assert "(lunch); clear it with: cco-migrate release" in status.out
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 143
    assert [line["event"] for line in demo.journal()][-2:] == ["held", "interrupted"]
    assert "release, then go on with: cco-migrate migrate" in demo.run("status").out
    assert demo.run("release").code == 0
    rest = demo.run("migrate", "--yes", "--fix")
    assert rest.code == 0, rest.err


def test_abort_stops_the_process_that_works_on_the_run_and_brings_the_old_state_back(
    demo: Any,
) -> None:
    before = demo.config.read_bytes()
    assert demo.run("step.enable", "--yes", "--fix").code == 0
    assert demo.run("hold").code == 0
    with migrating(demo) as process:
        assert demo.run("wait", "--for", "held", "--timeout", "120").code == 0
        aborted = demo.run("abort", "--why", "wrong window", "--timeout", "120")
        assert aborted.code == 0, aborted.err
        assert process.wait(120) == 6
    assert demo.config.read_bytes() == before
    assert "wrong window" in demo.run("status").out
    assert not list((demo.home / "migrate" / "runs").glob("*/*.request.json"))


def test_abort_of_a_run_nobody_works_on_goes_back_by_itself(demo: Any) -> None:
    before = demo.config.read_bytes()
    assert demo.run("step.enable", "--yes", "--fix").code == 0
    aborted = demo.run("abort")
    assert aborted.code == 0, aborted.err
    assert aborted.out.startswith("ROLLED BACK")
    assert demo.config.read_bytes() == before


def test_new_run_over_an_open_one_is_refused_with_what_to_do(demo: Any) -> None:
    assert demo.run("step.backup", "--yes", "--fix").code == 0
    config = demo.config
    other = demo.run(
        "migrate", "--yes", "--home", str(demo.home), "--config", str(config),
        "--url", "http://127.0.0.1:9",
    )  # fmt: skip
    assert other.code == 8, other.err
    assert f"is open and it is about {demo.url}" in other.err
    assert "a new run over it is refused" in other.err
    assert "goes on with that one" in other.err
