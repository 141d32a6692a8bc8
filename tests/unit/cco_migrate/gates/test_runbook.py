"""The runbook of the gates names every criterion, and what is checked in is what it says."""

from __future__ import annotations

import subprocess

import pytest

from cco_migrate import resources
from cco_migrate.gates import runbook
from cco_migrate.gates.by_hand import BY_HAND
from cco_migrate.gates.phases import EARLIER, OVERRIDES, PHASES

ASKED = {name for names in PHASES.values() for name in names} | {EARLIER, OVERRIDES}
SHELL = {name: hand.do for name, hand in BY_HAND.items() if hand.shell}


def test_every_criterion_of_every_phase_is_told_by_hand() -> None:
    assert set(BY_HAND) == ASKED
    page = runbook.render()
    assert all(f"\n## {name}\n" in page for name in ASKED)


def test_runbook_that_is_checked_in_is_fresh() -> None:
    path = resources.ROOT / "runbooks" / "gates.md"
    hint = f"write it again: invoke runbook --kind gates > {path.name}"
    assert path.read_text().rstrip() == runbook.render().rstrip(), hint


@pytest.mark.parametrize("name", SHELL)
def test_command_is_one_that_a_shell_can_read(name: str) -> None:
    done = subprocess.run(
        ["sh", "-n"], input=SHELL[name], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "said",
    [
        "below 10 % is GO, above 10 % is NO-GO; 43 without a failure are proof",
        "below 0.1 % is GO, above 0.1 % is NO-GO; 4512 without a failure are proof",
        "below 1.25 ratio is GO, above 1.5 ratio is NO-GO; 50 samples at least.",
        "at least 1 approvals is GO",
    ],
)
def test_figures_are_those_the_gates_are_held_by(said: str) -> None:
    assert said in runbook.render()
