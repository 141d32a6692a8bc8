"""Git steps on real repositories: each can be repeated and undone, and no work is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cco_migrate.context import Context
from cco_migrate.engine import Engine
from cco_migrate.errors import InvalidInput, RolledBack, StalePlan, ToolkitError
from cco_migrate.journal import Event, Journal
from cco_migrate.model import JsonObject, Plan, Step
from cco_migrate.steps.git import GIT_ACTIONS

FILE = "model-overrides.toml"
OFF, ON = "enabled = false\n", "enabled = true\n"


@pytest.fixture(autouse=True)
def own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Git without the configuration and the identity of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Op")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "op@example.org")


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Bench:
    """A repository with two commits, and one step at a time on it."""

    root: Path
    context: Context
    receipts: dict[str, JsonObject] = field(default_factory=dict)

    def step(self, uses: str, **params: object) -> Step:
        return Step(
            1, uses.rpartition(".")[2], "the step", uses, {"repo": str(self.root), **params}
        )

    def commit_step(self) -> Step:
        return self.step("git.commit", paths=[FILE], message="Enable overrides")

    def do(self, step: Step) -> JsonObject:
        action = GIT_ACTIONS[step.uses]
        self.receipts[step.id] = action.prepare(step, self.context)
        return action.apply(step, self.receipts[step.id], self.context).facts

    def again(self, step: Step) -> JsonObject:
        return GIT_ACTIONS[step.uses].apply(step, self.receipts[step.id], self.context).facts

    def undo(self, step: Step) -> str:
        return GIT_ACTIONS[step.uses].undo(step, self.receipts[step.id], self.context)

    def state(self) -> tuple[str, str, str]:
        """Refs, what git status says, and the file."""
        refs = git(self.root, "for-each-ref", "--format=%(objectname) %(refname)")
        return refs, git(self.root, "status", "--porcelain"), (self.root / FILE).read_text()

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
    git(root, "init", "--quiet", "--initial-branch=main")
    made = Bench(root, context_at(f"http://127.0.0.1:{closed_port}"))
    made.write("# house rules\n", "README")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    made.write(OFF)
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "add the file")
    return made


def test_commit_and_its_undo_leave_the_repository_as_before(bench: Bench) -> None:
    bench.write("notes\n", "untracked.txt")
    bench.write(ON)
    before = bench.state()
    step = bench.commit_step()
    made = bench.do(step)["commit"]
    assert git(bench.root, "log", "-1", "--format=%H %s %an") == f"{made} Enable overrides Op"
    assert git(bench.root, "show", f"HEAD:{FILE}") == ON.strip()
    assert bench.again(step)["commit"] == made
    assert bench.undo(step)
    assert bench.state() == before
    assert bench.undo(step) == ""


def test_first_commit_of_a_repository_can_be_undone(bench: Bench, tmp_path: Path) -> None:
    bench.root = tmp_path / "new"
    bench.root.mkdir()
    git(bench.root, "init", "--quiet")
    bench.write(ON)
    before = bench.state()
    step = bench.commit_step()
    bench.do(step)
    assert git(bench.root, "rev-list", "--count", "HEAD") == "1"
    bench.undo(step)
    assert bench.state() == before


def test_commit_of_unchanged_files_makes_none(bench: Bench) -> None:
    before = bench.state()
    assert bench.do(bench.commit_step()) == {}
    assert bench.state() == before


def test_commit_removes_a_file_that_is_gone(bench: Bench) -> None:
    (bench.root / FILE).unlink()
    bench.do(bench.commit_step())
    assert git(bench.root, "ls-files") == "README"


def test_commit_killed_before_it_was_made_is_made_by_the_rerun(bench: Bench) -> None:
    bench.write(ON)
    step = bench.commit_step()
    before = bench.state()
    bench.receipts[step.id] = GIT_ACTIONS[step.uses].prepare(step, bench.context)
    git(bench.root, "add", FILE)  # and killed here
    assert bench.undo(step) == ""
    assert bench.state() == before
    git(bench.root, "add", FILE)
    assert bench.again(step)["commit"] == git(bench.root, "rev-parse", "HEAD")


def stage(bench: Bench) -> None:
    bench.write("staged\n", "README")
    git(bench.root, "add", "README")


def conflicting_merge(bench: Bench) -> None:
    git(bench.root, "switch", "--quiet", "-c", "other", "HEAD~1")
    bench.write("other\n")
    git(bench.root, "add", ".")
    git(bench.root, "commit", "--quiet", "-m", "other")
    subprocess.run(["git", "merge", "main"], cwd=bench.root, capture_output=True, check=False)


TROUBLES: dict[str, tuple[Callable[[Bench], object], str]] = {
    "changed": (lambda b: b.write("edited\n", "README"), "not committed: README"),
    "staged": (stage, "not committed: README"),
    "detached": (lambda b: git(b.root, "switch", "--detach", "--quiet"), "HEAD is detached"),
    "merge": (conflicting_merge, "a merge is under way"),
}


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


def test_commit_beside_something_staged_of_its_own_file_is_refused(bench: Bench) -> None:
    bench.write("half\n")
    git(bench.root, "add", FILE)
    bench.write(ON)
    with pytest.raises(InvalidInput, match=FILE):
        bench.do(bench.commit_step())


@pytest.mark.parametrize(
    ("path", "said"), [("../outside", "not inside"), ("local.log", "ignored by git")]
)
def test_path_that_cannot_be_committed_is_refused(bench: Bench, path: str, said: str) -> None:
    bench.write("*.log\n", ".git/info/exclude")
    bench.write("x", "local.log")
    with pytest.raises(InvalidInput, match=said):
        bench.do(bench.step("git.commit", paths=[path], message="m"))


def test_missing_identity_is_said_before_anything_is_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{who}_NAME")
        monkeypatch.delenv(f"GIT_{who}_EMAIL")
    git(bench.root, "config", "user.useConfigOnly", "true")
    bench.write(ON)
    before = bench.state()
    with pytest.raises(ToolkitError, match=r"user\.email|user\.name|name was given"):
        bench.do(bench.commit_step())
    assert bench.state() == before


@pytest.mark.parametrize(
    ("name", "script", "said"),
    [
        ("pre-commit", "echo the house says no; exit 1", "the house says no"),
        ("commit-msg", 'echo another > "$1"', "changed the message"),
    ],
)
def test_hook_that_refuses_or_rewrites_leaves_no_commit(
    bench: Bench, name: str, script: str, said: str
) -> None:
    bench.write(ON)
    before = bench.state()
    bench.hook(name, script)
    with pytest.raises(ToolkitError, match=said):
        bench.do(bench.commit_step())
    assert bench.state() == before


def test_hook_that_changes_the_file_leaves_no_commit(bench: Bench) -> None:
    bench.write(ON)
    head = git(bench.root, "rev-parse", "HEAD")
    bench.hook("pre-commit", f"echo formatted >> {FILE}; git add {FILE}")
    with pytest.raises(ToolkitError, match="a hook changed"):
        bench.do(bench.commit_step())
    assert git(bench.root, "rev-parse", "HEAD") == head


def test_commit_on_a_branch_that_moved_is_refused(bench: Bench) -> None:
    bench.write(ON)
    step = bench.commit_step()
    receipt = GIT_ACTIONS[step.uses].prepare(step, bench.context)
    git(bench.root, "commit", "--quiet", "--allow-empty", "-m", "theirs")
    with pytest.raises(StalePlan, match="main moved"):
        GIT_ACTIONS[step.uses].apply(step, receipt, bench.context)


def origin_of(bench: Bench, tmp_path: Path) -> Path:
    """A bare repository the bench's was pushed to, by a person."""
    origin = tmp_path / "origin.git"
    git(tmp_path, "init", "--quiet", "--bare", str(origin))
    git(bench.root, "remote", "add", "origin", str(origin))
    git(bench.root, "push", "--quiet", "origin", "main")
    return origin


