"""A clone of a deployment: its files, a gateway and an upstream of its own, in a folder of its own.

The folder is `migrate/rehearsal/clone` of the real state root, which nobody else can read: the
files may hold secrets. Everything that is started carries the clone's state root in its
environment, so that what a killed rehearsal leaves is found and ended by whoever comes next.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.demo import free_ports
from cco_migrate.drivers.orphans import birthmark, ended
from cco_migrate.drivers.process import ProcessDriver
from cco_migrate.drivers.started import Started
from cco_migrate.errors import LockHeld, ToolkitError
from cco_migrate.model import DriverSpec, Instance
from cco_migrate.rehearsal.isolation import Upstream, isolated, on_the_old_path
from cco_migrate.runs import lock
from cco_migrate.steps.services import await_ready
from cco_migrate.world import Http, World

FOLDER = "rehearsal"
"""In the folder `migrate` of the state root; has the rehearsal's lock, and its clone."""
START_TIMEOUT_S = 20.0

_RUN = "rehearsal"
_KEY = b"rehearsal\n"
_READY = "upstream.json"
_DELAY_MS = "1"
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone that serves.

    Attributes:
        context: Of its instance, outside of any run.
        upstream: Base URL of what answers in place of every provider.
        began_back: Whether the deployment is cut over, so that the clone was taken back first.
    """

    context: Context
    upstream: str
    began_back: bool


@contextmanager
def cloned(source: Context, found: Mapping[ConfigName, bytes | None]) -> Iterator[Clone]:
    """Make a clone of a deployment and let it serve; nothing of it is left afterwards.

    The caller holds the lock of `folder_of`.

    Args:
        found: The deployment's files; None for one that is absent.

    Raises:
        InvalidInput: A configuration file is wrong.
        ToolkitError: The clone did not start; the message has its last words.
    """
    home = folder_of(source.instance.migrate_dir) / "clone"
    world = replace(source.world, http=Http())  # closed with the clone it talks to
    children: list[Started] = []
    _remove(home, world)
    try:
        context = Context(world, _instance(home), _RUN, home, {}, source.waiting, dict)
        children.append(_start_upstream(context))
        upstream = _await_upstream(context, children[0])
        began_back = _copy(source.instance, found, context, upstream)
        children.append(ProcessDriver(context).start())
        await_ready(context, children[1])
        yield Clone(context, upstream.url, began_back)
    finally:
        world.http.close()
        _remove(home, world)
        for child in children:
            child.process.wait()


def folder_of(migrate_dir: Path) -> Path:
    """Return where rehearsals of a state root happen."""
    return migrate_dir / FOLDER


def end_abandoned(migrate_dir: Path, world: World) -> int:
    """End what a killed rehearsal of this state root left; return how many processes.

    One that is under way is let alone.
    """
    folder = folder_of(migrate_dir)
    if not (folder / "clone").exists():
        return 0
    try:
        with lock.held(folder / "migrate", world, why="remove what a killed rehearsal left"):
            return _remove(folder / "clone", world)
    except LockHeld:
        return 0


def _remove(home: Path, world: World) -> int:
    """End the processes of a clone and remove its folder; the folder goes last, for it names it."""
    count = 0
    for _ in range(_LOOKS):  # what ends may just have started something
        left = world.processes.carrying({"CCO_MIGRATE_HOME": str(home)})
        if not left:
            break
        ended(left, world)
        count += len(left)
    if home.exists():
        shutil.rmtree(home)
    return count


def _instance(home: Path) -> Instance:
    (port,) = free_ports(1)
    return Instance(
        name="rehearsal",
        url=f"http://127.0.0.1:{port}",
        config=home / "config" / ConfigName.OVERRIDES.filename,
        home=home,
        driver=DriverSpec("process"),
        log=home / "daemon.log",
        demo=True,  # its gates ask neither for days of traffic nor for people
    )


def _copy(
    source: Instance, found: Mapping[ConfigName, bytes | None], context: Context, upstream: Upstream
) -> bool:
    """Write the clone's files; return whether its switches had to be taken back for that."""
    directory, files = source.config_dir, context.world.files
    made = isolated(found, directory, upstream)
    switches = directory / ConfigName.DAEMON.filename
    made[ConfigName.DAEMON] = on_the_old_path(found[ConfigName.DAEMON], switches)
    files.make_directory(context.instance.config_dir)
    for name, data in made.items():
        if data is not None:
            files.replace(context.instance.config_dir / name.filename, data)
    return made[ConfigName.DAEMON] != found[ConfigName.DAEMON]


def _start_upstream(context: Context) -> Started:
    """Start what answers in place of every provider, on a free port."""
    world, home = context.world, context.instance.home
    world.files.make_directory(home)
    command = world.processes.python_module(
        "gateway", "demo-upstream", "--ready-file", str(home / _READY), "--delay-ms", _DELAY_MS
    )
    log = home / "upstream.log"
    return Started(world.processes.spawn(command, log, birthmark(context)), log, 0)


def _await_upstream(context: Context, started: Started) -> Upstream:
    world, home = context.world, context.instance.home
    context.waiting("the rehearsal's upstream", START_TIMEOUT_S)

    def settled() -> bool:
        return started.process.poll() is not None or _port(world, home / _READY) is not None

    in_time = world.clock.wait_until(settled, START_TIMEOUT_S, every_s=0.02)
    port = _port(world, home / _READY)
    if started.process.poll() is not None or not in_time or port is None:
        said = started.last_lines(1) or "it said nothing"
        raise ToolkitError(f"the rehearsal's upstream did not start: {said}")
    key = home / "upstream-key"
    world.files.replace(key, _KEY)
    return Upstream(f"http://127.0.0.1:{port}", f"file:{key}")


def _port(world: World, ready: Path) -> int | None:
    try:
        row: Mapping[str, int] = json.loads(world.files.read_if_there(ready) or b"{}")
        return row.get("port")
    except ValueError:
        return None
