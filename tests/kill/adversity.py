"""Takes room or the right to write away in the middle of a migration, and looks what is left.

    python -m tests.kill.adversity file-size|clock|full-disk|read-only FOLDER

The first two need no privilege. For the others FOLDER must be a small file system of its own that
may be filled and remounted. `clock` takes the time of day away: it steps back a day at every look.
Prints one JSON object, as `tests.kill.matrix` does.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cco_migrate.commands import migrating
from cco_migrate.demo import free_ports
from cco_migrate.errors import ToolkitError
from cco_migrate.runs.journal import Status
from cco_migrate.session import Result, Session
from cco_migrate.world import Clock
from tests.kill.matrix import (
    KILLED,
    MIGRATION,
    NEW,
    OLD,
    Act,
    Deployment,
    Report,
    Wrong,
    check_end,
    check_nothing_is_corrupt,
    expect,
    log_of,
    migrate,
    rollback,
    run,
    status_of,
)

FILE_SIZES = range(0, 24_000, 600)
FREE_PAGES = range(14)
KILLED_AT = range(10, 140, 13)
PAGE = 4096
REFUSED = 8


def back_up(session: Session) -> Result:
    return migrating.migrate(session, replace(MIGRATION, only="backup"))


def limited(size: int) -> Callable[[Session], Result]:
    """Return a migration in which no file can grow beyond so many bytes."""

    def act(session: Session) -> Result:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails instead
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            return migrate(session)
        finally:  # what this process says of it goes to a file, too
            resource.setrlimit(
                resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )

    return act


@contextmanager
def full(folder: Path, free: int) -> Iterator[None]:
    """Leave so many bytes of a file system."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(PAGE)):
            pass
    os.truncate(filler, max(0, filler.stat().st_size - free))
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Remount a file system read-only."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


def recovered(deployment: Deployment) -> None:
    """With room again the run goes on, or back; in the end the old state can be had."""
    status = status_of(deployment)
    if status is Status.OPEN:
        expect(run(deployment, migrate) == 0, "the rerun failed")
        check_end(deployment, NEW)
    if status_of(deployment) not in {None, Status.ROLLED_BACK}:
        expect(run(deployment, rollback) == 0, "the rollback failed")
    check_end(deployment, OLD)


def explained(deployment: Deployment) -> str:
    """Return what the last command said; raise Wrong when it was an unexpected error."""
    lines = log_of(deployment).read_text().strip().splitlines()
    said = lines[-1] if lines else ""
    expect(" | " in said, f"not explained: {said}")
    return said


def file_sizes(deployment: Deployment, report: Report) -> None:
    for size in FILE_SIZES:
        deployment.forget()
        code = run(deployment, limited(size))
        expect(code == 0 or bool(explained(deployment)), f"{size}: exit {code}")
        report.killed += code != 0
        check_nothing_is_corrupt(deployment)
        recovered(deployment)
    report.points = len(FILE_SIZES)


def full_disk(deployment: Deployment, report: Report) -> None:
    for pages in FREE_PAGES:
        deployment.forget()
        expect(run(deployment, back_up) == 0, "the backup failed")
        with full(deployment.root, pages * PAGE):
            code = run(deployment, migrate)
            check_nothing_is_corrupt(deployment)
        report.killed += code != 0
        expect(code != 99, f"{pages} pages free: not explained")
        recovered(deployment)
    report.points = len(FREE_PAGES)


def read_only_state(deployment: Deployment, report: Report) -> None:
    for before in ((), (back_up,), (migrate,)):
        deployment.forget()
        for act in before:
            expect(run(deployment, act) == 0, "what came before failed")
        with read_only(deployment.root):
            for act in (migrate, rollback):
                code = run(deployment, act)
                expect(code == REFUSED, f"read-only: exit {code}")
                report.killed += 1
        check_nothing_is_corrupt(deployment)
        recovered(deployment)
    report.points = 3


class SteppingBack(Clock):
    """Each look at the time of day is a day before the last one."""

    def __init__(self) -> None:
        self.day = datetime.now(UTC)

    def now(self) -> datetime:
        self.day -= timedelta(days=1)
        return self.day


def stepping_back(act: Act) -> Act:
    """Return a command whose clock steps back."""

    def stepped(session: Session) -> Result:
        return act(replace(session, world=replace(session.world, clock=SteppingBack())))

    return stepped


def clock(deployment: Deployment, report: Report) -> None:
    for number in KILLED_AT:
        deployment.forget()
        expect(run(deployment, stepping_back(migrate), kill_at=number) == KILLED, "not killed")
        check_nothing_is_corrupt(deployment)
        expect(run(deployment, stepping_back(migrate)) == 0, "the rerun failed")
        check_end(deployment, NEW)
        expect(run(deployment, stepping_back(rollback)) == 0, "the rollback failed")
        check_end(deployment, OLD)
        expect(status_of(deployment) is Status.ROLLED_BACK, "another run was rolled back")
        report.killed += 1
    report.points = len(KILLED_AT)


ADVERSITIES = {
    "clock": clock,
    "file-size": file_sizes,
    "full-disk": full_disk,
    "read-only": read_only_state,
}


def main() -> None:
    kind, folder = sys.argv[1], Path(sys.argv[2]).resolve()
    deployment = Deployment(folder, "process", free_ports(1)[0])
    folder.mkdir(parents=True, exist_ok=True)
    log_of(deployment).touch()
    deployment.start()
    report = Report()
    try:
        ADVERSITIES[kind](deployment, report)
    except (Wrong, ToolkitError, OSError) as error:
        last = log_of(deployment).read_text().strip().splitlines()[-1:]
        report.faults.append(f"{kind}: {error} {last}")
    deployment.stop()
    print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
