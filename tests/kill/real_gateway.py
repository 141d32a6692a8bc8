"""Kills a migration, or a rollback, of the demo deployment at points spread over the whole of it.

    python -m tests.kill.real_gateway migrate|rollback COUNT FOLDER

The gateway is the bundled one, with its workers; COUNT points are tried, every other one with a
rerun and every other one with a rollback. Prints one JSON object, as `tests.kill.matrix` does.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from cco_migrate.commands import migrating, services
from cco_migrate.demo import Demo
from cco_migrate.errors import ToolkitError
from cco_migrate.runs.journal import Status
from cco_migrate.session import MigrateOptions, Result, Session
from cco_migrate.target import Target
from cco_migrate.world import World
from tests.kill.killing_world import KillingOutput, Points, count_from_here, killing_world
from tests.kill.matrix import KILLED, Report, Wrong, expect, fingerprint_of, rollback, run, settle


@dataclass(frozen=True, slots=True)
class DemoDeployment:
    """The demo in a folder of its own."""

    root: Path

    @property
    def demo(self) -> Demo:
        return Demo(self.root / ".cco-demo", World.real())

    @property
    def config(self) -> Path:
        return self.demo.config

    def session(self, points: Points) -> Session:
        return Session(Target(), KillingOutput(points), killing_world(points, None))

    def pid(self) -> int:
        """Return the recorded pid of the gateway."""
        return int(json.loads((self.demo.home / "daemon.pid").read_bytes())["pid"])

    def workers(self) -> list[dict[str, Any]]:
        """Return what the workers that take requests say of themselves."""
        url = f"{self.demo.instance().url}/gateway/workers"
        rows = httpx.get(url, timeout=10, trust_env=False).json()["workers"]
        return [row for row in rows if row["state"] == "serving"]

    def status(self) -> Status | None:
        """Return where the newest run stands; None when none has begun."""
        newest = self.session(Points()).store.latest()
        return newest.state.status if newest else None


def migrate(session: Session) -> Result:
    return migrating.migrate(session, MigrateOptions(yes=True, fix=True))


def up(session: Session) -> Result:
    count_from_here(session.world)
    return services.demo_up(session)


def down(session: Session) -> Result:
    return services.demo_down(session)


def check_end(deployment: DemoDeployment, text: bytes, pid: int) -> None:
    """At the end: these bytes, loaded by every worker of the same supervisor, and no lock."""
    expect(deployment.config.read_bytes() == text, "the file is not byte for byte as it should be")
    wanted = {fingerprint_of(deployment.config.parent)}
    settle(lambda: {str(row["fingerprint"]) for row in deployment.workers()} == wanted)
    expect(deployment.pid() == pid, "another gateway serves than before")
    expect((deployment.demo.home / "migrate" / "lock").read_bytes() == b"", "an orphan lock")
    left = [path.name for path in deployment.demo.home.rglob(".*.new")]
    expect(not left, f"left over: {left}")


@dataclass(slots=True)
class Trial:
    """One deployment, and what it must look like before and after."""

    deployment: DemoDeployment
    old: bytes
    new: bytes
    pid: int

    def killed_migration(self, number: int, *, rerun: bool) -> None:
        expect(run(self.deployment, migrate, kill_at=number) == KILLED, "it was not killed")
        expect(self.deployment.config.read_bytes() in self.possible, "a corrupt file")
        if rerun:
            expect(run(self.deployment, migrate) == 0, "the rerun failed")
            check_end(self.deployment, self.new, self.pid)
        self.back()

    def killed_rollback(self, number: int, *, rerun: bool) -> None:
        expect(run(self.deployment, migrate) == 0, "what came before failed")
        expect(run(self.deployment, rollback, kill_at=number) == KILLED, "it was not killed")
        expect(self.deployment.config.read_bytes() in self.possible, "a corrupt file")
        self.back()

    def back(self) -> None:
        begun = self.deployment.status() not in {None, Status.ROLLED_BACK}
        code = run(self.deployment, rollback)
        expect(code == 0 or not begun, f"the rollback ended with {code}")
        check_end(self.deployment, self.old, self.pid)

    @property
    def possible(self) -> set[bytes]:
        """Every whole state of the file: with --fix it changes in two steps."""
        twins = self.new.replace(b"enabled = true", b"enabled = false", 1)
        return {self.old, twins, self.new}


def begin(deployment: DemoDeployment) -> tuple[Trial, dict[str, int]]:
    """Start the demo, go there and back twice; return the trial and the points of each way.

    The second time: the first one also fills the backup store.
    """
    expect(run(deployment, up) == 0, "the demo does not start")
    old, pid = deployment.config.read_bytes(), deployment.pid()
    counts = {}
    told = deployment.root / "points.json"
    for name, act in (("migrate", migrate), ("rollback", rollback)) * 2:
        expect(run(deployment, act, told=told) == 0, f"{name} that nobody kills failed")
        counts[name] = len(json.loads(told.read_text()))
        if act is migrate:
            new = deployment.config.read_bytes()
    return Trial(deployment, old, new, pid), counts


def main() -> None:
    direction, count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    deployment = DemoDeployment(folder)
    report = Report()
    try:
        trial, counts = begin(deployment)
        report.points = counts[direction]
        act = trial.killed_migration if direction == "migrate" else trial.killed_rollback
        for turn in range(count):
            number = 1 + turn * (report.points - 1) // (count - 1)
            try:
                act(number, rerun=turn % 2 == 0)
                report.killed += 1
            except (Wrong, ToolkitError, OSError, httpx.HTTPError) as error:
                report.faults.append(f"{direction} killed at {number}: {error}")
                break  # the deployment is not what it was: what follows would say nothing
    finally:
        expect(run(deployment, down) == 0, "the demo does not stop")
    settle(lambda: not World.real().processes.carrying({"CCO_KILL_MATRIX": str(folder)}))
    print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