def test_published_commit_is_undone_by_another_and_nothing_is_pushed(
    bench: Bench, tmp_path: Path
) -> None:
    bench.write(ON)
    step = bench.commit_step()
    made = bench.do(step)["commit"]
    origin = origin_of(bench, tmp_path)
    published = git(origin, "for-each-ref")
    assert "published" in bench.undo(step)
    assert git(bench.root, "rev-parse", "HEAD~1") == made
    assert bench.state()[1:] == ("", OFF)
    assert git(origin, "for-each-ref") == published
    assert bench.undo(step) == ""
    assert not (bench.context.run_dir / "worktrees" / step.id).exists()


def test_commit_others_built_on_is_undone_without_losing_theirs(bench: Bench) -> None:
    bench.write(ON)
    step = bench.commit_step()
    bench.do(step)
    bench.write("# new rules\n", "README")
    git(bench.root, "commit", "--quiet", "-am", "theirs")
    bench.undo(step)
    assert bench.state()[1:] == ("", OFF)
    assert (bench.root / "README").read_text() == "# new rules\n"


def revert_step(bench: Bench, *tests: str, commit: str = "HEAD") -> Step:
    return bench.step("git.revert", commit=commit, message="Back to off", tests=list(tests))


@pytest.fixture
def enabled(bench: Bench) -> Bench:
    """The repository with a third commit, which enables the overrides."""
    bench.write(ON)
    git(bench.root, "commit", "--quiet", "-am", "enable")
    return bench


