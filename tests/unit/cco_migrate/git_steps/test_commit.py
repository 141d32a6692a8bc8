"""Commits on real repositories: each can be repeated and undone, and no work is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cco_migrate.engine import Engine
from cco_migrate.errors import InvalidInput, RolledBack, StalePlan, ToolkitError
from cco_migrate.model import Plan, Step
from cco_migrate.runs.journal import Event, Journal
from cco_migrate.steps import ACTIONS

pytestmark = pytest.mark.process

Bench = Any  # the conftest's, which tests cannot import
FILE = "model-overrides.toml"
OFF, ON = "enabled = false\n", "enabled = true\n"


@pytest.mark.smoke
def test_commit_and_its_undo_leave_the_repository_as_before(bench: Bench) -> None:
    bench.write("notes\n", "untracked.txt")
    bench.write(ON)
    before = bench.state()
    step = bench.commit_step()
    made = bench.do(step)["commit"]
    assert bench.git("log", "-1", "--format=%H %s %an") == f"{made} Enable overrides Op"
    assert bench.git("show", f"HEAD:{FILE}") == ON.strip()
    assert bench.again(step)["commit"] == made
    assert bench.undo(step)
    assert bench.state() == before
    assert bench.undo(step) == ""


def test_first_commit_of_a_repository_can_be_undone(bench: Bench, tmp_path: Path) -> None:
    bench.root = tmp_path / "new"
    bench.root.mkdir()
    bench.git("init", "--quiet")
    bench.write(ON)
    before = bench.state()
    step = bench.commit_step()
    bench.do(step)
    assert bench.git("rev-list", "--count", "HEAD") == "1"
    bench.undo(step)
    assert bench.state() == before


def test_commit_of_unchanged_files_makes_none(bench: Bench) -> None:
    before = bench.state()
    assert bench.do(bench.commit_step()) == {}
    assert bench.state() == before


def test_commit_removes_a_file_that_is_gone(bench: Bench) -> None:
    (bench.root / FILE).unlink()
    bench.do(bench.commit_step())
    assert bench.git("ls-files") == "README"


def test_commit_killed_before_it_was_made_is_made_by_the_rerun(bench: Bench) -> None:
    bench.write(ON)
    step = bench.commit_step()
    before = bench.state()
    bench.receipts[step.id] = ACTIONS[step.uses].prepare(step, bench.context)
    bench.git("add", FILE)  # and killed here
    assert bench.undo(step) == ""
    assert bench.state() == before
    bench.git("add", FILE)
    assert bench.again(step)["commit"] == bench.git("rev-parse", "HEAD")


def test_commit_beside_something_staged_of_its_own_file_is_refused(bench: Bench) -> None:
    bench.write("half\n")
    bench.git("add", FILE)
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
    bench.git("config", "user.useConfigOnly", "true")
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
    head = bench.git("rev-parse", "HEAD")
    bench.hook("pre-commit", f"echo formatted >> {FILE}; git add {FILE}")
    with pytest.raises(ToolkitError, match="a hook changed"):
        bench.do(bench.commit_step())
    assert bench.git("rev-parse", "HEAD") == head


def test_commit_on_a_branch_that_moved_is_refused(bench: Bench) -> None:
    bench.write(ON)
    step = bench.commit_step()
    receipt = ACTIONS[step.uses].prepare(step, bench.context)
    bench.git("commit", "--quiet", "--allow-empty", "-m", "theirs")
    with pytest.raises(StalePlan, match="main moved"):
        ACTIONS[step.uses].apply(step, receipt, bench.context)


def origin_of(bench: Bench, tmp_path: Path) -> Path:
    """A bare repository the bench's was pushed to, by a person."""
    origin = tmp_path / "origin.git"
    bench.git_in(tmp_path, "init", "--quiet", "--bare", str(origin))
    bench.git("remote", "add", "origin", str(origin))
    bench.git("push", "--quiet", "origin", "main")
    return origin


def test_published_commit_is_undone_by_another_and_nothing_is_pushed(
    bench: Bench, tmp_path: Path
) -> None:
    bench.write(ON)
    step = bench.commit_step()
    made = bench.do(step)["commit"]
    origin = origin_of(bench, tmp_path)
    published = bench.git_in(origin, "for-each-ref")
    assert "published" in bench.undo(step)
    assert bench.git("rev-parse", "HEAD~1") == made
    assert bench.state()[1:] == ("", OFF)
    assert bench.git_in(origin, "for-each-ref") == published
    assert bench.undo(step) == ""
    assert not (bench.context.run_dir / "worktrees" / step.id).exists()


def test_commit_others_built_on_is_undone_without_losing_theirs(bench: Bench) -> None:
    bench.write(ON)
    step = bench.commit_step()
    bench.do(step)
    bench.write("# new rules\n", "README")
    bench.git("commit", "--quiet", "-am", "theirs")
    bench.undo(step)
    assert bench.state()[1:] == ("", OFF)
    assert (bench.root / "README").read_text() == "# new rules\n"


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
