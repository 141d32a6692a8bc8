"""Starts a second gateway with the planned files on a private port; ends what a kill left of one.

A trial carries the state root and the process that started it in its environment: when that process
is gone, the trial is nobody's, and the next one on the same state root ends it first.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from cco_migrate.client import GatewayClient, Health, NotAGateway, Unreachable
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.drivers import Started
from cco_migrate.drivers.orphans import STOP_TIMEOUT_S, ended
from cco_migrate.errors import ToolkitError
from cco_migrate.rehearsal import clone
from cco_migrate.scratch import PREFIX, scratch
from cco_migrate.world import Http

START_TIMEOUT_S = 20.0
RUN = "trial"
_OWNER, _FOLDER = "CCO_MIGRATE_OWNER", "CCO_MIGRATE_TRIAL"


def health_with(
    files: Mapping[ConfigName, bytes | None], context: Context, *, proxy: bool = False
) -> Health:
    """Start a gateway that loads these files, ask it how it is, and stop it.

    Args:
        proxy: Whether the old proxy has to serve beside it.

    Raises:
        ToolkitError: It did not start; the message is the last thing it said.
    """
    with scratch(RUN) as home:
        started = _start(home, files, context)
        try:
            ports = ("port", "proxy_port") if proxy else ("port",)
            return _health(home, started, ports, context)
        finally:
            _stop(started, context)


def end_abandoned(context: Context) -> int:
    """End what killed commands left on this state root: trials, and a rehearsal with its clone.

    Returns:
        How many processes.
    """
    world = context.world
    rehearsed = clone.end_abandoned(context.instance.migrate_dir, world)
    left = [pid for pid in world.processes.carrying(_mark(context)) if _is_nobodys(pid, context)]
    folders = {world.processes.environment(pid).get(_FOLDER, "") for pid in left}
    ended(left, world)
    for folder in map(Path, filter(None, folders)):
        if folder.name.startswith(PREFIX):
            shutil.rmtree(folder, ignore_errors=True)
    return len(left) + rehearsed


def _mark(context: Context) -> dict[str, str]:
    return {"CCO_MIGRATE_RUN": RUN, "CCO_MIGRATE_HOME": str(context.instance.home)}


def _is_nobodys(pid: int, context: Context) -> bool:
    processes = context.world.processes
    owner, _, birth = processes.environment(pid).get(_OWNER, "").partition("/")
    return not (owner.isdecimal() and processes.birth(int(owner)) == birth)


def _start(home: Path, files: Mapping[ConfigName, bytes | None], context: Context) -> Started:
    world, directory = context.world, home / "config"
    world.files.make_directory(directory)
    for name, data in files.items():
        if data is not None:
            world.files.replace(directory / name.filename, data)
    command = world.processes.python_module(
        "gateway", "run", "--home", str(home), "--config-dir", str(directory),
        "--host", "127.0.0.1", "--port", "0",
    )  # fmt: skip
    owner = f"{os.getpid()}/{world.processes.birth(os.getpid())}"
    log, more = home / "trial.log", {_OWNER: owner, _FOLDER: str(home)}
    context.waiting("a trial start on a private port", START_TIMEOUT_S)
    return Started(world.processes.spawn(command, log, {**_mark(context), **more}), log, 0)


def _health(home: Path, started: Started, ports: Sequence[str], context: Context) -> Health:
    def settled() -> bool:
        return started.process.poll() is not None or all(_port(home, name) for name in ports)

    in_time = context.world.clock.wait_until(settled, START_TIMEOUT_S, every_s=0.02)
    port = _port(home, "port")  # also while no client is sent to the gateway
    if started.process.poll() is not None or not in_time or port is None:
        raise ToolkitError(started.last_lines(1) or "it said nothing")
    http = Http()  # its own, closed at once: an open connection would hold up the drain
    try:
        return GatewayClient(f"http://127.0.0.1:{port}", http).health()
    except (Unreachable, NotAGateway) as error:
        raise ToolkitError(str(error)) from error
    finally:
        http.close()


def _stop(started: Started, context: Context) -> None:
    process, world = started.process, context.world
    world.processes.signal(process.pid, signal.SIGTERM)
    if not world.clock.wait_until(lambda: process.poll() is not None, STOP_TIMEOUT_S):
        process.kill()
        process.wait()


def _port(home: Path, name: str) -> int | None:
    try:
        return int(json.loads((home / "daemon.pid").read_bytes())[name])
    except (OSError, ValueError, KeyError, TypeError):
        return None
