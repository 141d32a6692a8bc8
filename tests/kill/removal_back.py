"""Kills the ways back from a merged removal at point after point; then they are begun once more.

    python -m tests.kill.removal_back FOLDER SHARD SHARDS

As `removal`: forked processes, a real repository and a real SIGKILL. Prints one JSON object.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from cco_migrate.engine import Engine
from cco_migrate.errors import ToolkitError
from cco_migrate.model import Plan
from cco_migrate.removal.ways_back import Removed, removed_by, restore, take_back
from cco_migrate.runs.journal import Event, Journal, Status
from tests.kill.killing_world import KillingOutput, Points, killing_world
from tests.kill.matrix import KILLED, Report, Wrong, expect
from tests.kill.removal import RUN, Sample, forked

BACK, TAG = "back", "before-proxy-removal"


@dataclass(frozen=True, slots=True)
class Merged:
    """The sample repository after its removal was merged, and the folder of one way back.

    Attributes:
        kept: A copy of all of it, from which it is made anew.
    """

    sample: Sample
    kept: Path

    @property
    def run_dir(self) -> Path:
        return self.sample.folder / "run-2"

    @property
    def restored(self) -> Path:
        return self.sample.folder / "restored"

    def prepare(self) -> None:
        """Carry the removal out, merge it, and keep a copy of that."""
        self.sample.make()
        self.sample.engine(Points()).run()
        self.sample.git("merge", "--quiet", "--ff-only", "remove-http-proxy")
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.sample.folder, self.kept, symlinks=True)

    def make(self) -> None:
        """Make it anew from the copy."""
        shutil.rmtree(self.sample.folder)
        shutil.copytree(self.kept, self.sample.folder, symlinks=True)

    def plan(self, way: str) -> Plan:
        removed = removed_by(self.sample.plan(), RUN, self.sample.run_dir)
        if removed is None:
            raise Wrong("the sample removes nothing")
        return WAYS[way](self, removed)

    def engine(self, way: str, points: Points) -> Engine:
        world, made = killing_world(points, None), self.plan(way)
        journal = Journal(self.run_dir / "journal.jsonl", "run-2", world)
        if not journal.entries:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            journal.append(Event.PLANNED, reason=made.digest)
        return Engine(made, journal, world, KillingOutput(points), dict)

    def carry_out(self, way: str, points: Points) -> None:
        self.engine(way, points).run()


def _taken_back(ground: Merged, removed: Removed) -> Plan:
    return take_back(removed, "main", BACK)


def _restored(ground: Merged, removed: Removed) -> Plan:
    return restore(removed, ground.restored)


WAYS: Mapping[str, Callable[[Merged, Removed], Plan]] = {
    "take-back": _taken_back,
    "restore": _restored,
}


def is_back(ground: Merged, way: str) -> None:
    """What the way leads to is there as a whole, and nothing that was killed is left over."""
    expect(ground.engine(way, Points()).state.status is Status.DONE, "the run is not done")
    if way == "take-back":
        expect(ground.sample.git("diff", TAG, BACK) == "", "not every byte is as before")
        expect("\n" not in ground.sample.git("worktree", "list"), "a worktree is left")
        return
    head = ground.sample.git("-C", str(ground.restored), "rev-parse", "HEAD")
    expect(head == ground.sample.git("rev-parse", f"{TAG}^{{commit}}"), "restored elsewhere")
    left = [path.name for path in ground.sample.folder.iterdir() if path.name.endswith(".new")]
    expect(not left, f"{left} is left")


def main() -> None:
    folder, shard, shards = sys.argv[1:]
    place, report = Path(folder).resolve(), Report()
    ground = Merged(Sample(place / "ground"), place / "kept")
    ground.prepare()
    names: list[tuple[str, str]] = []
    for way in WAYS:
        points = Points()
        ground.make()
        ground.carry_out(way, points)
        names += [(way, name) for name in points.seen]
    report.points = len(names)
    for index in range(int(shard), len(names), int(shards)):
        way, name = names[index]
        number = index + 1 - next(n for n, (one, _) in enumerate(names) if one == way)
        ground.make()
        before = ground.sample.state()
        try:
            died = forked(partial(ground.carry_out, way, Points(number)))
            expect(died == KILLED, "it was not killed")
            report.killed += 1
            ground.carry_out(way, Points())
            is_back(ground, way)
            expect(ground.sample.state() == before, "the working tree or main has changed")
        except (Wrong, ToolkitError, OSError, subprocess.CalledProcessError) as error:
            report.faults.append(f"{way} killed at {number}, {name}: {error}")
    print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
