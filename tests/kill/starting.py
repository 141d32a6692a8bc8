"""Kills the start of the demo deployment behind each process it starts; the next start mends it.

    python -m tests.kill.starting FOLDER

Prints one JSON object, as `tests.kill.matrix` does.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import psutil

from cco_migrate.errors import ToolkitError
from cco_migrate.world import World
from tests.kill.matrix import KILLED, MARK, Report, Wrong, expect, run, settle
from tests.kill.real_gateway import DemoDeployment, down, up

STARTED = "after a process was started"


def services_of(deployment: DemoDeployment) -> list[psutil.Process]:
    """Return what was started in this folder, without the workers of the gateway."""
    pids = World.real().processes.carrying({MARK: str(deployment.root)})
    return [one for one in map(psutil.Process, pids) if one.ppid() not in pids]


def begin(folder: Path) -> DemoDeployment:
    folder.mkdir(parents=True)
    os.chdir(folder)
    return DemoDeployment(folder)


def starts(folder: Path) -> list[int]:
    """Return the points of a start that nobody kills at which a process was started."""
    deployment, told = begin(folder), folder / "points.json"
    try:
        expect(run(deployment, up, told=told) == 0, "the demo does not start")
    finally:
        expect(run(deployment, down) == 0, "the demo does not stop")
    names: list[str] = json.loads(told.read_text())
    return [number for number, name in enumerate(names, 1) if name == STARTED]


def killed_at(number: int, deployment: DemoDeployment) -> None:
    """Kill a start, start again: there is one upstream and one gateway, and both can be stopped."""
    try:
        expect(run(deployment, up, kill_at=number) == KILLED, "it was not killed")
        expect(run(deployment, up) == 0, "the second start failed")
        expect(len(services_of(deployment)) == 2, "not one upstream and one gateway")
    finally:
        expect(run(deployment, down) == 0, "the demo does not stop")
        settle(lambda: not services_of(deployment))


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    report = Report()
    numbers = starts(folder / "whole")
    report.points = len(numbers)
    for number in numbers:
        try:
            killed_at(number, begin(folder / str(number)))
            report.killed += 1
        except (Wrong, ToolkitError, OSError, psutil.Error) as error:
            report.faults.append(f"demo.up killed at {number}: {error}")
    print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
