"""Kills a migration, a rollback or a preflight at point after point; looks what can be done then.

    python -m tests.kill.matrix migrate|rollback|check process|command FOLDER SHARD SHARDS

Every command runs in a forked process of its own, with real files, a real SIGKILL and a real
service. Prints one JSON object: how many points there are, how many were tried, what went wrong.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
import psutil

from cco_migrate import config
from cco_migrate.commands import migrating, rolling_back
from cco_migrate.config import ConfigName
from cco_migrate.demo import free_ports
from cco_migrate.errors import ToolkitError
from cco_migrate.http import Http
from cco_migrate.report import rendering
from cco_migrate.runs.journal import Journal, Status
from cco_migrate.session import MigrateOptions, Result, Session
from cco_migrate.target import Target
from cco_migrate.world import World
from tests.kill.killing_world import KillingOutput, Points, count_from_here, killing_world
from tests.kill.stand_in import LIGHT_GATEWAY

STAND_IN = Path(__file__).with_name("stand_in.py")
OLD = """\
# of the operator
[overrides]
enabled = false  # for now
rules = [["claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"]]
"""
NEW = OLD.replace("false", "true")


@dataclass(frozen=True, slots=True)
class Edited:
    """The one file a migration changes: its name, and its text before and after."""

    name: str
    old: str
    new: str


OVERRIDES = Edited("model-overrides.toml", OLD, NEW)
MARK = "CCO_KILL_MATRIX"
KILLED = -9
SETTLE_S = 120.0  # a busy machine is no fault
MIGRATION = MigrateOptions(yes=True, requests=2, key="env:CCO_KILL_KEY")

Act = Callable[[Session], Result]


class Ground(Protocol):
    """Where commands are run."""

    @property
    def root(self) -> Path:
        """A folder of its own."""

    def session(self, points: Points) -> Session:
        """Return the surroundings of a command that dies at one of these points."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A state root with a light gateway, driven in one of two ways."""

    root: Path
    driver: str
    port: int
    edited: Edited = OVERRIDES

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def config(self) -> Path:
        return self.home / "config" / "model-overrides.toml"

    @property
    def text(self) -> str:
        """What the file that is changed says now."""
        return (self.config.parent / self.edited.name).read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def target(self) -> Target:
        words = {"home": str(self.home), "url": self.url, "config": str(self.config)}
        if self.driver == "process":
            return Target(**words)
        script = f"{sys.executable} {STAND_IN}"
        start, stop = f"{script} start {self.home} {self.port}", f"{script} stop {self.home}"
        return Target(**words, start=start, stop=stop)

    def session(self, points: Points) -> Session:
        def stand_in(*words: str) -> list[str]:
            _, verb, *rest = words  # in place of `-m gateway`
            if verb == "run":
                return [sys.executable, str(LIGHT_GATEWAY), *rest]
            return [sys.executable, str(STAND_IN), verb, *rest]

        return Session(self.target, KillingOutput(points), killing_world(points, stand_in))

    def start(self) -> None:
        """Begin anew: the old file, no run, a gateway that has loaded it."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        self.config.parent.mkdir(parents=True)
        self.config.write_text(OLD)
        (self.config.parent / self.edited.name).write_text(self.edited.old)
        command = [sys.executable, str(STAND_IN), "start", str(self.home), str(self.port)]
        World.real().processes.spawn(command, log_of(self), {MARK: str(self.root)}).wait()
        settle(lambda: self.loaded() == fingerprint_of(self.config.parent))

    def stop(self) -> None:
        """Kill whatever was started here."""
        for process in self.processes():
            process.kill()
        settle(lambda: not self.processes())

    def processes(self) -> list[psutil.Process]:
        """Return what was started on behalf of this deployment, by us or by the toolkit."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == str(self.root) and process.status() != "zombie":
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def loaded(self) -> str:
        """Return the fingerprint the gateway tells; empty while nobody answers."""
        try:
            with closing(Http()) as http:
                told = http.get(f"{self.url}/health", {}, timeout_s=5).body
            return str(json.loads(told)["config_fingerprint"])
        except (httpx.TransportError, ValueError):
            return ""

    def forget(self) -> None:
        """Remove runs, backups and lock."""
        shutil.rmtree(self.home / "migrate", ignore_errors=True)
        for copy in self.config.parent.glob("*.backup-*"):
            copy.unlink()


