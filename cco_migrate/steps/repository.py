"""What the git steps ask of a repository, and the two ways a commit is taken back. Runs git.

Nothing here talks to a remote: what was published is undone by another commit, never by force.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.world import World

if TYPE_CHECKING:
    from git import Repo

TIMEOUT_S = 600
"""How long one git command, with the hooks it runs, may take."""

_SHOWN_CHARS = 2000
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "LC_ALL": "C"}
_HIJACKING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")
_UNDER_WAY = {
    "MERGE_HEAD": "a merge", "CHERRY_PICK_HEAD": "a cherry-pick", "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase", "rebase-apply": "a rebase", "BISECT_LOG": "a bisection",
}  # fmt: skip
_RUN_INSIDE = "import os, sys; os.chdir(sys.argv[1]); os.execvp(sys.argv[2], sys.argv[2:])"


@dataclass(frozen=True, slots=True)
class Reversion:
    """A commit that takes another one back, made apart from the working tree.

    Attributes:
        base: Commit it is made on.
        target: Commit it takes back.
        worktree: Folder to make it in; must not exist.
        tests: Command that must succeed in that folder; empty for none.
    """

    base: str
    target: str
    worktree: Path
    message: str
    tests: tuple[str, ...] = ()
    timeout_s: float = TIMEOUT_S


@contextmanager
def opened(path: Path) -> Iterator[Repo]:
    """Open the repository whose working tree is this folder; git's own faults end as ToolkitError.

    Raises:
        InvalidInput: There is no git, no such repository, or no working tree.
    """
    try:
        import git  # noqa: PLC0415  # 150 ms that `--list` must not pay
    except ImportError as error:  # what GitPython raises when there is no git command
        raise InvalidInput("git is not installed") from error
    if hijacked := [name for name in _HIJACKING if name in os.environ]:
        raise InvalidInput(f"{hijacked[0]} is set, so that git would work on something else")
    try:
        repository = git.Repo(path)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError) as error:
        raise InvalidInput(f"{path} is not the working tree of a git repository") from error
    with repository:
        if repository.bare:
            raise InvalidInput(f"{path} is a bare repository; it has no working tree")
        repository.git.update_environment(**_ENVIRONMENT)
        try:
            yield repository
        except git.GitCommandError as error:
            words = " ".join(str(word) for word in error.command)
            said = f"{error.stdout}\n{error.stderr}".strip()[-_SHOWN_CHARS:]
            raise ToolkitError(
                f"{path}: `{words[:80]}` failed: {said}",
                state="What was done to this repository is said by git status and git log.",
            ) from error


def head_of(repository: Repo) -> str | None:
    """Return the commit that is checked out; None on a branch without commits."""
    return repository.head.commit.hexsha if repository.head.is_valid() else None


def branch_of(repository: Repo) -> str:
    """Return the branch that is checked out; raises InvalidInput for a detached HEAD."""
    if repository.head.is_detached:
        raise InvalidInput(
            f"{repository.working_dir}: HEAD is detached at {str(head_of(repository))[:9]}; a "
            "commit made there would belong to no branch",
            next_command="git switch BRANCH",
        )
    return repository.active_branch.name


def refuse_busy(repository: Repo) -> None:
    """Raise InvalidInput while a merge, rebase or the like is under way."""
    for name, what in _UNDER_WAY.items():
        if (Path(repository.git_dir) / name).exists():
            raise InvalidInput(
                f"{repository.working_dir}: {what} is under way", next_command="git status"
            )


def refuse_dirty(repository: Repo, allowed: Sequence[str] = ()) -> None:
    """Raise InvalidInput when a tracked file is changed, or anything is staged.

    Args:
        allowed: Files that may be changed, but not staged: relative to the working tree.
    """
    refuse_busy(repository)
    strange = [
        path for state, path in changed(repository) if state[0] not in " ?" or path not in allowed
    ]
    if strange:
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        raise InvalidInput(
            f"{repository.working_dir} has changes that are not committed: "
            f"{', '.join(strange[:5])}{more}",
            next_command="git status   (commit them, or put them aside with git stash)",
        )


def changed(repository: Repo) -> list[tuple[str, str]]:
    """Return (state, path) of every tracked file that is not as committed; state as git's XY."""
    said = repository.git.status("--porcelain", "-z", "--untracked-files=no", "--no-renames")
    return [(row[:2], row[3:]) for row in said.split("\0") if row]


