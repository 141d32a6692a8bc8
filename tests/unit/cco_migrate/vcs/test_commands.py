"""Commands in a folder: how they end, and that nothing of them is left."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cco_migrate.vcs.commands import Command, Ran, run_all
from cco_migrate.world import World


def run(folder: Path, world: World, *words: str, timeout_s: float = 30.0) -> Ran:
    (ran,) = run_all(folder, (Command("it", words, timeout_s),), world)
    return ran


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("sh", "-c", "pwd; echo oops >&2; exit 3"), 3, "it ended with 3: {folder}\noops"),
        (("sh", "-c", "kill -9 $$"), 137, "it ended with 137: "),
        (("no-such-command",), None, "it did not start: no-such-command cannot be started: No"),
    ],
    ids=["fails", "killed", "absent"],
)
def test_command_that_does_not_pass_says_why(
    tmp_path: Path, world: World, words: tuple[str, ...], code: int | None, said: str
) -> None:
    ran = run(tmp_path, world, *words)
    assert (ran.code, ran.passed) == (code, False)
    assert str(ran).startswith(said.format(folder=tmp_path))
    assert Ran.from_json(ran.to_json()) == ran


def test_commands_run_in_their_order_until_one_does_not_pass(tmp_path: Path, world: World) -> None:
    commands = [Command(name, (name,)) for name in ("true", "false", "true")]
    assert [ran.code for ran in run_all(tmp_path, commands, world)] == [0, 1]


PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(float(sys.argv[1]))
"""


@pytest.mark.parametrize(("naps_s", "limit_s"), [(600.0, 1.0), (0.0, 30.0)], ids=["late", "ended"])
def test_what_a_command_started_ends_with_it(
    tmp_path: Path, world: World, naps_s: float, limit_s: float
) -> None:
    ran = run(tmp_path, world, sys.executable, "-c", PARENT, str(naps_s), timeout_s=limit_s)
    assert ran.why == ("did not end within 1 s" if naps_s else "")
    child = int(ran.output.split()[0])
    assert world.clock.wait_until(lambda: world.processes.birth(child) is None, 30)