@dataclass(slots=True)
class Report:
    """What was found.

    Attributes:
        points: How many there are in the whole command.
        killed: How many kills there were.
        faults: What went wrong, each with the point it happened at.
    """

    points: int = 0
    killed: int = 0
    faults: list[str] = field(default_factory=list)


Scenario = tuple[Act, tuple[Act, ...], Callable[[Deployment], None]]
"""What is killed, what comes before it, and what is tried after it."""


def migrate(session: Session) -> Result:
    return migrating.migrate(session, MIGRATION)


def rollback(session: Session) -> Result:
    return rolling_back.rollback(session, by="flag", run_id="", yes=True, no_input=True)


def check(session: Session) -> Result:
    count_from_here(session.world)
    return migrating.check(session, MIGRATION)


def load_what_is_loaded_late() -> None:
    """Load libraries, certificates and every template once, for all forked processes.

    The commands do so when they first need them: for each of a thousand short processes that would
    be most of its work.
    """
    for module in ("jsonschema", "cco_migrate.report.drawing"):
        importlib.import_module(module)
    for name in rendering.TEMPLATES.values():
        rendering.environment().get_template(name)
    Http().client.close()  # to open one reads the certificates


def run(ground: Ground, act: Act, kill_at: int = 0, told: Path | None = None) -> int:
    """Run a command in a process of its own; return its exit code, or minus the signal.

    Args:
        told: File that gets the points that were passed, one JSON list.
    """
    pid = os.fork()
    if pid == 0:
        os._exit(_in_child(ground, act, Points(kill_at), told))
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _in_child(ground: Ground, act: Act, points: Points, told: Path | None) -> int:
    os.environ |= {MARK: str(ground.root), "CCO_KILL_KEY": "none"}
    with log_of(ground).open("a") as log:
        try:
            code = act(ground.session(points)).code
        except ToolkitError as error:
            print(f"{type(error).__name__}: {error} | {error.state}", file=log)
            code = error.code
        except OSError as error:  # the command line explains it, with exit 1
            print(f"{error.filename}: {error.strerror} | as the journal says", file=log)
            code = 1
        except BaseException:  # noqa: BLE001  # a forked process must end here, whatever it is
            traceback.print_exc(file=log)
            code = 99
    if told is not None:
        told.write_text(json.dumps(points.seen))
    return code


def log_of(ground: Ground) -> Path:
    """Return the file that tells how commands failed: beside the folder, which may be full."""
    return ground.root.with_name(f"{ground.root.name}.log")


class Wrong(Exception):
    """Something is not as it must be."""


def expect(truth: bool, what: str) -> None:
    """Raise Wrong unless it is true."""
    if not truth:
        raise Wrong(what)


def settle(done: Callable[[], bool]) -> None:
    """Wait until something is so; raise Wrong when it does not come to that."""
    until = time.monotonic() + SETTLE_S
    while not done():
        if time.monotonic() > until:
            raise Wrong("it does not settle")
        time.sleep(0.005)


def fingerprint_of(directory: Path) -> str:
    """Return what a gateway that has loaded the files of a directory must tell."""
    paths = {name: directory / name.filename for name in ConfigName}
    return config.fingerprint({n: p.read_bytes() if p.exists() else None for n, p in paths.items()})


def status_of(deployment: Deployment) -> Status | None:
    """Return where the newest run stands; None when none has begun. Checks the whole chain."""
    store = deployment.session(Points()).store
    newest = store.latest()
    return newest.state.status if newest else None


def check_nothing_is_corrupt(deployment: Deployment) -> None:
    """After a kill: each file is the old one or the new one, only a journal may end in a tear."""
    whole = {deployment.edited.old, deployment.edited.new}
    expect(deployment.text in whole, "the configuration is neither old nor new")
    migrate_dir = deployment.home / "migrate"
    for path in migrate_dir.rglob("*.json"):
        json.loads(path.read_bytes())
    for path in (migrate_dir / "backups" / "objects").glob("[0-9a-f]*"):
        same = hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        expect(same, f"{path.name} is not what its name says")
    for path in migrate_dir.rglob("journal.jsonl"):
        Journal(path, path.parent.name, World.real())


