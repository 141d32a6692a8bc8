"""Counters: what they print is understood, and one that counts nothing is an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psutil
import pytest

from benchmarks.gateway.callgrind import Callgrind, parse_dump
from benchmarks.gateway.counters import Choice, choose, instructions
from benchmarks.gateway.errors import BenchError, Missing, NothingCounted
from benchmarks.gateway.perf import Perf, parse_counts
from benchmarks.gateway.programs import required, running

DUMP = "version: 1\npid: 7\npart: 2\n\nevents: Ir\nsummary: {}\n\nfn=(1)\n0 9\n\ntotals: 4711\n"


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ("123456,,instructions:u,5000,100.00,,\n", 123456),
        ("70,,cpu_core/instructions/u,1,1,,\n<not counted>,,cpu_atom/instructions/u,0,0,,\n", 70),
        ("70,,cpu_core/instructions/u,1,1,,\n5,,cpu_atom/instructions/u,0,0,,\n", 75),
        ("Events disabled\n3.25,msec,task-clock:u,3,100.00,,\n", 3),
    ],
)
def test_what_perf_says_is_summed(said: str, count: int) -> None:
    assert parse_counts(said) == count


@pytest.mark.parametrize(
    "said",
    [
        "",
        "<not supported>,,instructions:u,0,100.00,,\n",
        "<not counted>,,instructions:u,0,0.00,,\n",
        "0,,instructions:u,5000,100.00,,\n",
        "Error: no access to performance monitoring\n",
    ],
)
def test_perf_that_counts_nothing_raises(said: str) -> None:
    with pytest.raises(NothingCounted, match=r"perf counted nothing: \S"):
        parse_counts(said)


def test_dump_of_callgrind_tells_its_summary_not_its_totals() -> None:
    assert parse_dump(DUMP.format(475408184)) == 475408184


@pytest.mark.parametrize(
    "text", ["", DUMP, "summary: 12\n", "events: Ir Dr\nsummary: 12 4\n", "events: Ir\n"]
)
def test_dump_without_instructions_raises(text: str) -> None:
    with pytest.raises(NothingCounted, match="tells no instructions"):
        parse_dump(text)


class Fixed:
    """A counter that counts what it was told."""

    name = "fixed"

    def __init__(self, total: int) -> None:
        self.total = total

    def command(self, command: Sequence[str]) -> tuple[str, ...]:
        return tuple(command)

    def count(self, pids: Iterable[int], load: Callable[[], None]) -> int:
        load()
        return self.total


def test_count_of_a_load_is_returned() -> None:
    done: list[str] = []
    assert instructions(Fixed(7), (1,), lambda: done.append("load")) == 7
    assert done == ["load"]


def test_counter_that_counts_nothing_raises() -> None:
    with pytest.raises(NothingCounted, match="fixed counted 0"):
        instructions(Fixed(0), (1,), lambda: None)


def program(folder: Path, name: str, body: str) -> None:
    """Put a shell script on the path under a program's name."""
    script = folder / name
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)


COUNTS = "echo '1234,,instructions:u,5,100.00,,' >&2; echo 'perf version 6.1'"
COUNTS_NOTHING = "echo '<not supported>,,instructions:u,0,100.00,,' >&2"
VALGRIND = {"valgrind": "echo valgrind-3.19.0", "vgdb": ""}


@pytest.mark.parametrize(
    ("choice", "programs", "kind"),
    [
        (Choice.AUTO, {"perf": COUNTS, **VALGRIND}, Perf),
        (Choice.AUTO, {"perf": COUNTS}, Perf),
        (Choice.AUTO, {"perf": COUNTS_NOTHING, **VALGRIND}, Callgrind),
        (Choice.AUTO, VALGRIND, Callgrind),
        (Choice.PERF, {"perf": COUNTS, **VALGRIND}, Perf),
        (Choice.CALLGRIND, {"perf": COUNTS, **VALGRIND}, Callgrind),
    ],
)
def test_counter_is_perf_where_it_counts_else_callgrind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    choice: Choice,
    programs: dict[str, str],
    kind: type,
) -> None:
    for name, body in programs.items():
        program(tmp_path, name, body)
    monkeypatch.setenv("PATH", str(tmp_path))
    counter = choose(choice, tmp_path)
    assert isinstance(counter, kind)
    assert "perf version 6.1" in counter.name or "valgrind-3.19.0" in counter.name


