"""What a killed attempt of the same run has started is waited for, never doubled."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate.commands import services
from cco_migrate.context import Context
from cco_migrate.drivers import adopted
from cco_migrate.drivers.command import CommandDriver
from cco_migrate.drivers.orphans import birthmark
from cco_migrate.model import DriverSpec, Step
from cco_migrate.progress import Output
from cco_migrate.session import Session
from cco_migrate.steps.services import Converge, StartService
from cco_migrate.target import Target

STEP = Step(7, "restart", "restart", "service.start")


@pytest.fixture
def context(context_at: Callable[[str], Context], closed_port: int) -> Context:
    return context_at(f"http://127.0.0.1:{closed_port}")


@pytest.fixture
def orphan(context: Context, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that an attempt of the same run has started, and that cannot be found yet."""
    process = context.world.processes.spawn(
        ["sleep", "60"], tmp_path / "orphan.log", birthmark(context)
    )
    mark = birthmark(context)
    assert context.world.clock.wait_until(lambda: bool(context.world.processes.carrying(mark)), 60)
    yield process
    process.kill()
    process.wait()


def test_nothing_is_waited_for_when_nothing_was_started(context: Context) -> None:
    looks: list[None] = []
    assert adopted(context, lambda: looks.append(None)) is None
    assert len(looks) == 1


def test_orphan_is_waited_for_until_it_shows_itself(
    context: Context, orphan: subprocess.Popen[bytes]
) -> None:
    looks: list[str | None] = ["pid 17", None, None, None]

    def find() -> str | None:
        return looks.pop() if len(looks) > 1 else looks[0]

    assert adopted(context, find) == "pid 17"


def test_orphan_that_dies_leaves_room_for_a_start(
    context: Context, orphan: subprocess.Popen[bytes]
) -> None:
    def find() -> str | None:
        orphan.kill()
        orphan.poll()
        return None

    assert adopted(context, find) is None


def test_orphan_of_another_run_or_state_root_is_none_of_ours(
    context: Context, orphan: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    elsewhere = replace(context.instance, home=tmp_path / "other")
    for other in (replace(context, run="mo-other"), replace(context, instance=elsewhere)):
        assert adopted(other, lambda: None) is None


SLOW = """
import pathlib, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
with (folder / "starts").open("a") as file: print("one", file=file)
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(b'{"status": "ok", "overrides_enabled": true}')
    def log_message(self, *args): pass
while not (folder / "go").exists(): time.sleep(0.005)
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def slow_start(context: Context, tmp_path: Path) -> str:
    """A start command whose gateway answers only after the file `go` is there."""
    (tmp_path / "slow.py").write_text(SLOW)
    port = context.instance.url.rpartition(":")[2]
    return f"{sys.executable} {tmp_path / 'slow.py'} {port} {tmp_path}"


@pytest.mark.parametrize("action", [StartService(), Converge()])
def test_step_killed_after_its_start_does_not_start_a_second_one(
    context: Context, tmp_path: Path, slow_start: str, action: StartService | Converge
) -> None:
    spec = DriverSpec("command", start=slow_start, stop="true")

    def waiting(what: str, _timeout_s: float) -> None:
        if "killed attempt" in what:
            (tmp_path / "go").touch()

    instance = replace(context.instance, driver=spec)
    context = replace(context, instance=instance, waiting=waiting)
    first = CommandDriver(context).start()
    assert context.world.clock.wait_until((tmp_path / "starts").exists, 60)
    try:
        action.apply(replace(STEP, params={"overrides_enabled": True}), {}, context)
        assert first.process.poll() is None
        assert (tmp_path / "starts").read_text() == "one\n"
    finally:
        first.process.kill()
        first.process.wait()


class Going(Output):
    """Lets the slow gateway go on as soon as it is waited for."""

    def __init__(self, go: Path) -> None:
        super().__init__(quiet=True)
        self.go = go

    def waiting(self, what: str, timeout_s: float) -> None:
        if "killed attempt" in what:
            self.go.touch()


def test_gateway_start_finds_what_a_killed_one_has_started(
    context: Context, tmp_path: Path, slow_start: str
) -> None:
    home = context.instance.home
    context.instance.config.touch()
    target = Target(str(home), url=context.instance.url, start=slow_start, stop="true")
    session = Session(target, Going(tmp_path / "go"), context.world)
    first = CommandDriver(session.context(session.instance())).start()
    assert context.world.clock.wait_until((tmp_path / "starts").exists, 60)
    try:
        assert "by a command that was killed" in services.gateway_start(session).text
        assert first.process.poll() is None
        assert (tmp_path / "starts").read_text() == "one\n"
    finally:
        first.process.kill()
        first.process.wait()
