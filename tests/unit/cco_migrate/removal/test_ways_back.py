"""The ways back from a hard cutover: the undo, a revert on a branch, the bundle, and no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cco_migrate.errors import RollbackFailed, RolledBack, ToolkitError
from cco_migrate.removal.planning import BUNDLE
from cco_migrate.removal.ways_back import force_push, restore, take_back
from cco_migrate.runs.journal import Status
from cco_migrate.vcs.commands import Command

if TYPE_CHECKING:
    from tests.unit.cco_migrate.removal.conftest import Bench

pytestmark = pytest.mark.process

BRANCH, TAG, BACK = "remove-http-proxy", "before-proxy-removal", "bring-back-http-proxy"
STEPS = ("fits", "tag", "bundle", "branch", "remove-1", "remove-2", "report")


@pytest.mark.parametrize("step", STEPS)
def test_undo_after_any_step_leaves_the_repository_as_it_was_and_keeps_the_restore_point(
    bench: Bench, step: str
) -> None:
    before = bench.state()
    bench.change(commands=(Command("tests", ("true",)),))
    bench.engine().run(only=step)
    bench.engine().roll_back(why="asked for")
    assert bench.engine().state.status is Status.ROLLED_BACK
    assert bench.state() == before
    assert bench.git("tag", "--list") == (TAG if step != "fits" else "")
    assert (bench.runs / "run-1" / BUNDLE).exists() == (step not in {"fits", "tag"})


def test_removal_can_be_run_again_after_its_undo(bench: Bench) -> None:
    bench.engine().run()
    bench.engine().roll_back(why="asked for")
    bench.engine(run="run-2").run()
    assert bench.engine(run="run-2").state.status is Status.DONE


def test_branch_that_was_pushed_for_review_is_undone_here(removed: Bench, tmp_path: Path) -> None:
    removed.git("init", "--quiet", "--bare", str(tmp_path / "origin"))
    removed.git("remote", "add", "origin", str(tmp_path / "origin"))
    removed.git("push", "--quiet", "origin", BRANCH)
    removed.engine().roll_back(why="asked for")
    assert removed.git("branch", "--list", BRANCH) == ""
    assert removed.git("branch", "--remotes", "--list") == f"origin/{BRANCH}"


def test_removal_that_was_merged_is_not_undone_by_its_branch(removed: Bench) -> None:
    removed.merge()
    before = removed.state()
    with pytest.raises(RollbackFailed, match="is part of main too") as raised:
        removed.engine().roll_back(why="asked for")
    assert str(raised.value.next_command).startswith("git revert ")
    assert removed.state() == before


@pytest.mark.parametrize("how", ["--ff-only", "--squash", "--no-ff"])
def test_merged_removal_is_taken_back_on_a_branch_and_main_stays(removed: Bench, how: str) -> None:
    removed.merge(how)
    head, _, status, worktrees = removed.state()
    made = take_back(removed.removed, "main", BACK)
    removed.engine(made, "run-2").run()
    assert removed.git("diff", TAG, BACK) == ""
    assert removed.git("rev-parse", f"{BACK}~1", "main").split() == [head, head]
    assert (head, status, worktrees) == (removed.state()[0], *removed.state()[2:])
    removed.engine(made, "run-2").roll_back(why="asked for")
    assert removed.git("branch", "--list", BACK) == ""


def test_removal_whose_branch_is_gone_is_taken_back_by_its_last_commit(removed: Bench) -> None:
    removed.merge()
    removed.git("branch", "--quiet", "--delete", BRANCH)
    made = take_back(removed.removed, "main", BACK, until=removed.git("rev-parse", "HEAD"))
    removed.engine(made, "run-2").run()
    assert removed.git("diff", TAG, BACK) == ""


@pytest.mark.smoke
def test_work_of_others_since_then_survives_the_way_back(removed: Bench) -> None:
    removed.merge()
    removed.commit("docs/NEW.md", "# new\n")
    removed.engine(take_back(removed.removed, "main", BACK), "run-2").run()
    assert removed.git("diff", "--name-only", TAG, BACK) == "docs/NEW.md"


def test_way_back_that_conflicts_or_fails_its_tests_makes_no_branch(removed: Bench) -> None:
    removed.merge()
    text = (removed.root / "tools/status.py").read_text()
    removed.commit("tools/status.py", text.replace('("port", ', '("port", "admin_port", '))
    with pytest.raises(ToolkitError, match=r"tools/status\.py changed since then"):
        removed.engine(take_back(removed.removed, "main", BACK), "run-2").run()
    removed.commit("tools/status.py", text)
    removed.change(commands=(Command("tests", ("test", "!", "-e", "src/daemon/proxy")),))
    with pytest.raises(ToolkitError, match=r"the tests fail with .* taken back"):
        removed.engine(take_back(removed.removed, "main", BACK), "run-3").run()
    assert removed.git("branch", "--list", BACK) == ""
    assert removed.git("status", "--porcelain") == ""
    assert removed.git("worktree", "list").count("\n") == 0


def test_whole_repository_comes_back_from_the_bundle(removed: Bench, tmp_path: Path) -> None:
    removed.merge()
    target = tmp_path / "restored"
    made = restore(removed.removed, target)
    removed.engine(made, "run-2").run()
    assert removed.git("rev-parse", "HEAD", root=target) == removed.git("rev-parse", f"{TAG}^{{}}")
    done = subprocess.run([sys.executable, "check.py"], cwd=target, check=False)
    assert done.returncode == 0


def test_bundle_that_was_damaged_is_no_restore_point(bench: Bench) -> None:
    bench.engine().run(only="bundle")
    path = bench.runs / "run-1" / BUNDLE
    path.write_bytes(path.read_bytes()[:-200])
    before = bench.state()
    with pytest.raises(RolledBack, match="git cannot make a repository of it"):
        bench.engine().run()
    assert bench.state() == before


def test_force_push_is_only_printed_and_would_lose_nothing_unseen(
    removed: Bench, tmp_path: Path
) -> None:
    removed.git("init", "--quiet", "--bare", str(tmp_path / "origin"))
    removed.git("remote", "add", "origin", str(tmp_path / "origin"))
    removed.merge()
    removed.git("push", "--quiet", "origin", "main")
    steps = force_push(removed.removed, "origin", "main")
    assert "--force-with-lease=main:" in steps[-1]
    for step in steps:  # by hand, as a person would
        done = subprocess.run(["sh", "-c", step], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    there = removed.git("ls-remote", "origin", "refs/heads/main").split()[0]
    assert there == removed.git("rev-parse", f"{TAG}^{{commit}}")