def test_revert_and_its_undo(enabled: Bench) -> None:
    before = enabled.state()
    step = revert_step(enabled, "grep", "-q", "false", FILE)
    made = enabled.do(step)["commit"]
    assert enabled.state()[1:] == ("", OFF)
    assert enabled.again(step)["commit"] == made
    assert "This takes back" in git(enabled.root, "log", "-1", "--format=%B")
    enabled.undo(step)
    assert enabled.state() == before
    assert git(enabled.root, "worktree", "list").count("\n") == 0


def test_tests_run_on_the_reverted_files_apart_from_the_working_tree(enabled: Bench) -> None:
    seen = enabled.root.parent / "seen"
    script = f"cp {FILE} {seen}; test $(cat {enabled.root}/{FILE} | grep -c true) = 1"
    enabled.do(revert_step(enabled, "sh", "-c", script))
    assert seen.read_text() == OFF


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (["sh", "-c", "echo 3 tests failed; exit 4"], "ended with 4: 3 tests failed"),
        (["no-such-command-anywhere"], "ended with 1"),
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
    assert git(enabled.root, "worktree", "list").count("\n") == 0
    assert enabled.undo(step) == ""


def test_revert_that_conflicts_names_the_file_and_changes_nothing(enabled: Bench) -> None:
    enabled.write("enabled = true  # theirs\n")
    git(enabled.root, "commit", "--quiet", "-am", "theirs")
    before = enabled.state()
    with pytest.raises(ToolkitError, match=rf"{FILE} changed since then"):
        enabled.do(revert_step(enabled, commit="HEAD~1"))
    assert enabled.state() == before


def test_tree_that_became_dirty_while_the_tests_ran_is_not_moved(enabled: Bench) -> None:
    head = git(enabled.root, "rev-parse", "HEAD")
    with pytest.raises(InvalidInput, match="not committed: README"):
        enabled.do(revert_step(enabled, "sh", "-c", f"echo mine > {enabled.root}/README"))
    assert git(enabled.root, "rev-parse", "HEAD") == head
    assert (enabled.root / "README").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("commit", "said"),
    [("nothing", "no commit nothing"), ("aside", "not part of main"), ("--all", "no commit --all")],
)
def test_commit_that_cannot_be_reverted_is_refused(enabled: Bench, commit: str, said: str) -> None:
    git(enabled.root, "branch", "aside")
    git(enabled.root, "switch", "--quiet", "aside")
    git(enabled.root, "commit", "--quiet", "--allow-empty", "-m", "aside")
    git(enabled.root, "switch", "--quiet", "main")
    with pytest.raises(InvalidInput, match=said):
        enabled.do(revert_step(enabled, commit=commit))


