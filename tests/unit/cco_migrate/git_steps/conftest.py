"""A repository with two commits, and one git step at a time on it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cco_migrate.context import Context
from cco_migrate.model import JsonObject, Step
from cco_migrate.steps import ACTIONS

FILE = "model-overrides.toml"
OFF = "enabled = false\n"


@pytest.fixture(autouse=True)
def _own_git(own_git: None) -> None:
    """Every test here runs git."""


@dataclass
class Bench:
    """A repository with two commits, and one step at a time on it."""

    root: Path
    context: Context
    receipts: dict[str, JsonObject] = field(default_factory=dict)

    def git(self, *words: str) -> str:
        return self.git_in(self.root, *words)

    def git_in(self, root: Path, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=root, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def step(self, uses: str, **params: object) -> Step:
        return Step(
            1, uses.rpartition(".")[2], "the step", uses, {"repo": str(self.root), **params}
        )

    def commit_step(self) -> Step:
        return self.step("git.commit", paths=[FILE], message="Enable overrides")

    def do(self, step: Step) -> JsonObject:
        action = ACTIONS[step.uses]
        self.receipts[step.id] = action.prepare(step, self.context)
        return action.apply(step, self.receipts[step.id], self.context).facts

    def again(self, step: Step) -> JsonObject:
        return ACTIONS[step.uses].apply(step, self.receipts[step.id], self.context).facts

    def undo(self, step: Step) -> str:
        return ACTIONS[step.uses].undo(step, self.receipts[step.id], self.context)

    def state(self) -> tuple[str, str, str]:
        """Refs, what git status says, and the file."""
        refs = self.git("for-each-ref", "--format=%(objectname) %(refname)")
        return refs, self.git("status", "--porcelain"), (self.root / FILE).read_text()

    def write(self, text: str, name: str = FILE) -> None:
        (self.root / name).write_text(text)

    def hook(self, name: str, script: str) -> None:
        path = self.root / ".git" / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@pytest.fixture
def bench(tmp_path: Path, context_at: Callable[[str], Context], closed_port: int) -> Bench:
    root = tmp_path / "repo"
    root.mkdir()
    made = Bench(root, context_at(f"http://127.0.0.1:{closed_port}"))
    made.git("init", "--quiet", "--initial-branch=main")
    made.write("# house rules\n", "README")
    made.git("add", ".")
    made.git("commit", "--quiet", "-m", "first")
    made.write(OFF)
    made.git("add", ".")
    made.git("commit", "--quiet", "-m", "add the file")
    return made
