"""A World that counts every effect of a command, and kills the process before or after one.

Points are counted from the first write of a run on: each journal line (before, half written,
after), each other file (before, temporary file left behind, after), each removal, each signal, each
process that is started, and the beginning and end of each step.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cco_migrate.model import Step
from cco_migrate.progress import Output
from cco_migrate.world import Clock, Files, Finished, Http, Processes, World

Command = Callable[..., list[str]]


@dataclass(slots=True)
class Points:
    """Counts the points and kills this process at one of them.

    Attributes:
        kill_at: Number of the point to die at, from 1; 0 to survive all.
        seen: What each point was.
    """

    kill_at: int = 0
    seen: list[str] = field(default_factory=list)
    armed: bool = False

    def here(self, what: str) -> None:
        """Pass a point, or die at it."""
        if self.next_is_last(what):
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()

    def next_is_last(self, what: str) -> bool:
        """Count a point; return whether this is where we die."""
        if not self.armed:
            return False
        self.seen.append(what)
        return len(self.seen) == self.kill_at

    def arm(self, path: Path) -> None:
        """Begin to count with the first write of a run."""
        self.armed = self.armed or path.name in {"plan.json", "journal.jsonl"}


class KillingFiles(Files):
    """Files whose every change has points."""

    def __init__(self, points: Points) -> None:
        self.points = points

    def replace(self, path: Path, data: bytes, *, mode: int | None = None) -> None:
        self.points.arm(path)
        self.points.here(f"before {path.name} is written")
        if self.points.next_is_last(f"while {path.name} is written"):
            target = path.resolve()
            target.with_name(f".{target.name}.{os.getpid()}.new").write_bytes(
                data[: len(data) // 2]
            )
            os.kill(os.getpid(), signal.SIGKILL)
        super().replace(path, data, mode=mode)
        self.points.here(f"after {path.name} is written")

    def append(self, path: Path, data: bytes) -> None:
        self.points.arm(path)
        self.points.here(f"before a line of {path.name}")
        if self.points.next_is_last(f"in the middle of a line of {path.name}"):
            super().append(path, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(path, data)
        self.points.here(f"after a line of {path.name}")

    def truncate(self, path: Path, size: int) -> None:
        self.points.here(f"before {path.name} is cut")
        super().truncate(path, size)
        self.points.here(f"after {path.name} is cut")

    def remove(self, path: Path) -> None:
        self.points.here(f"before {path.name} is removed")
        super().remove(path)
        self.points.here(f"after {path.name} is removed")


class KillingProcesses(Processes):
    """Processes whose every start and signal has points; `python -m` runs what a test wants."""

    def __init__(self, points: Points, command: Command | None) -> None:
        self.points, self.command = points, command

    def python_module(self, *arguments: str) -> list[str]:
        make = self.command or super().python_module
        return make(*arguments)

    def run(self, command: Sequence[str], timeout_s: float) -> Finished:
        self.points.here("before a command is run")
        done = super().run(command, timeout_s)
        self.points.here("after a command was run")
        return done

    def spawn(
        self, command: Sequence[str], output: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        self.points.here("before a process is started")
        process = super().spawn(command, output, environment)
        self.points.here("after a process was started")
        return process

    def signal(self, pid: int, signum: int) -> bool:
        self.points.here("before a signal")
        found = super().signal(pid, signum)
        self.points.here("after a signal")
        return found


class KillingOutput(Output):
    """Says nothing; the beginning and the end of each step are points."""

    def __init__(self, points: Points) -> None:
        super().__init__(quiet=True)
        self.points = points

    def step_begins(self, step: Step) -> None:
        self.points.here(f"before step {step.id}")

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        self.points.here(f"after step {step.id}")


def killing_world(points: Points, command: Command | None) -> World:
    """Return a real world with points."""
    return World(KillingFiles(points), KillingProcesses(points, command), Http(), Clock())


def count_from_here(world: World) -> None:
    """Begin to count in a command that writes no run."""
    if not isinstance(world.processes, KillingProcesses):
        raise TypeError("nobody counts the points of this world")
    world.processes.points.armed = True
