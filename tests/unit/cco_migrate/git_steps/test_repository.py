"""Repositories in which no step begins: somebody works there, or git would look elsewhere."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cco_migrate.errors import InvalidInput
from cco_migrate.planning.simulated import Foretold, actions

pytestmark = pytest.mark.process

Bench = Any  # the conftest's, which tests cannot import
FILE = "model-overrides.toml"


def stage(bench: Bench) -> None:
    bench.write("staged\n", "README")
    bench.git("add", "README")


def conflicting_merge(bench: Bench) -> None:
    bench.git("switch", "--quiet", "-c", "other", "HEAD~1")
    bench.write("other\n")
    bench.git("add", ".")
    bench.git("commit", "--quiet", "-m", "other")
    subprocess.run(["git", "merge", "main"], cwd=bench.root, capture_output=True, check=False)


TROUBLES: dict[str, tuple[Callable[[Bench], object], str]] = {
    "changed": (lambda b: b.write("edited\n", "README"), "not committed: README"),
    "staged": (stage, "not committed: README"),
    "detached": (lambda b: b.git("switch", "--detach", "--quiet"), "HEAD is detached"),
    "merge": (conflicting_merge, "a merge is under way"),
}


@pytest.mark.smoke
@pytest.mark.parametrize("uses", ["git.commit", "git.revert"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_repository_in_use_is_refused_and_untouched(bench: Bench, uses: str, trouble: str) -> None:
    make, said = TROUBLES[trouble]
    make(bench)
    before = bench.state()
    step = bench.step(uses, paths=[FILE], message="m", commit="HEAD")
    with pytest.raises(InvalidInput, match=said):
        bench.do(step)
    assert bench.state() == before


@pytest.mark.parametrize("kind", ["bare", "none", "absent"])
def test_folder_that_is_no_working_tree_is_refused(bench: Bench, tmp_path: Path, kind: str) -> None:
    bench.root = tmp_path / "other"
    if kind == "bare":
        bench.git_in(tmp_path, "init", "--quiet", "--bare", str(bench.root))
    elif kind == "none":
        bench.root.mkdir()
    with pytest.raises(InvalidInput, match=r"working tree"):
        bench.do(bench.step("git.tag", name="t", message="m"))


def test_variable_that_would_send_git_elsewhere_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(bench.root / ".git"))
    with pytest.raises(InvalidInput, match="GIT_DIR is set"):
        bench.do(bench.step("git.tag", name="t", message="m"))


def test_dry_run_foretells_every_git_step_that_a_kind_of_migration_uses() -> None:
    found = {uses: action for uses, action in actions().items() if uses.startswith("git.")}
    assert len(found) == 8
    assert all(isinstance(action, Foretold) for action in found.values())