def check_end(deployment: Deployment, text: str) -> None:
    """At the end: these bytes, loaded by one gateway, no lock, nothing left over."""
    expect(deployment.text == text, "the file is not byte for byte as it should be")
    settle(lambda: len(deployment.processes()) == 1)
    settle(lambda: deployment.loaded() == fingerprint_of(deployment.config.parent))
    recorded = json.loads((deployment.home / "daemon.pid").read_bytes())["pid"]
    expect(deployment.processes()[0].pid == recorded, "an orphan serves")
    lock = deployment.home / "migrate" / "lock"
    expect(not lock.exists() or lock.read_bytes() == b"", "an orphan lock")
    left = [path.name for path in deployment.home.rglob(".*.new")]
    expect(not left, f"left over: {left}")


def resumed(deployment: Deployment) -> None:
    """A bare rerun ends in the new state, and that can be rolled back."""
    expect(run(deployment, migrate) == 0, "the rerun failed")
    check_end(deployment, NEW)
    expect(status_of(deployment) is Status.DONE, "the run is not done")
    expect(run(deployment, rollback) == 0, "the rollback after the rerun failed")
    check_end(deployment, OLD)


def rolled_back(deployment: Deployment) -> None:
    """A rollback ends in the old state; it refuses only where no run has begun."""
    begun = status_of(deployment) is not None
    code = run(deployment, rollback)
    expect(code == (0 if begun else 8), f"the rollback ended with {code}")
    check_end(deployment, OLD)
    expect(not begun or status_of(deployment) is Status.ROLLED_BACK, "not rolled back")


def scenarios(direction: str) -> Iterator[Scenario]:
    """Return what is killed, what comes before it, and what is tried after it."""
    if direction == "migrate":
        yield migrate, (), resumed
        yield migrate, (), rolled_back
    elif direction == "rollback":
        yield rollback, (migrate,), rolled_back
    else:
        yield check, (), resumed


@contextmanager
def noted(report: Report, deployment: Deployment, where: str) -> Iterator[None]:
    """Note what goes wrong, and begin anew after it."""
    try:
        yield
    except (Wrong, ToolkitError, ValueError, OSError) as error:
        log = log_of(deployment).read_text().strip().splitlines()
        report.faults.append(f"{where}: {error} [{log[-1] if log else ''}]")
        print(report.faults[-1], file=sys.stderr, flush=True)  # while the rest still runs
        deployment.start()


def count_points(deployment: Deployment, act: Act, before: tuple[Act, ...]) -> list[str]:
    """Return every point of a command that nobody kills."""
    told = deployment.root / "points.json"
    deployment.forget()
    for earlier in before:
        expect(run(deployment, earlier) == 0, "a command nobody kills failed")
    expect(run(deployment, act, told=told) == 0, "a command nobody kills failed")
    points: list[str] = json.loads(told.read_text())
    return points


def main() -> None:
    direction, driver, folder, shard, shards = sys.argv[1:]
    deployment = Deployment(Path(folder).resolve(), driver, free_ports(1)[0])
    part = slice(int(shard), None, int(shards))
    report = tried(deployment, direction, scenarios(direction), part)
    print(json.dumps(asdict(report)))


def tried(deployment: Deployment, direction: str, todo: Iterable[Scenario], part: slice) -> Report:
    """Start a deployment, kill at this part of the points of each scenario, and stop it."""
    deployment.root.mkdir(parents=True, exist_ok=True)
    log_of(deployment).touch()
    load_what_is_loaded_late()
    deployment.start()
    report, points = Report(), dict[Act, list[str]]()
    for act, before, then in todo:
        if act not in points:
            points[act] = count_points(deployment, act, before)
        names = points[act]
        report.points = len(names)
        for number in range(1, len(names) + 1)[part]:
            where = f"{direction} killed at {number}, {names[number - 1]}; then {then.__name__}"
            stale = deployment.text != deployment.edited.old
            deployment.start() if stale else deployment.forget()
            with noted(report, deployment, where):
                for earlier in before:
                    expect(run(deployment, earlier) == 0, "what came before failed")
                expect(run(deployment, act, kill_at=number) == KILLED, "it was not killed")
                report.killed += 1
                check_nothing_is_corrupt(deployment)
                then(deployment)
    deployment.stop()
    return report


if __name__ == "__main__":
    main()
