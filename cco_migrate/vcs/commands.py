"""Build and test commands of a repository: data, and running them in a folder with a time limit."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from cco_migrate.model import JsonObject
from cco_migrate.vcs import bounded
from cco_migrate.world import World

TIMEOUT_S = 600.0
"""How long a command may take unless it says otherwise."""

_PROGRAM = Path(bounded.__file__)
_GRACE_S = 30.0  # for the program that enforces the limit
_SHOWN_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a repository.

    Attributes:
        name: For people, e.g. "tests".
        run: Program and arguments; no shell.
        timeout_s: After so many seconds it is killed with all it started.
    """

    name: str
    run: tuple[str, ...]
    timeout_s: float = TIMEOUT_S

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {**asdict(self), "run": list(self.run)}

    @classmethod
    def from_json(cls, row: JsonObject) -> Command:
        """Rebuild it; raises KeyError or TypeError for a row of another shape."""
        return cls(**{**row, "run": tuple(row["run"])})


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended.

    Attributes:
        code: Exit status; None when it was late or could not be started.
        why: Why there is none; empty when there is one.
        seconds: How long it took.
        output: The end of what it said, standard output and error together.
    """

    name: str
    code: int | None
    why: str
    seconds: float
    output: str

    @property
    def passed(self) -> bool:
        """Whether it ended well."""
        return self.code == 0

    def __str__(self) -> str:
        """Return the sentence for people."""
        if self.code == 0:
            return f"{self.name} passed in {self.seconds:.1f} s"
        return f"{self.name} {self.why or f'ended with {self.code}'}: {self.output}"

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: JsonObject) -> Ran:
        """Rebuild it; raises TypeError for a row of another shape."""
        return cls(**row)


def run_all(folder: Path, commands: Iterable[Command], world: World) -> tuple[Ran, ...]:
    """Run commands in a folder, one after the other, until one does not pass."""
    ended: list[Ran] = []
    for command in commands:
        ended.append(_run(folder, command, world))
        if not ended[-1].passed:
            break
    return tuple(ended)


def _run(folder: Path, command: Command, world: World) -> Ran:
    begun = world.clock.monotonic()
    limit = f"{command.timeout_s:g}"
    program = [sys.executable, "-I", str(_PROGRAM), str(folder), limit, *command.run]
    done = world.processes.run(program, command.timeout_s + _GRACE_S)
    why = _UNMEASURED.get(done.code, "").format(limit)
    code = None if why else done.code
    seconds = round(world.clock.monotonic() - begun, 3)
    return Ran(command.name, code, why, seconds, done.output.strip()[-_SHOWN_CHARS:])


_UNMEASURED: Mapping[int, str] = {
    bounded.LATE: "did not end within {} s",
    bounded.NOT_STARTED: "did not start",
}