def refuse_nameless(repository: Repo) -> None:
    """Raise ToolkitError when git does not know who commits here."""
    repository.git.var("GIT_COMMITTER_IDENT")


def trailer(run: str, step: str) -> str:
    """Return the last line of our commit messages, by which a rerun knows its own commit."""
    return f"Cco-Migrate-Step: {run}/{step}"


def commit_of(repository: Repo, since: str | None, mark: str) -> str | None:
    """Return the commit with this trailer on the branch, after `since`; None when there is none."""
    if head_of(repository) is None:
        return None
    span = f"{since}..HEAD" if since else "HEAD"
    line = mark.replace(".", r"\.")
    found: str = repository.git.log(span, "--format=%H", f"--grep=^{line}$", "--max-count=1")
    return found or None


def is_published(repository: Repo, commit: str) -> bool:
    """Return whether a remote is known to have the commit."""
    return bool(repository.git.branch("--remotes", "--contains", commit))


def revert_apart(repository: Repo, wanted: Reversion, world: World) -> str:
    """Make the reverting commit in a worktree of its own, test it there, and return it.

    The branch and the working tree are not touched; the worktree is gone afterwards.

    Raises:
        ToolkitError: It conflicts, changes nothing, or the tests fail in it.
    """
    world.files.make_directory(wanted.worktree.parent)
    remove_worktree(repository, wanted.worktree)  # of a killed process
    repository.git.worktree("add", "--detach", str(wanted.worktree), wanted.base)
    try:
        with opened(wanted.worktree) as apart:
            _revert(apart, wanted)
            made = str(head_of(apart))
            _test(wanted, world)
            if head_of(apart) != made:
                raise ToolkitError(f"{wanted.tests[0]} moved HEAD", state=_BRANCH_UNTOUCHED)
        return made
    finally:
        remove_worktree(repository, wanted.worktree)


def remove_worktree(repository: Repo, path: Path) -> None:
    """Remove a worktree of ours, whatever is in it; one that is locked stays, and raises."""
    if path.exists():
        repository.git.worktree("remove", "--force", str(path))
    repository.git.worktree("prune")


def _revert(apart: Repo, wanted: Reversion) -> None:
    import git  # noqa: PLC0415  # see `opened`

    try:
        apart.git.revert("--no-commit", wanted.target)
    except git.GitCommandError as error:
        files = apart.git.diff("--name-only", "--diff-filter=U").splitlines()
        if not files:
            raise
        raise ToolkitError(
            f"{wanted.target[:9]} cannot be taken back: {', '.join(files)} changed since then",
            state=_BRANCH_UNTOUCHED,
            next_command=f"git revert {wanted.target[:9]}   (by hand, solving the conflict)",
        ) from error
    if not changed(apart):
        raise ToolkitError(
            f"taking {wanted.target[:9]} back would change nothing", state=_BRANCH_UNTOUCHED
        )
    apart.git.commit("-m", wanted.message, kill_after_timeout=TIMEOUT_S)


def _test(wanted: Reversion, world: World) -> None:
    if not wanted.tests:
        return
    command = [sys.executable, "-c", _RUN_INSIDE, str(wanted.worktree), *wanted.tests]
    done = world.processes.run(command, wanted.timeout_s)
    if done.code:
        raise ToolkitError(
            f"the tests fail with {wanted.target[:9]} taken back: {wanted.tests[0]} ended with "
            f"{done.code}: {done.output.strip()[-_SHOWN_CHARS:]}",
            state=_BRANCH_UNTOUCHED,
        )


_BRANCH_UNTOUCHED = "The branch and the working tree are untouched."


def unstage(repository: Repo, paths: Sequence[str]) -> None:
    """Make the index say of these files what HEAD says; the files stay as they are."""
    if head_of(repository) is not None:
        repository.git.reset("--quiet", "--", *paths)
    else:
        repository.git.rm("--cached", "--quiet", "--ignore-unmatch", "--", *paths)


def move_branch(repository: Repo, branch: str, to: str | None, *, expected: str) -> None:
    """Let a branch point elsewhere if it points where expected; None makes it unborn again."""
    name, reason = f"refs/heads/{branch}", "cco-migrate: take back a step"
    if to is None:
        repository.git.update_ref("-m", reason, "-d", name, expected)
    else:
        repository.git.update_ref("-m", reason, name, to, expected)
