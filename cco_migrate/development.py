"""Tasks on the project itself; they need a checkout with its development packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cco_migrate import resources
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.session import Result

BIN = Path(sys.executable).parent
STYLE = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("mypy", "--explicit-package-bases", "tests", "benchmarks", "tasks.py"),
    ("lint-imports",),
)
TESTS = ((sys.executable, "-m", "pytest", "-n", "3", "--dist", "worksteal", "-m", "not real"),)


def style() -> Result:
    """Run format, lint, types and import contracts; raises ToolkitError at the first that fails."""
    _run(STYLE)
    return Result("format, lint, types and import contracts are good")


def check() -> Result:
    """Run `style` and the tests; raises ToolkitError at the first that fails."""
    _run((*STYLE, *TESTS))
    return Result("format, lint, types, import contracts and tests are good")


def bench(rounds: int) -> Result:
    """Run the benchmark of the main job."""
    _run(((sys.executable, "benchmarks/main_job.py", "--rounds", str(rounds)),))
    return Result("")


def _run(commands: tuple[tuple[str, ...], ...]) -> None:
    if not (resources.ROOT / "pyproject.toml").exists():
        raise InvalidInput("this task needs a checkout of the project")
    for command in commands:
        program = command[0] if "/" in command[0] else str(BIN / command[0])
        done = subprocess.run((program, *command[1:]), cwd=resources.ROOT, check=False)
        if done.returncode != 0:
            raise ToolkitError(f"{' '.join(command)} ended with {done.returncode}")
