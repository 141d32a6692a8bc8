"""The sample repository, its manifest, and runs of the engine on both."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cco_migrate.engine import Engine
from cco_migrate.model import Instance, JsonObject, Plan, Step
from cco_migrate.removal.manifest import Manifest, read_manifest
from cco_migrate.removal.planning import Removing, plan
from cco_migrate.removal.ways_back import Removed, removed_by
from cco_migrate.runs.journal import Event, Journal
from cco_migrate.vcs.commands import Command
from cco_migrate.world import World

DATA = Path(__file__).parents[3] / "data" / "removal"


@pytest.fixture(autouse=True)
def _own_git(own_git: None) -> None:
    """Every test here runs git."""


@dataclass
class Seen:
    """What a person would have seen: (step, verdict, summary)."""

    ends: list[tuple[str, str, str]] = field(default_factory=list)

    def step_begins(self, step: Step) -> None:
        """Nothing."""

    def waiting(self, what: str, timeout_s: float) -> None:
        """Nothing."""

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        self.ends.append((step.id, verdict, summary))


@dataclass
class Bench:
    """The sample as a git repository on `main`, and runs on it.

    Attributes:
        manifest: That of the sample; a test may replace it.
        runs: Folder of the runs.
    """

    root: Path
    runs: Path
    instance: Instance
    world: World
    manifest: Manifest
    seen: Seen = field(default_factory=Seen)

    def git(self, *words: str, root: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *words], cwd=root or self.root, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @property
    def given(self) -> Removing:
        return Removing(self.instance, self.root, self.git("rev-parse", "HEAD"), self.manifest)

    @property
    def removed(self) -> Removed:
        """What run-1 removes."""
        found = removed_by(plan(self.given), "run-1", self.runs / "run-1")
        assert found is not None
        return found

    def change(self, **changes: object) -> None:
        """Make the manifest another one."""
        self.manifest = replace(self.manifest, **changes)  # type: ignore[arg-type]  # by name

    def engine(self, made: Plan | None = None, run: str = "run-1") -> Engine:
        """Return the engine of a run; without a plan, that of the removal at the tag or HEAD."""
        folder = self.runs / run
        folder.mkdir(parents=True, exist_ok=True)
        journal = Journal(folder / "journal.jsonl", run, self.world)
        used = made or plan(self.given)
        if not journal.entries:
            journal.append(Event.PLANNED, reason=used.digest)
        return Engine(used, journal, self.world, self.seen, lambda: {"report.md": "# ok"})

    def facts(self, step: str, run: str = "run-1") -> JsonObject:
        evidence = self.engine(run=run).state.steps[step].evidence
        assert evidence is not None
        return evidence

    def state(self) -> tuple[str, str, str, str]:
        """Where HEAD stands, the local branches, what git status says, and the worktrees."""
        return (
            self.git("rev-parse", "HEAD"),
            self.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads"),
            self.git("status", "--porcelain", "--ignored"),
            self.git("worktree", "list", "--porcelain"),
        )

    def commit(self, name: str, text: str, message: str = "theirs") -> None:
        (self.root / name).write_text(text)
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", message)

    def merge(self, how: str = "--ff-only") -> None:
        """Merge the branch of the removal into what is checked out."""
        self.git("merge", "--quiet", how, self.manifest.branch)
        if how == "--squash":
            self.git("commit", "--quiet", "-m", "remove the proxy")

    def squash(self, onto: str) -> None:
        """Squash the removal onto a new branch from main; main is checked out then."""
        self.git("switch", "--quiet", "--create", onto, "main")
        self.merge("--squash")
        self.git("switch", "--quiet", "main")


@pytest.fixture
def bench(
    tmp_path: Path, world: World, instance_at: Callable[[str], Instance], closed_port: int
) -> Bench:
    root = tmp_path / "sample"
    shutil.copytree(DATA / "repository", root, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = read_manifest(DATA / "removal.toml", world.files)
    instance = instance_at(f"http://127.0.0.1:{closed_port}")
    made = Bench(root, tmp_path / "runs", instance, world, manifest)
    made.git("init", "--quiet", "--initial-branch=main")
    made.git("add", ".")
    made.git("commit", "--quiet", "-m", "both ways")
    return made


@pytest.fixture
def removed(bench: Bench) -> Bench:
    """The sample after the removal, its branch not merged yet."""
    # Its tests run by this Python: a `python3` that is a shim takes ten times as long to start.
    bench.change(commands=(Command("tests", (sys.executable, "check.py")),))
    bench.engine().run()
    return bench
