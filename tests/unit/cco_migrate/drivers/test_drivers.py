"""Drivers: they act on the recorded process or the operator's commands, and say what went wrong."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate.context import Context
from cco_migrate.drivers import DRIVERS, driver_of
from cco_migrate.drivers.command import CommandDriver, split
from cco_migrate.drivers.orphans import birthmark
from cco_migrate.drivers.process import ProcessDriver
from cco_migrate.drivers.started import Started
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.model import DriverSpec
from cco_migrate.world import Processes, World

Reply = tuple[int, Mapping[str, str], bytes]
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]

HEALTHY: Reply = (200, {}, b'{"status": "ok"}')


@pytest.fixture
def context(context_at: Callable[[str], Context], closed_port: int) -> Context:
    """Nobody answers at its URL."""
    return context_at(f"http://127.0.0.1:{closed_port}")


def pid_file(context: Context) -> Path:
    return context.instance.home / "daemon.pid"


def test_process_driver_finds_the_recorded_process(
    context: Context, daemon: Callable[[str], int]
) -> None:
    pid = daemon("")
    driver = ProcessDriver(context)
    assert (driver.pid(), driver.find(), driver.can_replace()) == (pid, f"pid {pid}", True)


def changed(path: Path, **more: object) -> str:
    return json.dumps({**json.loads(path.read_text()), **more})


RECORDS: Mapping[str, Callable[[Path], str]] = {
    "truncated": lambda path: path.read_text()[:-10],
    "empty": lambda _path: "",
    "another shape": lambda _path: "[]",
    "without a start time": lambda _path: '{"pid": 1}',
    "no number": lambda path: changed(path, pid="x"),
    "no time": lambda path: changed(path, started_at="yesterday"),
    "reused pid": lambda path: changed(path, started_at="2020-01-01T00:00:00+00:00"),
    "group of processes": lambda path: changed(path, pid=-1),
    "dead pid": lambda path: changed(path, pid=2**22 + 1),
    "born another time": lambda path: changed(path, birth="another-boot:1"),
}


@pytest.mark.parametrize(("run", "found"), [("mo-1", True), ("mo-2", False), (None, False)])
def test_process_driver_knows_what_a_run_started_although_the_clock_was_stepped(
    context: Context, tmp_path: Path, run: str | None, found: bool
) -> None:
    mark = birthmark(replace(context, run="mo-1"))
    process = context.world.processes.spawn(["sleep", "60"], tmp_path / "log", mark)
    try:
        assert context.world.clock.wait_until(
            lambda: process.pid in context.world.processes.carrying(mark), 10
        )
        row = {"pid": process.pid, "started_at": "2020-01-01T00:00:00+00:00", "run": run}
        context.instance.home.mkdir(exist_ok=True)
        pid_file(context).write_text(json.dumps(row))
        assert ProcessDriver(context).pid() == (process.pid if found else None)
    finally:
        process.kill()
        process.wait()
    assert ProcessDriver(context).pid() is None


def test_process_driver_knows_a_process_by_its_birth_whatever_the_clock_says(
    context: Context, daemon: Callable[[str], int]
) -> None:
    pid, path = daemon(""), pid_file(context)
    birth = context.world.processes.birth(pid)
    path.write_text(changed(path, started_at="2020-01-01T00:00:00+00:00", birth=birth))
    assert ProcessDriver(context).pid() == pid


@pytest.mark.parametrize("kind", RECORDS)
def test_process_driver_signals_nobody_for_a_pid_file_that_is_not_true(
    context: Context, daemon: Callable[[str], int], tmp_path: Path, kind: str
) -> None:
    pid = daemon("")
    pid_file(context).write_text(RECORDS[kind](pid_file(context)))
    driver = ProcessDriver(context)
    assert (driver.pid(), driver.find(), driver.can_replace()) == (None, None, False)
    for act in (driver.replace, lambda: driver.stop(1)):
        with pytest.raises(ToolkitError, match=r"daemon\.pid names no gateway that runs"):
            act()
    os.kill(pid, 0)  # it lives
    assert not (tmp_path / "hup").exists()


def test_process_driver_without_a_pid_file_finds_nothing(context: Context) -> None:
    assert ProcessDriver(context).find() is None


def test_process_driver_replaces_by_sighup(
    context: Context, daemon: Callable[[str], int], tmp_path: Path
) -> None:
    daemon("")
    ProcessDriver(context).replace()
    assert context.world.clock.wait_until((tmp_path / "hup").exists, 60, every_s=0.005)


def test_process_driver_stops_and_finds_nothing_then(
    context: Context, daemon: Callable[[str], int]
) -> None:
    pid = daemon("")
    driver = ProcessDriver(context)
    assert driver.stop(60) == f"pid {pid}"
    assert driver.find() is None


def test_process_driver_never_kills_what_does_not_end(
    context: Context, daemon: Callable[[str], int]
) -> None:
    pid = daemon("stubborn")
    with pytest.raises(ToolkitError, match=f"gateway pid {pid} is still draining") as raised:
        ProcessDriver(context).stop(0.1)
    assert "takes no new requests" in raised.value.state
    os.kill(pid, 0)


class Echo(Processes):
    """Runs a program that prints its arguments in place of a gateway."""

    def python_module(self, *arguments: str) -> list[str]:
        code = "import os, sys; print(os.environ['CCO_MIGRATE_RUN'], *sys.argv[1:])"
        return [sys.executable, "-c", code, *arguments]


def test_process_driver_starts_the_gateway_of_the_instance(context: Context) -> None:
    world = replace(context.world, processes=Echo())
    log = context.instance.log
    assert log is not None
    log.write_text("before\n")
    started = ProcessDriver(replace(context, world=world)).start()
    assert started.process.wait(60) == 0
    home, port = context.instance.home, context.instance.url.rpartition(":")[2]
    assert started.last_lines() == (
        f"mo-test gateway run --home {home} --config-dir {home / 'config'} "
        f"--host 127.0.0.1 --port {port}"
    )
    assert started.failure() is None


@pytest.fixture
def running() -> Iterator[list[Started]]:
    started: list[Started] = []
    yield started
    for one in started:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
        one.process.wait()


def script(tmp_path: Path, name: str, text: str) -> str:
    path = tmp_path / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def with_commands(context: Context, **commands: str) -> Context:
    spec = DriverSpec("command", **commands)
    return replace(context, instance=replace(context.instance, driver=spec))


def test_start_that_dies_is_told_with_its_last_words(
    context: Context, tmp_path: Path, running: list[Started]
) -> None:
    dying = script(tmp_path, "start", "echo old; echo no port free >&2; exit 3")
    running.append(CommandDriver(with_commands(context, start=dying, stop="true")).start())
    running[0].process.wait(60)
    assert running[0].failure() == "it ended with exit status 3: old | no port free"


def test_start_that_stays_in_the_foreground_is_left_running(
    context: Context, tmp_path: Path, running: list[Started]
) -> None:
    staying = script(tmp_path, "start", "echo up; exec sleep 600")
    running.append(CommandDriver(with_commands(context, start=staying, stop="true")).start())
    started = running[0]
    assert context.world.clock.wait_until(lambda: started.last_lines() == "up", 60, every_s=0.005)
    assert (started.process.poll(), started.failure()) == (None, None)


def test_start_that_is_killed_is_told(context: Context, running: list[Started]) -> None:
    running.append(CommandDriver(with_commands(context, start="sleep 600", stop="true")).start())
    running[0].process.kill()
    running[0].process.wait()
    assert running[0].failure() == "it ended with signal 9: no output"


def test_restart_command_is_used_where_there_is_no_start(
    context: Context, running: list[Started]
) -> None:
    driver = CommandDriver(with_commands(context, restart="echo again"))
    assert driver.stop(1) == "left to the restart command"
    running.append(driver.start())
    assert running[0].process.wait(60) == 0
    assert running[0].last_lines() == "again"


def test_second_start_shows_only_its_own_words(context: Context, running: list[Started]) -> None:
    for word in ("first", "second"):
        running.append(CommandDriver(with_commands(context, start=f"echo {word}")).start())
        running[-1].process.wait(60)
    assert running[1].last_lines() == "second"


def test_stop_that_ends_well_is_believed_when_nobody_answers(context: Context) -> None:
    assert CommandDriver(with_commands(context, stop="true")).stop(1) == "true"


@pytest.mark.parametrize(
    ("text", "said"),
    [("echo busy; exit 4", "ended with 4: busy"), ("exec sleep 600", "did not end within")],
)
def test_stop_that_fails_is_told(context: Context, tmp_path: Path, text: str, said: str) -> None:
    command = script(tmp_path, "stop", text)
    with pytest.raises(ToolkitError, match=said):
        CommandDriver(with_commands(context, stop=command)).stop(0.5)


def test_stop_that_stops_nothing_is_told(
    serve: Serve, context_at: Callable[[str], Context]
) -> None:
    context = with_commands(context_at(serve(lambda *_: HEALTHY)), stop="true")
    with pytest.raises(ToolkitError, match="still answers after `true`"):
        CommandDriver(context).stop(0.1)


@pytest.mark.parametrize("reply", [HEALTHY, (503, {}, b"{}"), (200, {}, b"<p>not json")])
def test_command_driver_finds_whatever_answers(
    serve: Serve, context_at: Callable[[str], Context], reply: Reply
) -> None:
    context = with_commands(context_at(serve(lambda *_: reply)), restart="true")
    assert CommandDriver(context).find() == context.instance.url


def test_command_driver_finds_nothing_and_replaces_nothing(context: Context) -> None:
    driver = CommandDriver(with_commands(context, restart="true"))
    assert (driver.find(), driver.pid(), driver.can_replace()) == (None, None, False)
    with pytest.raises(ToolkitError, match="only be stopped and started"):
        driver.replace()


@pytest.mark.parametrize(("text", "said"), [("", "is empty"), (" ", "is empty"), ('a "b', "clos")])
def test_command_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"--stop.*{said}"):
        split(text, "--stop")


def test_command_is_split_without_a_shell() -> None:
    assert split("systemctl stop 'my unit' $HOME;ls", "--stop") == [
        "systemctl", "stop", "my unit", "$HOME;ls",
    ]  # fmt: skip


def test_last_lines_of_a_log_that_is_gone_are_empty(tmp_path: Path, world: World) -> None:
    log = tmp_path / "log"
    process = world.processes.spawn(["true"], log)
    process.wait(60)
    log.unlink()
    assert Started(process, log, 0).last_lines() == ""


@pytest.mark.parametrize("kind", DRIVERS)
def test_driver_of_knows_every_kind(context: Context, kind: str) -> None:
    spec = DriverSpec(kind, restart="true")
    made = driver_of(replace(context, instance=replace(context.instance, driver=spec)))
    assert made.find() is None
