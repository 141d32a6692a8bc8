"""Worktrees of our own, in which commits are taken back and tested. Runs git.

The branch and the working tree of the repository are never touched from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cco_migrate.errors import ToolkitError
from cco_migrate.vcs.commands import Command, run_all
from cco_migrate.vcs.repository import GIT_TIMEOUT_S, changed, head_of, opened
from cco_migrate.world import World

if TYPE_CHECKING:
    from git import Repo


_FULL_ID = 40


@dataclass(frozen=True, slots=True)
class Reversion:
    """A commit that takes others back, made apart from the working tree.

    Attributes:
        base: Commit it is made on.
        target: What it takes back: a commit, or a range A..B without merges.
        worktree: Folder to make it in; must not exist.
        commands: Must pass in that folder; empty for none.
    """

    base: str
    target: str
    worktree: Path
    message: str
    commands: tuple[Command, ...] = ()

    @property
    def shown(self) -> str:
        """What it takes back, for people."""
        ends = self.target.split("..")
        return "..".join(end[:9] if len(end) == _FULL_ID else end for end in ends)


@contextmanager
def worktree(repository: Repo, folder: Path, commit: str, world: World) -> Iterator[Repo]:
    """Check a commit out into a folder of its own, on no branch; it is gone afterwards."""
    world.files.make_directory(folder.parent)
    remove_worktree(repository, folder)  # of a killed process
    repository.git.worktree("add", "--detach", str(folder), commit)
    try:
        with opened(folder) as apart:
            yield apart
    finally:
        remove_worktree(repository, folder)


def revert_apart(repository: Repo, wanted: Reversion, world: World) -> str:
    """Make the reverting commit in a worktree of its own, test it there, and return it.

    Raises:
        ToolkitError: It conflicts, changes nothing, or a command does not pass in it.
    """
    with worktree(repository, wanted.worktree, wanted.base, world) as apart:
        made = revert_in(apart, wanted)
        _test(wanted, world)
        if head_of(apart) != made:
            raise ToolkitError(f"{wanted.commands[0].run[0]} moved HEAD", state=_BRANCH_UNTOUCHED)
    return made


def revert_in(apart: Repo, wanted: Reversion) -> str:
    """Make the reverting commit in a worktree that stands on its base, and return it.

    Raises:
        ToolkitError: It conflicts, or changes nothing.
    """
    import git  # noqa: PLC0415  # see `repository.opened`

    try:
        apart.git.revert("--no-commit", wanted.target)
    except git.GitCommandError as error:
        files = apart.git.diff("--name-only", "--diff-filter=U").splitlines()
        if not files:
            raise
        raise ToolkitError(
            f"{wanted.shown} cannot be taken back: {', '.join(files)} changed since then",
            state=_BRANCH_UNTOUCHED,
            next_command=f"git revert {wanted.shown}   (by hand, solving the conflict)",
        ) from error
    if not changed(apart):
        raise ToolkitError(
            f"taking {wanted.shown} back would change nothing", state=_BRANCH_UNTOUCHED
        )
    apart.git.commit("-m", wanted.message, kill_after_timeout=GIT_TIMEOUT_S)
    return str(head_of(apart))


def remove_worktree(repository: Repo, path: Path) -> None:
    """Remove a worktree of ours, whatever is in it; one that is locked stays, and raises."""
    if path.exists():
        repository.git.worktree("remove", "--force", str(path))
    repository.git.worktree("prune")


def _test(wanted: Reversion, world: World) -> None:
    for ran in run_all(wanted.worktree, wanted.commands, world):
        if not ran.passed:
            raise ToolkitError(
                f"the tests fail with {wanted.shown} taken back: {ran}", state=_BRANCH_UNTOUCHED
            )


_BRANCH_UNTOUCHED = "The branch and the working tree are untouched."
