"""Where a removal is known to have gone to: merged or squashed, on whatever is checked out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cco_migrate.removal.looking import Merged, merged_into

if TYPE_CHECKING:
    from tests.unit.cco_migrate.removal.conftest import Bench

pytestmark = pytest.mark.process

BRANCH, TAG = "remove-http-proxy", "before-proxy-removal"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("", ()), ("--ff-only", ("main",)), ("--no-ff", ("main",)),
        ("--squash", ("main",)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kept", [True, False], ids=["branch kept", "branch deleted"])
def test_merge_is_seen_however_it_was_made(
    removed: Bench, how: str, said: tuple[str, ...], kept: bool
) -> None:
    what, last = removed.removed, removed.git("rev-parse", BRANCH)
    if how:
        removed.merge(how)
    if not kept:
        removed.git("branch", "--quiet", "--delete", "--force", BRANCH)
        removed.git("reflog", "expire", "--expire=now", "--all")
        removed.git("gc", "--quiet", "--prune=now")
    assert merged_into(what, last) == Merged(said, squashed=how in {"", "--squash"})


@pytest.mark.parametrize("kept", [True, False], ids=["branch kept", "branch deleted"])
def test_squash_is_seen_on_a_branch_that_is_not_checked_out(removed: Bench, *, kept: bool) -> None:
    """It was made by a forge, and fetched; what is checked out is from before it."""
    last = removed.git("rev-parse", BRANCH)
    removed.git("switch", "--quiet", "--create", "elsewhere")
    removed.merge("--squash")
    removed.git("update-ref", "refs/remotes/origin/main", "HEAD")
    removed.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    removed.git("switch", "--quiet", "main")
    removed.git("branch", "--quiet", "--delete", "--force", "elsewhere")
    if not kept:
        removed.git("branch", "--quiet", "--delete", "--force", BRANCH)
    found = merged_into(removed.removed, last)
    assert (found.names, found.squashed) == (("origin/main",), True)
    assert str(found) == "origin/main, squashed: what it removed is missing there"


def test_squash_is_seen_though_a_symbol_is_named_again(removed: Bench) -> None:
    last = removed.git("rev-parse", BRANCH)
    removed.merge("--squash")
    word = removed.removed.symbols.words[0]
    removed.commit("src/history.py", f"# {word} was removed\n")
    assert merged_into(removed.removed, last).names == ("main",)


def test_branch_that_never_had_the_proxy_does_not_hold_its_removal(removed: Bench) -> None:
    last = removed.git("rev-parse", BRANCH)
    removed.git("switch", "--quiet", "--orphan", "pages")
    removed.commit("index.html", "<p>pages</p>\n")
    assert merged_into(removed.removed, last).names == ()
    removed.git("switch", "--quiet", "--detach", "pages")
    assert merged_into(removed.removed, last).names == ()


@pytest.mark.smoke
def test_squash_is_seen_where_no_branch_is_checked_out(removed: Bench) -> None:
    last = removed.git("rev-parse", BRANCH)
    removed.git("switch", "--quiet", "--detach", "main")
    removed.merge("--squash")
    assert merged_into(removed.removed, last).names == ("HEAD",)
    removed.git("tag", "--delete", TAG)
    assert merged_into(removed.removed, last).names == ("HEAD",)


def test_removal_that_is_looked_at_on_its_own_branch_is_not_merged(removed: Bench) -> None:
    removed.git("switch", "--quiet", BRANCH)
    assert merged_into(removed.removed, removed.git("rev-parse", BRANCH)).names == ()


@pytest.mark.parametrize("tagged", [True, False], ids=["tag kept", "tag deleted"])
@pytest.mark.parametrize("detached", [True, False], ids=["detached", "on the branch"])
def test_squash_is_seen_from_the_branch_of_the_removal(
    removed: Bench, *, detached: bool, tagged: bool
) -> None:
    """Without the tag nothing says where to look; what is checked out was never merged."""
    last = removed.git("rev-parse", BRANCH)
    removed.squash("develop")
    removed.git("update-ref", "refs/remotes/origin/main", "develop")
    removed.git("switch", "--quiet", *(["--detach"] if detached else []), BRANCH)
    if not tagged:
        removed.git("tag", "--delete", TAG)
    found = merged_into(removed.removed, last)
    assert found.names == (("develop", "origin/main") if tagged else ())


@pytest.mark.parametrize("name", ["README.md", "mod.rs"])
def test_folder_is_gone_when_no_file_of_it_is_left(removed: Bench, name: str) -> None:
    last = removed.git("rev-parse", BRANCH)
    removed.squash("develop")
    removed.git("switch", "--quiet", "develop")
    (removed.root / "src/daemon/proxy").mkdir(exist_ok=True)
    removed.commit(f"src/daemon/proxy/{name}", "The gateway does this now.\n")
    assert merged_into(removed.removed, last).names == (("develop",) if name == "README.md" else ())


@pytest.mark.parametrize("paths", [True, False], ids=["by paths", "by symbols"])
def test_tag_of_the_same_name_is_not_taken_for_a_branch(removed: Bench, *, paths: bool) -> None:
    last, what = removed.git("rev-parse", BRANCH), removed.removed
    removed.squash("release")
    removed.git("tag", "release", "main")
    removed.git("branch", "hotfix", "main")
    removed.git("tag", "hotfix", BRANCH)
    found = merged_into(what if paths else replace(what, delete=()), last)
    assert found.names == ("heads/release",)  # as git names it, so that --onto finds it too


def test_remote_branch_without_a_remote_is_looked_at_too(removed: Bench) -> None:
    """So git-svn names them."""
    last = removed.git("rev-parse", BRANCH)
    removed.squash("develop")
    removed.git("update-ref", "refs/remotes/trunk", "develop")
    assert merged_into(removed.removed, last).names == ("develop", "trunk")
