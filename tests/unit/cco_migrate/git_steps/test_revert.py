"""Reverts on real repositories: tested apart from the working tree, and moved to or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.model import Step
from cco_migrate.steps import ACTIONS

pytestmark = pytest.mark.process

Bench = Any  # the conftest's, which tests cannot import
FILE = "model-overrides.toml"
OFF, ON = "enabled = false\n", "enabled = true\n"


def revert_step(bench: Bench, *tests: str, commit: str = "HEAD") -> Step:
    step: Step = bench.step("git.revert", commit=commit, message="Back to off", tests=list(tests))
    return step


@pytest.fixture
def enabled(bench: Bench) -> Bench:
    """The repository with a third commit, which enables the overrides."""
    bench.write(ON)
    bench.git("commit", "--quiet", "-am", "enable")
    return bench


@pytest.mark.smoke
def test_revert_and_its_undo(enabled: Bench) -> None:
    before = enabled.state()
    step = revert_step(enabled, "grep", "-q", "false", FILE)
    made = enabled.do(step)["commit"]
    assert enabled.state()[1:] == ("", OFF)
    assert enabled.again(step)["commit"] == made
    assert "This takes back" in enabled.git("log", "-1", "--format=%B")
    enabled.undo(step)
    assert enabled.state() == before
    assert enabled.git("worktree", "list").count("\n") == 0


def test_tests_run_on_the_reverted_files_apart_from_the_working_tree(enabled: Bench) -> None:
    seen = enabled.root.parent / "seen"
    script = f"cp {FILE} {seen}; test $(cat {enabled.root}/{FILE} | grep -c true) = 1"
    enabled.do(revert_step(enabled, "sh", "-c", script))
    assert seen.read_text() == OFF


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (["sh", "-c", "echo 3 tests failed; exit 4"], "ended with 4: 3 tests failed"),
        (["no-such-command-anywhere"], "cannot be started"),
        (["git", "commit", "--quiet", "--allow-empty", "-m", "sneaked in"], "moved HEAD"),
    ],
    ids=["fail", "absent", "commit"],
)
def test_revert_whose_tests_fail_changes_nothing(
    enabled: Bench, tests: list[str], said: str
) -> None:
    before = enabled.state()
    step = revert_step(enabled, *tests)
    with pytest.raises(ToolkitError, match=said):
        enabled.do(step)
    assert enabled.state() == before
    assert enabled.git("worktree", "list").count("\n") == 0
    assert enabled.undo(step) == ""


def test_revert_that_conflicts_names_the_file_and_changes_nothing(enabled: Bench) -> None:
    enabled.write("enabled = true  # theirs\n")
    enabled.git("commit", "--quiet", "-am", "theirs")
    before = enabled.state()
    with pytest.raises(ToolkitError, match=rf"{FILE} changed since then"):
        enabled.do(revert_step(enabled, commit="HEAD~1"))
    assert enabled.state() == before


def test_tree_that_became_dirty_while_the_tests_ran_is_not_moved(enabled: Bench) -> None:
    head = enabled.git("rev-parse", "HEAD")
    with pytest.raises(InvalidInput, match="not committed: README"):
        enabled.do(revert_step(enabled, "sh", "-c", f"echo mine > {enabled.root}/README"))
    assert enabled.git("rev-parse", "HEAD") == head
    assert (enabled.root / "README").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("commit", "said"),
    [("nothing", "no commit nothing"), ("aside", "not part of main"), ("--all", "no commit --all")],
)
def test_commit_that_cannot_be_reverted_is_refused(enabled: Bench, commit: str, said: str) -> None:
    enabled.git("branch", "aside")
    enabled.git("switch", "--quiet", "aside")
    enabled.git("commit", "--quiet", "--allow-empty", "-m", "aside")
    enabled.git("switch", "--quiet", "main")
    with pytest.raises(InvalidInput, match=said):
        enabled.do(revert_step(enabled, commit=commit))


def test_merge_is_not_reverted(enabled: Bench) -> None:
    enabled.git("switch", "--quiet", "-c", "side", "HEAD~1")
    enabled.git("commit", "--quiet", "--allow-empty", "-m", "side")
    enabled.git("switch", "--quiet", "main")
    enabled.git("merge", "--quiet", "--no-ff", "-m", "merged", "side")
    with pytest.raises(InvalidInput, match="is a merge"):
        enabled.do(revert_step(enabled))


def test_worktree_somebody_uses_is_refused(enabled: Bench) -> None:
    step = revert_step(enabled)
    folder = enabled.context.run_dir / "worktrees" / step.id
    enabled.git("worktree", "add", "--quiet", "--detach", str(folder))
    with pytest.raises(InvalidInput, match="another process may work there"):
        enabled.do(step)
    assert (folder / FILE).exists()


def test_worktree_of_a_killed_process_is_replaced_and_a_locked_one_is_not(enabled: Bench) -> None:
    step = revert_step(enabled)
    enabled.receipts[step.id] = ACTIONS[step.uses].prepare(step, enabled.context)
    folder = enabled.context.run_dir / "worktrees" / step.id
    enabled.git("worktree", "add", "--quiet", "--detach", str(folder))
    enabled.git("worktree", "lock", str(folder))
    with pytest.raises(ToolkitError, match="locked"):
        enabled.again(step)
    enabled.git("worktree", "unlock", str(folder))
    enabled.again(step)
    assert enabled.state()[1:] == ("", OFF)


def test_undo_of_a_revert_refuses_to_lose_a_change(enabled: Bench) -> None:
    step = revert_step(enabled)
    enabled.do(step)
    enabled.write("mine\n")
    with pytest.raises(ToolkitError, match=FILE):
        enabled.undo(step)
    assert (enabled.root / FILE).read_text() == "mine\n"


def test_submodules_that_are_not_checked_out_are_in_nobodys_way(
    enabled: Bench, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    enabled.git_in(tmp_path, "clone", "--quiet", str(enabled.root), str(library))
    allow = ("-c", "protocol.file.allow=always")
    enabled.git(*allow, "submodule", "--quiet", "add", str(library), "library")
    enabled.git("commit", "--quiet", "-m", "add a library")
    enabled.git("submodule", "--quiet", "deinit", "--force", "library")
    enabled.do(revert_step(enabled, "test", "!", "-e", f"library/{FILE}", commit="HEAD~1"))
    assert enabled.state()[1:] == ("", OFF)
    facts = enabled.do(enabled.step("git.bundle", path=str(tmp_path / "b")))
    assert facts["submodules"] == 1
