"""Kills a migration, or a rollback, of the demo deployment at points spread over the whole of it.

    python -m tests.kill.real_gateway overrides|cutover there|back COUNT FOLDER

The gateway is the bundled one, with its workers, and the gates of a cutover are the real ones.
COUNT points are tried, every other one with a rerun and every other one with a rollback. Prints one
JSON object, as `tests.kill.matrix` does.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from cco_migrate.commands import migrating, services
from cco_migrate.demo import DIRECTORY, Demo
from cco_migrate.errors import ToolkitError
from cco_migrate.http import Http
from cco_migrate.runs.journal import Status
from cco_migrate.session import MigrateOptions, Result, Session
from cco_migrate.target import Target
from cco_migrate.world import World
from tests.kill.killing_world import KillingOutput, Points, count_from_here, killing_world
from tests.kill.matrix import (
    KILLED,
    MARK,
    Act,
    Report,
    Wrong,
    expect,
    fingerprint_of,
    load_what_is_loaded_late,
    rollback,
    run,
    settle,
)

State = tuple[int, bool, bool, int]
"""Who serves; whether clients are led to it, and to the old proxy; how many processes there are."""


@dataclass(frozen=True, slots=True)
class DemoDeployment:
    """The demo in a folder of its own, and the name of the file that is changed."""

    root: Path
    edited: str = "model-overrides.toml"

    @property
    def demo(self) -> Demo:
        return Demo(self.root / ".cco-demo", World.real())

    @property
    def config(self) -> Path:
        return self.demo.config.with_name(self.edited)

    def session(self, points: Points) -> Session:
        return Session(Target(), KillingOutput(points), killing_world(points, None))

    def state(self) -> State:
        """Return how things stand; every process started here counts, so an orphan is too many."""
        told = json.loads((self.demo.home / "daemon.pid").read_bytes())
        count = len(World.real().processes.carrying({MARK: str(self.root)}))
        return told["pid"], bool(told["gateway_port"]), bool(told["proxy_port"]), count

    def workers(self) -> list[dict[str, Any]]:
        """Return what the workers that live say of themselves."""
        url = f"{self.demo.instance().url}/gateway/workers"
        with closing(Http()) as http:
            answer = http.get(url, {}, timeout_s=60)
        if answer.status == httpx.codes.SERVICE_UNAVAILABLE:
            return []  # the supervisor is too busy to say; `settle` asks again
        rows: list[dict[str, Any]] = json.loads(answer.body)["workers"]
        return rows

    def loaded(self) -> str:
        """Return what all workers have loaded; "" while they differ, or one has not ended yet."""
        told = {(str(row["fingerprint"]), str(row["state"])) for row in self.workers()}
        fingerprint, state = told.pop() if len(told) == 1 else ("", "")
        return fingerprint if state == "serving" else ""

    def status(self) -> Status | None:
        """Return where the newest run stands; None when none has begun."""
        newest = self.session(Points()).store.latest()
        return newest.state.status if newest else None


def migrate(session: Session) -> Result:
    return migrating.migrate(session, MigrateOptions(yes=True, fix=True))


def cut_over(session: Session) -> Result:
    return migrating.migrate(session, MigrateOptions(kind="gateway-cutover", phase=2, yes=True))


def up_on_the_old_path(session: Session) -> Result:
    done = up(session)
    Demo(DIRECTORY, session.world).up(session.out.waiting, session.out.say, old_path=True)
    return done


def up(session: Session) -> Result:
    count_from_here(session.world)
    return services.demo_up(session)


def down(session: Session) -> Result:
    return services.demo_down(session)


def check_end(deployment: DemoDeployment, text: bytes, states: Mapping[bytes, State]) -> None:
    """At the end: these bytes, loaded by every worker of the same supervisor, and no lock."""
    expect(deployment.config.read_bytes() == text, "the file is not byte for byte as it should be")
    wanted = fingerprint_of(deployment.config.parent)
    settle(lambda: deployment.loaded() == wanted)
    settle(lambda: deployment.state() == states[text])
    expect((deployment.demo.home / "migrate" / "lock").read_bytes() == b"", "an orphan lock")
    left = [path.name for path in deployment.demo.home.rglob(".*.new")]
    expect(not left, f"left over: {left}")


@dataclass(slots=True)
class Trial:
    """One deployment, and what it must look like before and after."""

    deployment: DemoDeployment
    act: Act
    old: bytes
    new: bytes = b""
    states: dict[bytes, State] = field(default_factory=dict)

    def killed_there(self, number: int, *, rerun: bool) -> None:
        expect(run(self.deployment, self.act, kill_at=number) == KILLED, "it was not killed")
        expect(self.deployment.config.read_bytes() in self.possible, "a corrupt file")
        if rerun:
            expect(run(self.deployment, self.act) == 0, "the rerun failed")
            check_end(self.deployment, self.new, self.states)
        self.back()

    def killed_back(self, number: int, *, rerun: bool) -> None:
        expect(run(self.deployment, self.act) == 0, "what came before failed")
        expect(run(self.deployment, rollback, kill_at=number) == KILLED, "it was not killed")
        expect(self.deployment.config.read_bytes() in self.possible, "a corrupt file")
        self.back()

    def back(self) -> None:
        begun = self.deployment.status() not in {None, Status.ROLLED_BACK}
        code = run(self.deployment, rollback)
        expect(code == 0 or not begun, f"the rollback ended with {code}")
        check_end(self.deployment, self.old, self.states)

    @property
    def possible(self) -> set[bytes]:
        """Every whole state of the file: with --fix the overrides change in two steps."""
        twins = self.new.replace(b"enabled = true", b"enabled = false", 1)
        return {self.old, twins, self.new}


CHANGES: Mapping[str, tuple[str, Act, Act]] = {
    "overrides": ("model-overrides.toml", up, migrate),
    "cutover": ("daemon-config.json", up_on_the_old_path, cut_over),
}
"""By name: the file that is changed, how the demo is started, and what is carried out."""


def begin(deployment: DemoDeployment, start: Act, act: Act) -> tuple[Trial, dict[str, int]]:
    """Start the demo, go there and back twice; return the trial and the points of each way.

    The second time: the first one also fills the backup store.
    """
    expect(run(deployment, start) == 0, "the demo does not start")
    trial, counts = Trial(deployment, act, deployment.config.read_bytes()), {}
    told = deployment.root / "points.json"
    for name, one in (("there", act), ("back", rollback)) * 2:
        expect(run(deployment, one, told=told) == 0, f"{name}: what nobody kills failed")
        counts[name] = len(json.loads(told.read_text()))
        settle(lambda: bool(deployment.loaded()))
        trial.states[deployment.config.read_bytes()] = deployment.state()
    trial.new = next(text for text in trial.states if text != trial.old)
    return trial, counts


def main() -> None:
    change, direction, folder = sys.argv[1], sys.argv[2], Path(sys.argv[4]).resolve()
    count = int(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    edited, start, there = CHANGES[change]
    deployment = DemoDeployment(folder, edited)
    load_what_is_loaded_late()
    report = Report()
    try:
        trial, counts = begin(deployment, start, there)
        report.points = counts[direction]
        act = trial.killed_there if direction == "there" else trial.killed_back
        for turn in range(count):
            number = 1 + turn * (report.points - 1) // (count - 1)
            try:
                act(number, rerun=turn % 2 == 0)
                report.killed += 1
            except (Wrong, ToolkitError, OSError, httpx.HTTPError) as error:
                report.faults.append(f"{change} {direction} killed at {number}: {error}")
                break  # the deployment is not what it was: what follows would say nothing
    finally:
        expect(run(deployment, down) == 0, "the demo does not stop")
    settle(lambda: not World.real().processes.carrying({MARK: str(folder)}))
    print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