@pytest.mark.parametrize(
    ("choice", "programs", "error", "said"),
    [
        (Choice.AUTO, {}, Missing, "apt-get install valgrind"),
        (Choice.AUTO, {"perf": COUNTS_NOTHING}, Missing, "apt-get install valgrind"),
        (Choice.PERF, {}, Missing, "apt-get install linux-perf"),
        (Choice.PERF, {"perf": COUNTS_NOTHING, **VALGRIND}, NothingCounted, "not supported"),
        (Choice.CALLGRIND, {}, Missing, "apt-get install valgrind"),
    ],
)
def test_no_counter_that_works_says_what_to_install(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    choice: Choice,
    programs: dict[str, str],
    error: type[BenchError],
    said: str,
) -> None:
    for name, body in programs.items():
        program(tmp_path, name, body)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(error, match=said):
        choose(choice, tmp_path)


def test_perf_that_ends_early_raises_what_it_said(tmp_path: Path) -> None:
    program(tmp_path, "perf", "echo 'Permission denied' >&2; exit 1")
    counter = Perf("perf", str(tmp_path / "perf"))
    with pytest.raises(NothingCounted, match="Permission denied"):
        counter.count((os.getpid(),), lambda: None)


def test_callgrind_that_takes_no_orders_raises(tmp_path: Path) -> None:
    program(tmp_path, "vgdb", "echo 'no FIFO found' >&2; exit 2")
    counter = Callgrind("callgrind", "valgrind", str(tmp_path / "vgdb"), tmp_path)
    with pytest.raises(BenchError, match=r"instrumentation on.*no FIFO found"):
        counter.count((os.getpid(),), lambda: None)


def test_callgrind_that_writes_no_dump_raises(tmp_path: Path) -> None:
    program(tmp_path, "vgdb", "exit 0")
    counter = Callgrind("callgrind", "valgrind", str(tmp_path / "vgdb"), tmp_path)
    with pytest.raises(NothingCounted, match="0 dumps"):
        counter.count((os.getpid(),), lambda: None)


# Work on demand: each line read is answered when so much is done.
WORKER = """\
import os, sys
for line in sys.stdin:
    for _ in range(int(line)):
        pass
    print("done", flush=True)
"""


@pytest.mark.real
def test_twice_the_work_counts_twice_the_instructions(tmp_path: Path) -> None:
    counter = choose(Choice.AUTO, tmp_path)
    orders, answers, log = tmp_path / "orders", tmp_path / "answers", tmp_path / "log"
    os.mkfifo(orders)
    os.mkfifo(answers)
    shell = f'exec "$@" <{orders} >{answers}'
    command = ("sh", "-c", shell, "sh", *counter.command((sys.executable, "-S", "-c", WORKER)))
    with (
        running(command, log, env=os.environ) as process,
        orders.open("w") as ask,
        answers.open() as told,
    ):

        def count(turns: int) -> int:
            return instructions(counter, (process.pid,), lambda: work(turns))

        def work(turns: int) -> None:
            print(turns, file=ask, flush=True)
            assert told.readline() == "done\n"

        work(1)
        once, twice = count(100_000), count(200_000)
    assert twice == pytest.approx(2 * once, rel=0.05)


@pytest.mark.real
def test_perf_counts_only_while_the_load_runs(tmp_path: Path) -> None:
    """With an event of the kernel's, which machines without an instruction counter have too."""
    counter = Perf("perf", required("perf"), event="task-clock:u")
    busy = (sys.executable, "-c", "while True: pass")
    with running(busy, tmp_path / "log", env=os.environ) as process:
        times = psutil.Process(process.pid).cpu_times

        def load(seconds: float = 0.2) -> None:
            until = times().user + seconds
            while times().user < until:
                pass

        begun = times().user
        load(0.5)  # which must not be counted
        counted = counter.count((process.pid,), load)
        spent = times()
        # What it did while perf was told to stop belongs to it; a tick of its clock is 10 ms.
        assert 180 <= counted <= 1000 * (spent.user + spent.system - begun - 0.5) + 20