def test_merge_is_not_reverted(enabled: Bench) -> None:
    git(enabled.root, "switch", "--quiet", "-c", "side", "HEAD~1")
    git(enabled.root, "commit", "--quiet", "--allow-empty", "-m", "side")
    git(enabled.root, "switch", "--quiet", "main")
    git(enabled.root, "merge", "--quiet", "--no-ff", "-m", "merged", "side")
    with pytest.raises(InvalidInput, match="is a merge"):
        enabled.do(revert_step(enabled))


def test_worktree_somebody_uses_is_refused(enabled: Bench) -> None:
    step = revert_step(enabled)
    folder = enabled.context.run_dir / "worktrees" / step.id
    git(enabled.root, "worktree", "add", "--quiet", "--detach", str(folder))
    with pytest.raises(InvalidInput, match="another process may work there"):
        enabled.do(step)
    assert (folder / FILE).exists()


def test_worktree_of_a_killed_process_is_replaced_and_a_locked_one_is_not(enabled: Bench) -> None:
    step = revert_step(enabled)
    enabled.receipts[step.id] = GIT_ACTIONS[step.uses].prepare(step, enabled.context)
    folder = enabled.context.run_dir / "worktrees" / step.id
    git(enabled.root, "worktree", "add", "--quiet", "--detach", str(folder))
    git(enabled.root, "worktree", "lock", str(folder))
    with pytest.raises(ToolkitError, match="locked"):
        enabled.again(step)
    git(enabled.root, "worktree", "unlock", str(folder))
    enabled.again(step)
    assert enabled.state()[1:] == ("", OFF)


def test_undo_of_a_revert_refuses_to_lose_a_change(enabled: Bench) -> None:
    step = revert_step(enabled)
    enabled.do(step)
    enabled.write("mine\n")
    with pytest.raises(ToolkitError, match=FILE):
        enabled.undo(step)
    assert (enabled.root / FILE).read_text() == "mine\n"


def test_tag_and_its_undo(bench: Bench) -> None:
    before = bench.state()
    step = bench.step("git.tag", name="before-cutover", message="a way back")
    target = bench.do(step)["commit"]
    assert git(bench.root, "rev-parse", "before-cutover^{commit}") == target
    assert git(bench.root, "cat-file", "-t", "before-cutover") == "tag"
    assert bench.again(step)["commit"] == target
    assert bench.undo(step)
    assert bench.state() == before
    assert bench.undo(step) == ""


def test_tag_that_was_there_or_was_moved_stays(bench: Bench) -> None:
    step = bench.step("git.tag", name="t", message="m")
    git(bench.root, "tag", "t")
    bench.do(step)
    assert bench.undo(step) == ""
    git(bench.root, "tag", "--delete", "t")
    bench.do(step)
    git(bench.root, "tag", "--force", "t", "HEAD~1")
    assert bench.undo(step) == ""
    assert git(bench.root, "rev-parse", "t") == git(bench.root, "rev-parse", "HEAD~1")
    with pytest.raises(InvalidInput, match="it is not moved"):
        bench.do(step)
    with pytest.raises(StalePlan, match="by somebody else"):
        bench.again(step)


@pytest.mark.parametrize("name", ["a b", "", "x..y", "a.lock"])
def test_name_no_tag_can_have_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(InvalidInput, match="not a name a tag can have"):
        bench.do(bench.step("git.tag", name=name, message="m"))


def test_bundle_restores_every_branch_and_tag(bench: Bench, tmp_path: Path) -> None:
    git(bench.root, "branch", "side", "HEAD~1")
    git(bench.root, "tag", "v1")
    step = bench.step("git.bundle", path=str(tmp_path / "out" / "repo.bundle"))
    facts = bench.do(step)
    bundle = Path(facts["path"])
    assert bundle.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in bundle.parent.iterdir()] == ["repo.bundle"]
    assert bench.undo(step) == ""
    target = tmp_path / "restored"
    restore = bench.step("git.restore-bundle", bundle=str(bundle), target=str(target))
    assert bench.do(restore)["head"] == git(bench.root, "rev-parse", "HEAD") == facts["head"]
    assert (target / FILE).read_text() == OFF
    assert git(target, "rev-parse", "v1") == git(bench.root, "rev-parse", "v1")
    assert bench.again(restore)["head"] == facts["head"]
    assert bench.undo(restore)
    assert not target.exists()
    assert bench.undo(restore) == ""


