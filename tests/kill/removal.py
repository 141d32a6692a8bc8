"""Kills phase 3 of the cutover on the sample repository at point after point, and looks at it.

    python -m tests.kill.removal FOLDER SHARD SHARDS

Each run is a forked process with a real repository, real files and a real SIGKILL; the points are
those of `killing_world`. No gateway serves: what the plan asks one is answered with yes. Prints one
JSON object, as `matrix` does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from cco_migrate.checks import CHECKS
from cco_migrate.config import ConfigName
from cco_migrate.engine import Engine
from cco_migrate.errors import ToolkitError
from cco_migrate.migrations import MIGRATIONS, Inputs
from cco_migrate.migrations.gateway_cutover import HARD, KIND
from cco_migrate.migrations.inputs import Cutover, Verification
from cco_migrate.model import DriverSpec, Instance, Plan
from cco_migrate.planning.simulated import AssumedCheck
from cco_migrate.removal.manifest import read_manifest
from cco_migrate.removal.planning import Removing
from cco_migrate.runs.journal import Event, Journal, Status
from cco_migrate.vcs.commands import Command
from cco_migrate.world import World
from tests.kill.killing_world import KillingOutput, Points, killing_world
from tests.kill.matrix import KILLED, Report, Wrong, expect

DATA = Path(__file__).parents[1] / "data" / "removal"
RUN = "run-1"
GATEWAY = {uses: AssumedCheck(CHECKS[uses], "ask") for uses in ("switches.state", "gate.held")}


@dataclass(frozen=True, slots=True)
class Sample:
    """The sample repository and the folder of its one run."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "sample"

    @property
    def run_dir(self) -> Path:
        return self.folder / RUN

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def make(self) -> None:
        """Make it anew: one commit on main, no run."""
        shutil.rmtree(self.folder, ignore_errors=True)
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(DATA / "repository", self.root, ignore=skip)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "both ways")

    def plan(self) -> Plan:
        manifest = read_manifest(DATA / "removal.toml", World.real().files)
        manifest = replace(manifest, commands=(Command("tests", ("true",)),))
        home = self.folder / "home"
        instance = Instance("sample", "http://127.0.0.1:1", home / "c", home, DriverSpec("process"))
        given = Removing(instance, self.root, self.git("rev-parse", "main"), manifest)
        inputs = Inputs(
            instance, dict.fromkeys(ConfigName), fix=False, replace=True, known_models=(),
            verification=Verification(), cutover=Cutover(phase=HARD, removing=given),
        )  # fmt: skip
        return MIGRATIONS[KIND](inputs)

    def engine(self, points: Points) -> Engine:
        world = killing_world(points, None)
        journal = Journal(self.run_dir / "journal.jsonl", RUN, world)
        made = self.plan()
        if not journal.entries:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            journal.append(Event.PLANNED, reason=made.digest)
        return Engine(
            made, journal, world, KillingOutput(points), lambda: {"report.md": "# ok"},
            checks={**CHECKS, **GATEWAY},
        )  # fmt: skip

    def state(self) -> tuple[str, ...]:
        """What a removal must leave alone."""
        return (
            self.git("rev-parse", "HEAD", "main"), self.git("status", "--porcelain", "--ignored")
        )  # fmt: skip

    def end(self) -> Status:
        return self.engine(Points()).state.status


def forked(act: Callable[[], None]) -> int:
    """Run something in a process of its own; return its exit code, or minus the signal."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except BaseException as error:  # noqa: BLE001  # a forked process must end here
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(sample: Sample, kill_at: int) -> None:
    """Carry it out and die at a point, the first lines of the journal included."""
    sample.engine(Points(kill_at)).run()


def resumed(sample: Sample) -> None:
    """A rerun ends with the branch; what was killed before is taken up."""
    sample.engine(Points()).run()
    expect(sample.end() is Status.DONE, "the run is not done")
    commits = sample.git("rev-list", "--count", "main..remove-http-proxy")
    expect(commits == "2", f"{commits} commits on the branch")


def rolled_back(sample: Sample) -> None:
    """A rollback ends without the branch, and without a worktree."""
    sample.engine(Points()).roll_back(why="killed")
    expect(sample.end() is Status.ROLLED_BACK, "not rolled back")
    expect(sample.git("branch", "--list") == "* main", "the branch is there")
    expect("\n" not in sample.git("worktree", "list"), "a worktree is left")


def count_points(sample: Sample) -> list[str]:
    """Return every point of a run that nobody kills."""
    points = Points()
    sample.make()
    sample.engine(points).run()
    return points.seen


def main() -> None:
    folder, shard, shards = sys.argv[1:]
    sample, report = Sample(Path(folder).resolve() / "ground"), Report()
    names = count_points(sample)
    report.points = len(names)
    for number in range(1 + int(shard), len(names) + 1, int(shards)):
        for then in (resumed, rolled_back):
            sample.make()
            before = sample.state()
            try:
                died = forked(partial(run, sample, number))
                expect(died == KILLED, "it was not killed")
                report.killed += 1
                then(sample)
                expect(sample.state() == before, "the working tree or main has changed")
            except (Wrong, ToolkitError, OSError, subprocess.CalledProcessError) as error:
                where = f"killed at {number}, {names[number - 1]}; then {then.__name__}"
                report.faults.append(f"{where}: {error}")
    print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
