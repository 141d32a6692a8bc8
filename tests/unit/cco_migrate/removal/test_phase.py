"""The hard cutover on the sample repository: forwards, and what ends it before it is done."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cco_migrate.errors import InvalidInput, RolledBack, StalePlan, ToolkitError, Undecided
from cco_migrate.removal.planning import BUNDLE, plan
from cco_migrate.runs.journal import Status
from cco_migrate.vcs.commands import Command
from cco_migrate.vcs.references import Wanted
from cco_migrate.vcs.trees import Patch, Removal

if TYPE_CHECKING:
    from tests.unit.cco_migrate.removal.conftest import Bench

pytestmark = pytest.mark.process

BRANCH, TAG = "remove-http-proxy", "before-proxy-removal"
ONLY_BEFORE = Command("build", ("test", "-e", "src/daemon/proxy/mod.rs"))


@pytest.mark.smoke
def test_removal_ends_in_a_branch_with_one_commit_a_group_and_touches_nothing_else(
    bench: Bench,
) -> None:
    head, branches, status, worktrees = bench.state()
    bench.engine().run()
    assert bench.engine().state.status is Status.DONE
    tip = bench.git("rev-parse", BRANCH)
    assert bench.state() == (
        head, f"{branches}\n{tip} refs/heads/{BRANCH}", status, worktrees
    )  # fmt: skip
    assert bench.git("log", "--format=%s", f"{TAG}..{BRANCH}").splitlines() == [
        "The PID file has no proxy port any more",
        "Nobody starts or asks the proxy any more",
    ]
    assert bench.git("diff", "--name-status", "--diff-filter=D", TAG, BRANCH).splitlines() == [
        f"D\tsrc/daemon/proxy/{name}.rs" for name in ("mod", "router", "server", "translator")
    ]
    body = bench.git("log", "-1", "--format=%b", f"{BRANCH}~1")
    assert body.startswith("The gateway is the only way to a model; the launcher has no other.")


def test_restore_point_stands_and_was_rehearsed_before_the_branch_begins(bench: Bench) -> None:
    bench.engine().run(only="restorable")
    assert bench.git("for-each-ref", "--format=%(refname:short)", "refs/heads") == "main"
    assert bench.git("rev-parse", f"{TAG}^{{commit}}") == bench.git("rev-parse", "HEAD")
    assert (bench.runs / "run-1" / BUNDLE).stat().st_mode & 0o777 == 0o600
    facts = bench.facts("restorable")
    assert facts["verdict"] == "GO"
    assert [row["name"] for row in facts["commands"]] == ["tests"]
    assert not (bench.runs / "run-1" / "rehearsal").exists()


def test_facts_hold_what_was_found_and_the_output_is_kept(bench: Bench) -> None:
    bench.engine().run()
    references, revertible = bench.facts("references"), bench.facts("revertible")
    assert references["dangling_count"] == 0
    assert [f"{row['path']}:{row['line']}" for row in references["documents"]] == [
        "README.md:3", "docs/ARCHITECTURE.md:4", "docs/DEPLOYMENT.md:3"
    ]  # fmt: skip
    assert revertible["commands"][0]["code"] == 0
    said = (bench.runs / "run-1" / "output" / "tests.txt").read_text()
    assert said == "== tests: ended with 0\n7 files are sound\n"


def test_look_whether_the_manifest_fits_leaves_no_object_and_no_index_behind(bench: Bench) -> None:
    stale = (bench.root / "README.md").stat()
    os.utime(bench.root / "README.md", ns=(stale.st_atime_ns, stale.st_mtime_ns + 1))
    before = sorted((one, one.stat().st_mtime_ns) for one in (bench.root / ".git").rglob("*"))
    bench.engine().run(only="fits")
    after = sorted((one, one.stat().st_mtime_ns) for one in (bench.root / ".git").rglob("*"))
    assert after == before


def test_manifest_that_does_not_fit_changes_nothing_at_all(bench: Bench) -> None:
    first, second = bench.manifest.groups
    odd = Patch("odd.patch", first.removal.patches[0].diff.replace("proxy_port", "PROXY"))
    cases: Mapping[str, tuple[dict[str, object], str]] = {
        "misspelt symbol": (
            {"symbols": Wanted(("proxy_porte",))},
            "proxy_porte occurs nowhere: misspelt, or removed already",
        ),
        "symbol that stays": (
            {"groups": (first,)},
            r"6 references are left: src/daemon/lifecycle\.rs:4: proxy_port, ",
        ),
        "path": (
            {"groups": (replace(first, removal=Removal(("src/proxy",))), second)},
            "src/proxy cannot be deleted: git tracks nothing of that name there",
        ),
        "patch": (
            {"groups": (replace(first, removal=Removal(patches=(odd,))), second)},
            r"odd\.patch does not apply: patch failed: src/commands/launcher\.rs:1; patch failed: ",
        ),
    }
    before = bench.state()
    for name, (changes, said) in cases.items():
        sound = bench.manifest
        bench.change(**changes)
        with pytest.raises(ToolkitError, match=said):
            bench.engine(run=name).run()
        assert bench.engine(run=name).state.status is Status.ROLLED_BACK
        assert (bench.state(), bench.git("tag", "--list")) == (before, "")
        bench.manifest = sound


@pytest.mark.parametrize("staged", [False, True])
def test_dirty_tree_is_refused(bench: Bench, staged: bool) -> None:
    (bench.root / "README.md").write_text("mine\n")
    if staged:
        bench.git("add", ".")
    with pytest.raises(InvalidInput, match=r"not committed: README\.md"):
        bench.engine().run()
    assert (bench.root / "README.md").read_text() == "mine\n"
    assert bench.git("tag", "--list") == ""


def test_commit_made_since_the_plan_is_refused(bench: Bench) -> None:
    made = plan(bench.given)
    bench.commit("new", "theirs\n")
    with pytest.raises(StalePlan, match="the plan was made at"):
        bench.engine(made).run()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (Command("build", ("sh", "-c", "echo 3 errors; exit 7")), "build ended with 7: 3 errors"),
        (ONLY_BEFORE, r"build ended with 1: .*\(at "),
    ],
    ids=["broken before", "broken by the removal"],
)
def test_repository_that_does_not_build_ends_as_it_was_with_the_tag_kept(
    bench: Bench, command: Command, said: str
) -> None:
    before = bench.state()
    bench.change(commands=(command,))
    with pytest.raises(RolledBack, match=said):
        bench.engine().run()
    assert bench.state() == before
    assert bench.git("tag", "--list") == TAG
    assert (bench.runs / "run-1" / BUNDLE).exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (Command("build", ("sleep", "60"), timeout_s=0.3), r"build did not end within 0\.3 s"),
        (Command("build", ("no-such-command",)), "build did not start: no-such-command cannot"),
    ],
    ids=["late", "absent"],
)
def test_command_that_could_not_be_measured_decides_nothing(
    bench: Bench, command: Command, said: str
) -> None:
    bench.change(commands=(command,))
    with pytest.raises(Undecided, match=said):
        bench.engine().run()
    assert bench.engine().state.status is Status.OPEN


@pytest.mark.parametrize("after", [None, "restorable"], ids=["before the run", "during it"])
def test_branch_of_somebody_else_is_not_built_on_and_stays(bench: Bench, after: str | None) -> None:
    if after is not None:
        bench.engine().run(only=after)
    bench.git("branch", BRANCH)
    before = bench.state()
    with pytest.raises(ToolkitError, match=f"the branch {BRANCH} exists"):
        bench.engine().run()
    assert bench.engine().state.status is Status.ROLLED_BACK
    assert bench.state() == before


def test_commit_of_somebody_else_on_the_branch_stops_the_removal_and_stays(bench: Bench) -> None:
    bench.engine().run(only="remove-1")
    bench.git("switch", "--quiet", BRANCH)
    bench.commit("new", "theirs\n")
    theirs = bench.git("rev-parse", BRANCH)
    bench.git("switch", "--quiet", "main")
    with pytest.raises(ToolkitError, match="which this run did not make") as raised:
        bench.engine().roll_back(why="asked for")
    assert raised.value.code == 7
    assert bench.git("rev-parse", BRANCH) == theirs


def test_branch_that_is_checked_out_is_not_moved_under_anybody(bench: Bench) -> None:
    made = plan(bench.given)
    bench.engine(made).run(only="branch")
    bench.git("switch", "--quiet", BRANCH)
    before = bench.state()
    with pytest.raises(ToolkitError, match=f"{BRANCH} is checked out in"):
        bench.engine(made).run()
    assert bench.state() == before
    bench.git("switch", "--quiet", "main")
    bench.engine(made).roll_back(why="asked for")
    assert bench.git("for-each-ref", "--format=%(refname:short)", "refs/heads") == "main"
