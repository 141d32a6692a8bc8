"""The task that rolls a removal back: by flag while it is ours, else by git or from the bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cco_migrate.checks import CHECKS
from cco_migrate.commands.taking_back import BUNDLE, GIT, Wanted, rollback
from cco_migrate.config import ConfigName
from cco_migrate.engine import Engine
from cco_migrate.errors import InvalidInput, NeedsAnswer, RollbackFailed, RolledBack
from cco_migrate.migrations import MIGRATIONS, Inputs
from cco_migrate.migrations.gateway_cutover import HARD, KIND
from cco_migrate.migrations.inputs import Cutover, Verification
from cco_migrate.planning.simulated import AssumedCheck
from cco_migrate.progress import Output
from cco_migrate.removal.ways_back import Removed, removed_by, take_back
from cco_migrate.runs.journal import Status
from cco_migrate.runs.store import Run
from cco_migrate.session import Session
from cco_migrate.target import Target
from cco_migrate.vcs.commands import Command

if TYPE_CHECKING:
    from tests.unit.cco_migrate.removal.conftest import Bench

pytestmark = pytest.mark.process

BRANCH, TAG, BACK = "remove-http-proxy", "before-proxy-removal", "take-back-remove-http-proxy"
GATEWAY = {uses: AssumedCheck(CHECKS[uses], "ask") for uses in ("switches.state", "gate.held")}
FLAG = Wanted("flag", yes=True)
BY_GIT = Wanted(GIT, yes=True)


@pytest.fixture
def session(bench: Bench) -> Session:
    return Session(Target(home=str(bench.instance.home)), Output(quiet=True), bench.world)


def removal(bench: Bench, session: Session, *, only: str | None = None) -> Run:
    """Carry phase 3 out; what it asks a gateway is answered with yes."""
    inputs = Inputs(
        bench.instance, dict.fromkeys(ConfigName), fix=False, replace=True, known_models=(),
        verification=Verification(), cutover=Cutover(phase=HARD, removing=bench.given),
    )  # fmt: skip
    run = session.store.create(MIGRATIONS[KIND](inputs))
    engine = Engine(
        run.plan, run.journal, bench.world, bench.seen, lambda: {"report.md": "# ok"},
        checks={**CHECKS, **GATEWAY},
    )  # fmt: skip
    engine.run(only=only)
    return run


@pytest.fixture
def run(bench: Bench, session: Session) -> Run:
    """Phase 3 done, and not merged."""
    bench.change(commands=(Command("tests", ("true",)),))
    return removal(bench, session)


@pytest.fixture
def merged(bench: Bench, run: Run) -> Run:
    """Phase 3 done, and merged."""
    bench.git("merge", "--quiet", "--ff-only", BRANCH)
    return run


def status(session: Session, run: str) -> Status:
    return session.store.load(run).state.status


def branches(bench: Bench) -> list[str]:
    return bench.git("for-each-ref", "--format=%(refname:short)", "refs/heads").split()


@pytest.mark.parametrize("only", [None, "remove-1", "restorable"])
def test_removal_that_nobody_merged_is_undone_by_flag(
    bench: Bench, session: Session, only: str | None
) -> None:
    bench.change(commands=(Command("tests", ("true",)),))
    made = removal(bench, session, only=only)
    assert "the branch of the removal is gone" in rollback(session, FLAG).text
    assert (branches(bench), bench.git("tag", "--list")) == (["main"], TAG)
    assert status(session, made.id) is Status.ROLLED_BACK


@pytest.mark.parametrize("by", ["flag", "backup"])
def test_merged_removal_is_refused_by_flag_and_backup_and_nothing_changes(
    bench: Bench, session: Session, merged: Run, by: str
) -> None:
    before = bench.state()
    with pytest.raises(InvalidInput, match=f"--by {by}: ") as raised:
        rollback(session, Wanted(by, yes=True))
    assert f"--by git --run {merged.id}" in str(raised.value.next_command)
    assert (bench.state(), status(session, merged.id)) == (before, Status.DONE)


@pytest.mark.parametrize("head", ["main", BRANCH, f"--detach {BRANCH}"])
def test_removal_that_was_squashed_elsewhere_is_not_said_to_be_undone(
    bench: Bench, session: Session, run: Run, head: str
) -> None:
    bench.squash("R&D")
    bench.git("switch", "--quiet", *head.split())
    with pytest.raises(InvalidInput, match="is part of R&D, squashed: ") as raised:
        rollback(session, FLAG)
    assert f"--by git --run {run.id} --onto 'R&D'" in str(raised.value.next_command)
    assert status(session, run.id) is Status.DONE
    rollback(session, replace(BY_GIT, onto="R&D"))
    assert bench.git("diff", TAG, BACK) == ""


def test_undo_that_goes_on_after_a_squash_elsewhere_says_that_it_is_still_there(
    bench: Bench, session: Session, run: Run
) -> None:
    bench.git("switch", "--quiet", BRANCH)
    with pytest.raises(RollbackFailed, match="is checked out"):
        rollback(session, FLAG)
    bench.squash("develop")
    assert "BUT the removal is part of develop, squashed: " in rollback(session, FLAG).text
    assert status(session, run.id) is Status.ROLLED_BACK


def test_removal_that_was_undone_here_is_taken_back_elsewhere_by_hand(
    session: Session, run: Run
) -> None:
    rollback(session, FLAG)
    with pytest.raises(InvalidInput, match="its branch is gone") as raised:
        rollback(session, replace(BY_GIT, run=run.id))
    assert "git revert" in str(raised.value.next_command)


@pytest.mark.smoke
def test_merged_removal_is_taken_back_by_a_run_of_its_own(
    bench: Bench, session: Session, merged: Run
) -> None:
    done = rollback(session, BY_GIT)
    assert bench.git("diff", TAG, BACK) == ""
    assert status(session, merged.id) is Status.DONE
    undone = rollback(session, FLAG)
    assert f"on {BACK}: gone again" in undone.text
    assert BACK not in branches(bench)
    assert status(session, str(done.document["run"])) is Status.ROLLED_BACK


def test_what_was_added_in_the_review_is_taken_back_too(
    bench: Bench, session: Session, run: Run
) -> None:
    bench.git("switch", "--quiet", BRANCH)
    bench.commit("docs/DEPLOYMENT.md", "# one way\n", "say so")
    bench.git("switch", "--quiet", "main")
    bench.git("merge", "--quiet", "--ff-only", BRANCH)
    rollback(session, BY_GIT)
    assert bench.git("diff", TAG, BACK) == ""


def test_removal_whose_branch_was_deleted_is_taken_back_by_its_commits(
    bench: Bench, session: Session, merged: Run
) -> None:
    bench.git("branch", "--quiet", "--delete", BRANCH)
    rollback(session, replace(BY_GIT, branch="back", run=merged.id))
    assert bench.git("diff", TAG, "back") == ""


def test_way_back_that_was_killed_is_gone_on_with(
    bench: Bench, session: Session, merged: Run
) -> None:
    killed = session.store.create(take_back(_removed(merged), "main", BACK, until=BRANCH))
    with pytest.raises(InvalidInput, match=f"run {killed.id} is open; another one over it"):
        rollback(session, replace(BY_GIT, branch="another"))
    assert rollback(session, BY_GIT).document["run"] == killed.id
    assert status(session, killed.id) is Status.DONE


def test_way_back_that_fails_leaves_nothing_and_says_what_state_things_are_in(
    bench: Bench, session: Session, merged: Run
) -> None:
    text = (bench.root / "tools/status.py").read_text()
    bench.commit("tools/status.py", text.replace('("port", ', '("port", "admin_port", '))
    with pytest.raises(RolledBack, match=r"tools/status\.py changed since then") as raised:
        rollback(session, BY_GIT)
    assert raised.value.state == (
        "What was made is gone again; no configuration and no gateway was touched."
    )
    assert BACK not in branches(bench)
    assert session.store.unfinished() is None


def test_whole_repository_is_restored_into_a_new_folder_only(
    bench: Bench, session: Session, merged: Run, tmp_path: Path
) -> None:
    target = tmp_path / "restored"
    rollback(session, Wanted(BUNDLE, to=str(target), yes=True))
    old = bench.git("rev-parse", f"{TAG}^{{commit}}")
    assert bench.git("rev-parse", "HEAD", root=target) == old
    with pytest.raises(InvalidInput, match="exists; a repository is not restored over it"):
        rollback(session, Wanted(BUNDLE, to=str(target), yes=True))
    assert session.store.unfinished() is None


def test_removal_that_is_not_done_is_not_taken_back_but_undone(
    bench: Bench, session: Session
) -> None:
    bench.change(commands=(Command("tests", ("true",)),))
    made = removal(bench, session, only="remove-1")
    with pytest.raises(InvalidInput, match=f"run {made.id} is open") as raised:
        rollback(session, BY_GIT)
    assert str(raised.value.next_command).startswith("invoke rollback")


def test_force_push_is_told_only_to_who_typed_what_it_means(session: Session, merged: Run) -> None:
    wanted = replace(BY_GIT, force_push="origin")
    with pytest.raises(NeedsAnswer) as raised:
        rollback(session, wanted)
    assert '--confirm "overwrite main of origin"' in str(raised.value.next_command)
    told = rollback(session, replace(wanted, confirm="overwrite main of origin"))
    assert "--force-with-lease=main:" in told.text
    assert [run.id for run in session.store.all()] == [merged.id]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted("magic"), "--by magic: unknown; there is: flag, backup, git, bundle"),
        (Wanted(GIT), "there is no run under"),
        (Wanted(BUNDLE), "--by bundle needs --to DIR"),
        (Wanted("flag", to="there"), "--to: belongs to --by bundle"),
        (Wanted("flag", onto="next"), "--onto: belongs to --by git"),
        (Wanted(BUNDLE, to="there", branch="b"), "--branch: belongs to --by git"),
        (Wanted("flag", force_push="origin"), "--show-force-push: belongs to --by git"),
        (Wanted("flag", confirm="x"), "--confirm: this way back asks for no typed words"),
    ],
)
def test_way_back_that_makes_no_sense_is_refused(
    session: Session, wanted: Wanted, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        rollback(session, replace(wanted, yes=True))


def _removed(run: Run) -> Removed:
    found = removed_by(run.plan, run.id, run.directory)
    assert found is not None
    return found