def test_restored_folder_somebody_worked_in_is_not_removed(bench: Bench, tmp_path: Path) -> None:
    bench.do(bench.step("git.bundle", path=str(tmp_path / "b")))
    target = tmp_path / "restored"
    restore = bench.step("git.restore-bundle", bundle=str(tmp_path / "b"), target=str(target))
    bench.do(restore)
    (target / "work.txt").write_text("mine")
    with pytest.raises(ToolkitError, match="holds work"):
        bench.undo(restore)
    git(target, "add", ".")
    git(target, "commit", "--quiet", "-m", "mine")
    with pytest.raises(ToolkitError, match="holds work"):
        bench.undo(restore)
    assert (target / "work.txt").read_text() == "mine"


def test_bundle_that_could_not_restore_everything_is_refused(bench: Bench, tmp_path: Path) -> None:
    empty, shallow = tmp_path / "empty", tmp_path / "shallow"
    git(tmp_path, "init", "--quiet", str(empty))
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{bench.root}", str(shallow))
    (tmp_path / "there").write_text("x")
    for root, name, said in (
        (empty, "b", "no commit"), (shallow, "b", "shallow"), (bench.root, "there", "exists"),
    ):  # fmt: skip
        bench.root = root
        with pytest.raises(InvalidInput, match=said):
            bench.do(bench.step("git.bundle", path=str(tmp_path / name)))


@pytest.mark.parametrize("data", [None, b"", b"# v2 git bundle\nnonsense"])
def test_what_is_no_bundle_is_refused_and_leaves_nothing(
    bench: Bench, tmp_path: Path, data: bytes | None
) -> None:
    bundle, target = tmp_path / "b", tmp_path / "restored"
    if data is not None:
        bundle.write_bytes(data)
    with pytest.raises(ToolkitError):
        bench.do(bench.step("git.restore-bundle", bundle=str(bundle), target=str(target)))
    assert not list(tmp_path.glob("*restored*"))


def test_submodules_that_are_not_checked_out_are_in_nobodys_way(
    enabled: Bench, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    git(tmp_path, "clone", "--quiet", str(enabled.root), str(library))
    allow = ("-c", "protocol.file.allow=always")
    git(enabled.root, *allow, "submodule", "--quiet", "add", str(library), "library")
    git(enabled.root, "commit", "--quiet", "-m", "add a library")
    git(enabled.root, "submodule", "--quiet", "deinit", "--force", "library")
    enabled.do(revert_step(enabled, "test", "!", "-e", f"library/{FILE}", commit="HEAD~1"))
    assert enabled.state()[1:] == ("", OFF)
    facts = enabled.do(enabled.step("git.bundle", path=str(tmp_path / "b")))
    assert facts["submodules"] == 1


class Silent:
    """Shows nobody anything."""

    def step_begins(self, step: Step) -> None:
        """Nothing."""

    def waiting(self, what: str, timeout_s: float) -> None:
        """Nothing."""

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        """Nothing."""


def test_run_that_fails_after_a_commit_takes_it_off_the_branch(bench: Bench) -> None:
    bench.write(ON)
    before, context = bench.state(), bench.context
    refused = Step(2, "tag", "tag", "git.tag", {"repo": str(bench.root), "name": "a b"})
    steps = (bench.commit_step(), refused)
    plan = Plan("model-overrides", context.instance, steps, (), (), "before", "after")
    journal = Journal(context.run_dir / "journal.jsonl", context.run, context.world)
    journal.append(Event.PLANNED, reason=plan.digest)
    with pytest.raises(RolledBack, match="not a name a tag can have"):
        Engine(plan, journal, context.world, Silent(), dict).run()
    assert bench.state() == before


@pytest.mark.parametrize("kind", ["bare", "none", "absent"])
def test_folder_that_is_no_working_tree_is_refused(bench: Bench, tmp_path: Path, kind: str) -> None:
    bench.root = tmp_path / "other"
    if kind == "bare":
        git(tmp_path, "init", "--quiet", "--bare", str(bench.root))
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
