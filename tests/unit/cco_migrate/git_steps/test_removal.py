"""The steps of a removal, one at a time: done again, undone again, and in somebody's way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cco_migrate.errors import InvalidInput, StalePlan, ToolkitError
from cco_migrate.model import Step

pytestmark = pytest.mark.process

Bench = Any  # the conftest's, which tests cannot import
FILE, BRANCH = "model-overrides.toml", "gone"
PATCH = {
    "name": "one.patch",
    "diff": "--- a/README\n+++ b/README\n@@ -1 +1 @@\n-# house rules\n+# no rules\n",
}


def branch_step(bench: Bench, name: str = BRANCH) -> Step:
    step: Step = bench.step("git.branch", branch=name, commit="HEAD")
    return step


def remove_step(bench: Bench, *delete: str, patches: tuple[dict[str, str], ...] = ()) -> Step:
    step: Step = bench.step(
        "git.remove", branch=BRANCH, message="Remove it", delete=list(delete), patches=list(patches)
    )
    return step


def back_step(bench: Bench, *command: str, until: str = BRANCH) -> Step:
    commands = [{"name": "tests", "run": list(command or ["true"]), "timeout_s": 30.0}]
    step: Step = bench.step(
        "git.take-back", since="main", until=until, onto=BRANCH, branch="back",
        message="Take it back", commands=commands,
    )  # fmt: skip
    return step


@pytest.fixture
def begun(bench: Bench) -> Bench:
    """The repository with the branch of a removal, still without a commit of its own."""
    bench.do(branch_step(bench))
    return bench


@pytest.mark.smoke
def test_branch_and_its_undo(bench: Bench) -> None:
    before, step = bench.state(), branch_step(bench)
    bench.do(step)
    bench.again(step)
    assert (
        bench.git("rev-parse", BRANCH, "main").splitlines() == [bench.git("rev-parse", "main")] * 2
    )
    assert bench.undo(step) == "gone is gone again"
    assert bench.state() == before
    assert bench.undo(step) == ""


@pytest.mark.parametrize("name", ["a b", "", "x..y", "-d", "@{-1}"])
def test_name_no_branch_can_have_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(InvalidInput, match="not a name a branch can have"):
        bench.do(branch_step(bench, name))


def test_branch_that_somebody_made_meanwhile_or_stands_on_is_left(bench: Bench) -> None:
    step = branch_step(bench)
    bench.do(step)
    bench.git("branch", "--quiet", "--force", BRANCH, "HEAD~1")
    with pytest.raises(StalePlan, match="was made by somebody else"):
        bench.again(step)
    with pytest.raises(ToolkitError, match="which this run did not make"):
        bench.undo(step)
    bench.git("branch", "--quiet", "--force", BRANCH, "main")
    bench.git("switch", "--quiet", BRANCH)
    with pytest.raises(ToolkitError, match="gone is checked out in") as raised:
        bench.undo(step)
    assert str(raised.value.next_command).endswith("switch --detach")


def test_worktree_of_a_killed_process_goes_with_the_branch(begun: Bench) -> None:
    folder = begun.context.run_dir / "worktrees" / "tests"
    begun.git("worktree", "add", "--quiet", "--detach", str(folder), BRANCH)
    begun.undo(branch_step(begun))
    assert begun.git("worktree", "list").count("\n") == 0
    assert not folder.exists()


def test_removal_is_a_commit_apart_from_the_working_tree_and_can_be_undone(begun: Bench) -> None:
    before = begun.state()
    step = remove_step(begun, FILE, patches=(PATCH,))
    made = begun.do(step)["commit"]
    assert begun.again(step)["commit"] == made
    assert begun.git("show", "--format=", "--name-status", BRANCH).splitlines() == [
        "M\tREADME", f"D\t{FILE}"
    ]  # fmt: skip
    assert begun.state()[1:] == before[1:]
    assert begun.undo(step) == f"{made[:9]} is off {BRANCH} again"
    assert begun.state() == before
    assert begun.undo(step) == ""


def test_patch_is_applied_as_it_is_whatever_the_configuration_says_of_blanks(begun: Bench) -> None:
    begun.git("config", "apply.whitespace", "fix")
    odd = {**PATCH, "diff": PATCH["diff"].replace("# no rules", "# no rules \t ")}
    begun.do(remove_step(begun, patches=(odd,)))
    assert begun.git("cat-file", "-s", f"{BRANCH}:README") == str(len("# no rules \t \n"))


def test_file_whose_name_is_a_pattern_is_that_file_only(begun: Bench) -> None:
    begun.write("x\n", "*.toml")
    begun.git("add", ".")
    begun.git("commit", "--quiet", "-m", "odd name")
    begun.git("branch", "--quiet", "--force", BRANCH, "main")
    begun.do(remove_step(begun, "*.toml"))
    assert begun.git("ls-tree", "--name-only", BRANCH).splitlines() == ["README", FILE]


@pytest.mark.parametrize(
    ("delete", "patches", "said"),
    [
        (("nothing",), (), "nothing cannot be deleted: git tracks nothing of that name"),
        ((), ({**PATCH, "diff": "no diff\n"},), r"one\.patch does not apply: "),
        (("README",), (PATCH,), r"one\.patch does not apply: README: does not exist in index"),
    ],
    ids=["path", "no patch", "patch of what is deleted"],
)
def test_removal_that_cannot_be_made_changes_nothing(
    begun: Bench, delete: tuple[str, ...], patches: tuple[dict[str, str], ...], said: str
) -> None:
    before = begun.state()
    with pytest.raises(InvalidInput, match=said):
        begun.do(remove_step(begun, *delete, patches=patches))
    assert begun.state() == before


def test_removal_that_was_merged_is_not_undone(begun: Bench) -> None:
    step = remove_step(begun, FILE)
    begun.do(step)
    begun.git("branch", "release", BRANCH)
    with pytest.raises(ToolkitError, match="is part of release too"):
        begun.undo(step)


def test_commits_are_taken_back_on_a_branch_that_can_be_undone(begun: Bench) -> None:
    begun.do(remove_step(begun, FILE))
    before, step = begun.state(), back_step(begun, "test", "-e", FILE)
    made = begun.do(step)["commit"]
    assert begun.again(step)["commit"] == made
    assert begun.git("diff", "main", "back") == ""
    assert "This takes back" in begun.git("log", "-1", "--format=%B", "back")
    assert begun.undo(step) == "back is gone again"
    assert begun.state() == before
    assert begun.undo(step) == ""


def test_way_back_in_whose_place_another_branch_stands_is_left(begun: Bench) -> None:
    begun.do(remove_step(begun, FILE))
    step = back_step(begun)
    begun.do(step)
    begun.git("branch", "--quiet", "--force", "back", "main")
    with pytest.raises(StalePlan, match="was made by somebody else"):
        begun.again(step)
    with pytest.raises(ToolkitError, match="which this run did not make"):
        begun.undo(step)


def test_way_back_from_nothing_or_from_a_merge_is_refused(begun: Bench) -> None:
    with pytest.raises(InvalidInput, match="holds no commit"):
        begun.do(back_step(begun))
    begun.do(remove_step(begun, FILE))
    begun.git("merge", "--quiet", "--no-ff", "-m", "merged", BRANCH)
    begun.git("tag", "before", "main~1")
    step = back_step(begun, until="main")
    with pytest.raises(InvalidInput, match="holds the merge"):
        begun.do(replace(step, params={**step.params, "since": "before"}))


def test_tag_that_is_a_way_back_stays_when_its_step_is_undone(bench: Bench) -> None:
    step = bench.step("git.tag", name="t", message="m", keep=True)
    bench.do(step)
    assert bench.undo(step) == ""
    assert bench.git("tag", "--list") == "t"


def test_bundle_with_a_relative_name_is_in_the_folder_of_the_run(bench: Bench) -> None:
    facts = bench.do(bench.step("git.bundle", path="all.bundle"))
    assert facts["path"] == str(bench.context.run_dir / "all.bundle")
