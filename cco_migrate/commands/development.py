"""Tasks on the project itself; they need a checkout with its development packages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from cco_migrate import resources
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.model import JsonObject
from cco_migrate.pricing import price_table
from cco_migrate.pricing.vendors import VENDORS
from cco_migrate.session import Result
from cco_migrate.world import World

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo

BIN = Path(sys.executable).parent
STYLE = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("mypy", "--explicit-package-bases", "tests", "benchmarks", "fuzz", "tasks.py"),
    ("lint-imports",),
)
TESTS = ((sys.executable, "-m", "pytest", "-n", "3", "--dist", "worksteal", "-m", "not real"),)
BENCHES = {
    "main-job": "benchmarks.main_job",
    "plan": "benchmarks.plan_scale",
    "gateway": "benchmarks.gateway",
}
"""What can be measured, and the module that does it."""


def style() -> Result:
    """Run format, lint, types and import contracts; raises ToolkitError at the first that fails."""
    _run(STYLE)
    return Result("format, lint, types and import contracts are good")


def check() -> Result:
    """Run `style` and the tests; raises ToolkitError at the first that fails."""
    _run((*STYLE, *TESTS))
    return Result("format, lint, types, import contracts and tests are good")


def bench(what: str, rounds: int) -> Result:
    """Run one benchmark of BENCHES, or `all`. Raises InvalidInput for another word."""
    if what not in (*BENCHES, "all"):
        raise InvalidInput(f"--what {what}: unknown; there are: {', '.join(BENCHES)}, all")
    names = BENCHES if what == "all" else (what,)
    _run(tuple((sys.executable, "-m", BENCHES[name], "--rounds", str(rounds)) for name in names))
    return Result("")


def update_prices(world: World, table: Path | None = None, *, check: bool) -> Result:
    """Write the price table anew from the installed genai-prices.

    Its day changes only with the package: prices of an old package do not become new by a rerun.

    Args:
        table: The file; None for the project's own.
        check: Write nothing; exit 9 when the table is not the package's.

    Raises:
        InvalidInput: genai-prices is not installed, or holds what the table cannot express.
    """
    _needs_checkout()
    path = table or resources.schema_dir() / "data" / "prices.json"
    old: JsonObject = json.loads(world.files.read(path))
    new = price_table.table(*_genai_prices(), world.clock.now())
    _validate(new)
    changes = [str(one) for one in price_table.differences(old, new)]
    stale = bool(changes) or old["source"] != new["source"]
    if not stale:
        said = f"is up to date: {old['source']}, as of {old['as_of']}"
    elif check:
        said = f"is of {old['source']}, installed is {new['source']}; type: invoke prices.update"
    else:
        world.files.replace(path, f"{json.dumps(new, indent=2)}\n".encode())
        said = f"written: {new['source']}, as of {new['as_of']}"
    return Result(
        "\n".join([*changes, f"{path}: {said}"]),
        {"schema_version": 1, "stale": stale, "written": stale and not check, "changes": changes},
        code=9 if stale and check else 0,
    )


def _genai_prices() -> tuple[Mapping[str, Sequence[ModelInfo]], str]:
    try:
        from genai_prices.data import providers  # noqa: PLC0415  # a second, and only needed here
    except ImportError as error:
        text = "genai-prices is not installed; it comes with the development packages"
        raise InvalidInput(text, next_command="make setup") from error
    models = {one.id: one.models for one in providers}
    return {key: models[key] for key in VENDORS}, version("genai-prices")


def _validate(table: JsonObject) -> None:
    from jsonschema import (  # noqa: PLC0415  # slow to import; `--list` is not
        Draft202012Validator,
        ValidationError,
    )

    try:
        Draft202012Validator(resources.schema("prices")).validate(table)
    except ValidationError as error:
        raise ToolkitError(f"the new table breaks its schema: {error.message}") from error


def _needs_checkout() -> None:
    if not (resources.ROOT / "pyproject.toml").exists():
        raise InvalidInput("this task needs a checkout of the project")


def _run(commands: tuple[tuple[str, ...], ...]) -> None:
    _needs_checkout()
    for command in commands:
        program = command[0] if "/" in command[0] else str(BIN / command[0])
        done = subprocess.run((program, *command[1:]), cwd=resources.ROOT, check=False)
        if done.returncode != 0:
            raise ToolkitError(f"{' '.join(command)} ended with {done.returncode}")
