"""What steps and checks ask of a git repository, and how a branch is moved. Runs git.

Nothing here talks to a remote: what was published is undone by another commit, never by force.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cco_migrate.errors import InvalidInput, ToolkitError

if TYPE_CHECKING:
    from git import Repo

GIT_TIMEOUT_S = 600
"""How long one git command, with the hooks it runs, may take."""

_SHOWN_CHARS = 2000
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",  # else `git status` writes the index: a look must leave no trace
}  # fmt: skip
_HIJACKING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")
_UNDER_WAY = {
    "MERGE_HEAD": "a merge", "CHERRY_PICK_HEAD": "a cherry-pick", "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase", "rebase-apply": "a rebase", "BISECT_LOG": "a bisection",
}  # fmt: skip


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


def root_of(folder: Path) -> Path:
    """Return the root of the working tree that a folder is in; raises InvalidInput for none."""
    for one in (folder, *folder.parents):
        if (one / ".git").exists():
            return one
    raise InvalidInput(
        f"{folder} is in no working tree of git; name the repository with --repository"
    )


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


def tip_of(repository: Repo, branch: str) -> str | None:
    """Return the commit a local branch points at; None when there is no such branch."""
    found: str = repository.git.for_each_ref("--format=%(objectname)", f"refs/heads/{branch}")
    return found or None


def commit_named(repository: Repo, name: str) -> str:
    """Return the full id of the commit a name stands for; raises InvalidInput when none does."""
    import git  # noqa: PLC0415  # see `opened`

    try:
        found: str = repository.git.rev_parse("--verify", "--end-of-options", f"{name}^{{commit}}")
    except git.GitCommandError as error:
        raise InvalidInput(f"{repository.working_dir}: there is no commit {name}") from error
    return found


def exists(repository: Repo, commit: str) -> bool:
    """Return whether a commit, by its full id, is known here."""
    code, _, _ = repository.git.cat_file(
        "-e", f"{commit}^{{commit}}", with_extended_output=True, with_exceptions=False
    )
    return bool(code == 0)


def holders(repository: Repo, branch: str, commit: str) -> tuple[str, ...]:
    """Return the branches that hold a commit beside its own, each by a name that git takes for it.

    A copy of its own that was pushed for review is none of them, nor what a remote's HEAD names.
    """
    found = repository.git.for_each_ref(  # git shortens so that no tag of the same name is meant
        "--contains", commit, "--format=%(refname) %(refname:short)", "refs/heads", "refs/remotes"
    )
    return tuple(
        short
        for name, short in (row.split(" ") for row in filter(None, found.split("\n")))
        if name != f"refs/heads/{branch}"
        and name.partition("refs/remotes/")[2].partition("/")[2] not in {branch, "HEAD"}
    )


def tree_of(repository: Repo, name: str) -> str:
    """Return the id of the files a commit holds: the same for two commits with the same files."""
    found: str = repository.git.rev_parse("--verify", "--end-of-options", f"{name}^{{tree}}")
    return found


def refuse_branch(repository: Repo, name: str) -> None:
    """Raise InvalidInput when a new branch cannot have this name, or another one has it."""
    import git  # noqa: PLC0415  # see `opened`

    try:
        repository.git.check_ref_format("--branch", name)
    except git.GitCommandError as error:
        raise InvalidInput(f"{name!r} is not a name a branch can have") from error
    if tip_of(repository, name) is not None:
        raise InvalidInput(
            f"the branch {name} exists; it is not built on",
            next_command=f"git branch -m {name} {name}-old",
        )


def refuse_checked_out(repository: Repo, branch: str) -> None:
    """Raise ToolkitError while a working tree stands on the branch: to move it would change that.

    A branch nobody works on can be moved without any file changing.
    """
    folder = ""
    for line in repository.git.worktree("list", "--porcelain").splitlines():
        word, _, rest = line.partition(" ")
        folder = rest if word == "worktree" else folder
        if (word, rest) == ("branch", f"refs/heads/{branch}"):
            raise ToolkitError(
                f"{branch} is checked out in {folder}, so it is not moved",
                state="The branch and that working tree are as they were.",
                next_command=f"git -C {folder} switch --detach",
            )


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


def committer(repository: Repo) -> str:
    """Return the name that git commits under; raises InvalidInput when it knows none."""
    import git  # noqa: PLC0415  # see `opened`

    try:
        said: str = repository.git.var("GIT_COMMITTER_IDENT")
    except git.GitCommandError as error:
        raise InvalidInput(
            f"{repository.working_dir}: git does not know who commits here",
            next_command="git config user.name NAME; git config user.email ADDRESS",
        ) from error
    return said.partition(" <")[0]


def trailer(run: str, step: str) -> str:
    """Return the last line of our commit messages, by which a rerun knows its own commit."""
    return f"Cco-Migrate-Step: {run}/{step}"


def commit_of(
    repository: Repo, since: str | None, mark: str, *, branch: str = "HEAD"
) -> str | None:
    """Return the commit with this trailer on a branch, after `since`; None when there is none."""
    if branch == "HEAD" and head_of(repository) is None:
        return None
    span = f"{since}..{branch}" if since else branch
    line = mark.replace(".", r"\.")
    found: str = repository.git.log(span, "--format=%H", f"--grep=^{line}$", "--max-count=1")
    return found or None


def commits_of(repository: Repo, run: str, branch: str) -> int:
    """Return how many commits of a branch a run made, by their trailers."""
    line = trailer(run, "").replace(".", r"\.")
    return int(repository.git.rev_list("--count", f"--grep=^{line}", branch))


def is_published(repository: Repo, commit: str) -> bool:
    """Return whether a remote is known to have the commit."""
    return bool(repository.git.branch("--remotes", "--contains", commit))


def unstage(repository: Repo, paths: Sequence[str]) -> None:
    """Make the index say of these files what HEAD says; the files stay as they are."""
    if head_of(repository) is not None:
        repository.git.reset("--quiet", "--", *paths)
    else:
        repository.git.rm("--cached", "--quiet", "--ignore-unmatch", "--", *paths)


def move_branch(repository: Repo, branch: str, to: str | None, *, expected: str) -> None:
    """Let a branch point elsewhere if it points where expected; None removes it."""
    name, reason = f"refs/heads/{branch}", "cco-migrate: a step, or its undo"
    if to is None:
        repository.git.update_ref("-m", reason, "-d", name, expected)
    else:
        repository.git.update_ref("-m", reason, name, to, expected)
