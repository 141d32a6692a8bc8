"""What the preflight of a removal says of a repository, and that it leaves no trace in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.migrations import MIGRATIONS, Inputs
from cco_migrate.migrations.gateway_cutover import HARD, KIND
from cco_migrate.migrations.inputs import Cutover, Verification
from cco_migrate.planning.preflight import Line, Mark
from cco_migrate.planning.removal_preflight import check_repository
from cco_migrate.runs.journal import Event
from cco_migrate.runs.store import RunStore
from cco_migrate.vcs.references import Wanted
from cco_migrate.vcs.trees import Removal

if TYPE_CHECKING:
    from tests.unit.cco_migrate.removal.conftest import Bench

BRANCH, TAG = "remove-http-proxy", "before-proxy-removal"


def inputs_of(bench: Bench) -> Inputs:
    return Inputs(
        bench.instance, dict.fromkeys(ConfigName), fix=False, replace=True, known_models=(),
        verification=Verification(), cutover=Cutover(phase=HARD, removing=bench.given),
    )  # fmt: skip


def looked(bench: Bench, context_at: Callable[[str], Context]) -> list[Line]:
    inputs = inputs_of(bench)
    return check_repository(MIGRATIONS[KIND](inputs), inputs, context_at(bench.instance.url))


def files(root: Path) -> list[tuple[Path, int]]:
    return sorted((one, one.lstat().st_mtime_ns) for one in root.rglob("*"))


def test_sound_repository_is_told_line_by_line(
    bench: Bench, context_at: Callable[[str], Context]
) -> None:
    before = files(bench.root)
    lines = looked(bench, context_at)
    assert [line.mark for line in lines] == [Mark.OK] * 4
    assert [line.text.partition(":")[0].partition(" as ")[0] for line in lines] == [
        f"repository {bench.root}", "git commits",
        f"the branch {BRANCH} and the tag {TAG} can be made, and a bundle of all",
        "the manifest fits",
    ]  # fmt: skip
    assert files(bench.root) == before


def _dirty(bench: Bench) -> None:
    (bench.root / "README.md").write_text("mine\n")


def _taken(bench: Bench) -> None:
    bench.git("branch", BRANCH)


def _tagged(bench: Bench) -> None:
    bench.git("tag", TAG)
    bench.commit("new", "theirs\n")


def _shallow(bench: Bench) -> None:
    (bench.root / ".git" / "shallow").write_text(bench.git("rev-parse", "HEAD") + "\n")


def _other_path(bench: Bench) -> None:
    first, second = bench.manifest.groups
    bench.change(groups=(replace(first, removal=Removal(("src/proxy",))), second))


def _misspelt(bench: Bench) -> None:
    bench.change(symbols=Wanted(("proxy_porte",)))


FAULTS: dict[str, tuple[Callable[[Bench], None], str]] = {
    "dirty": (_dirty, "has changes that are not committed: README.md"),
    "branch": (_taken, f"the branch {BRANCH} exists; it is not built on"),
    "tag": (_tagged, f"the tag {TAG} names "),
    "shallow": (_shallow, "is a shallow clone: a bundle of it restores nothing"),
    "path": (_other_path, "src/proxy cannot be deleted"),
    "symbol": (_misspelt, "the manifest does not fit: proxy_porte occurs nowhere"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_of_the_repository_or_the_manifest_is_one_failed_line(
    bench: Bench, context_at: Callable[[str], Context], fault: str
) -> None:
    spoil, said = FAULTS[fault]
    spoil(bench)
    before = files(bench.root)
    (line,) = [one for one in looked(bench, context_at) if one.mark is Mark.FAIL]
    assert said in line.text
    assert line.code == 8
    assert files(bench.root) == before


def test_git_that_does_not_know_who_commits_is_a_fault(
    bench: Bench, context_at: Callable[[str], Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{who}_NAME")
        monkeypatch.delenv(f"GIT_{who}_EMAIL")
    bench.git("config", "user.useConfigOnly", "true")  # else a name is made of the machine's
    (line,) = [one for one in looked(bench, context_at) if one.mark is Mark.FAIL]
    assert "git does not know who commits here" in line.text
    assert line.next_command.startswith("git config user.name")


def test_branch_that_a_run_has_made_is_told_with_that_run(
    bench: Bench, context_at: Callable[[str], Context]
) -> None:
    store = RunStore(bench.instance.migrate_dir, bench.world)
    run = store.create(MIGRATIONS[KIND](inputs_of(bench)))
    run.journal.append(Event.FINISHED, reason="GO")
    bench.git("branch", BRANCH)
    line = looked(bench, context_at)[-1]
    assert line.mark is Mark.FAIL
    assert f"run {run.id} has made the branch {BRANCH}; merge it" in line.text
    assert line.next_command == f"invoke rollback --run {run.id}"
