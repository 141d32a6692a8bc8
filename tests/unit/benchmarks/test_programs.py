"""Programs: a missing one says how to install it, a running one is ended, a sick one explained."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from benchmarks.gateway import wrk
from benchmarks.gateway.errors import BenchError, Missing, WrongAnswer
from benchmarks.gateway.process_tree import MemoryWatch, memory_mb, pids_of
from benchmarks.gateway.programs import PACKAGES, required, running, version, wait_until


@pytest.mark.parametrize("program", ["perf", "valgrind", "vgdb", "wrk"])
def test_missing_program_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match=f"apt-get install {PACKAGES[program]}"):
        required(program)


def test_version_is_the_first_line_a_program_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "nginx"
    script.write_text("#!/bin/sh\necho nginx version: 9 >&2\necho more >&2\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert version("nginx", "-v") == "nginx version: 9"


def test_process_is_ended_with_its_block(tmp_path: Path) -> None:
    with running(("sleep", "60"), tmp_path / "log", env=os.environ) as process:
        assert process.poll() is None
        assert pids_of(process.pid) == (process.pid,)
    assert process.returncode is not None


def test_process_that_does_not_get_ready_is_explained(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        running(("sh", "-c", "echo bad port; exit 3"), log, env=os.environ) as process,
        pytest.raises(BenchError, match=r"exited with 3: bad port"),
    ):
        wait_until(lambda: False, process, log, 10)


def test_process_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        running(("sleep", "60"), log, env=os.environ) as process,
        pytest.raises(BenchError, match=r"was not ready within 0\.02 s"),
    ):
        wait_until(lambda: False, process, log, 0.02)


def test_memory_of_a_process_tree_counts_its_children(tmp_path: Path) -> None:
    with running(("sleep", "60"), tmp_path / "log", env=os.environ) as child:
        whole, alone = memory_mb(os.getpid()), memory_mb(child.pid)
    assert whole > alone > 0


def test_memory_watch_keeps_the_peak() -> None:
    with MemoryWatch(os.getpid()) as watch:
        before = watch.peak_mb
        held = b"x" * (32 << 20)
    assert len(held) == 32 << 20
    assert watch.peak_mb > before


def test_memory_of_a_process_that_has_ended_is_an_error(tmp_path: Path) -> None:
    with running(("sleep", "60"), tmp_path / "log", env=os.environ) as process:
        pid = process.pid
    with pytest.raises(psutil.NoSuchProcess), MemoryWatch(pid):
        pass


def test_result_of_wrk_is_read_from_its_line() -> None:
    line = 'BENCH {"requests":3000,"seconds":1.5,"p50_ms":2.0,"p99_ms":9.0,"wrong":1}'
    found = wrk.parse(f"Running 2s test\n  Latency 1 ms\n\n{line}\n")
    assert found == wrk.Load(3000, 1.5, 2.0, 9.0, 1)
    assert found.per_second == 2000


def test_wrk_without_a_result_raises_what_it_said() -> None:
    with pytest.raises(WrongAnswer, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:1 Connection refused\n")
