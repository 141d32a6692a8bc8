"""Steps on git repositories that commit: commit and revert. Never pushes.

A commit that is undone leaves no trace when nobody else can have it: the branch moves back by one,
if it still points at it. Else it is undone by a commit of its own.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from cco_migrate.context import Context, Outcome
from cco_migrate.errors import InvalidInput, StalePlan, ToolkitError
from cco_migrate.model import JsonObject, Step
from cco_migrate.vcs.commands import TIMEOUT_S, Command
from cco_migrate.vcs.repository import (
    GIT_TIMEOUT_S,
    branch_of,
    changed,
    commit_named,
    commit_of,
    head_of,
    is_published,
    move_branch,
    opened,
    refuse_busy,
    refuse_dirty,
    refuse_nameless,
    trailer,
    unstage,
)
from cco_migrate.vcs.worktrees import Reversion, revert_apart

if TYPE_CHECKING:
    from git import Repo


class Commit:
    """Commit files that earlier steps changed; the commit hooks of the repository run.

    Params: `repo`, the working tree; `paths`, inside it; `message`.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Check that nothing but these files is changed, and note where the branch stands."""
        root = Path(step.params["repo"]).resolve()
        paths = [_inside(root, path) for path in step.params["paths"]]
        with opened(root) as repository:
            branch = branch_of(repository)
            refuse_dirty(repository, paths)
            refuse_nameless(repository)
            if ignored := repository.ignored(*paths):
                raise InvalidInput(f"{root / ignored[0]} is ignored by git")
            return {"branch": branch, "head": head_of(repository), "paths": paths}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Commit; a commit made before a crash is found again by its trailer."""
        root, paths = Path(step.params["repo"]).resolve(), receipt["paths"]
        mark = trailer(context.run, step.id)
        with opened(root) as repository:
            made = commit_of(repository, receipt["head"], mark)
            if made is None:
                _refuse_moved(repository, receipt)
                repository.git.add("--", *paths)
                if not changed(repository):
                    return Outcome("nothing to commit: the files are as committed", {})
                before = _digests(root, paths)
                made = _commit(repository, f"{step.params['message']}\n\n{mark}", paths)
                if commit_of(repository, receipt["head"], mark) != made:
                    _take_back_tip(repository, receipt, made)
                    raise ToolkitError(f"{root}: a hook changed the message", state=_AS_BEFORE)
                if _digests(root, paths) != before or changed(repository):
                    _take_back_tip(repository, receipt, made)
                    raise ToolkitError(f"{root}: a hook changed {', '.join(paths)}", state=_TAKEN)
        said = f"{len(paths)} files committed as {made[:9]} on {receipt['branch']}"
        return Outcome(said, {"commit": made, "branch": receipt["branch"]})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Take the commit off its branch, or take it back by another one; see this module."""
        with opened(Path(step.params["repo"]).resolve()) as repository:
            made = commit_of(repository, receipt["head"], trailer(context.run, step.id))
            if made is None:
                unstage(repository, receipt["paths"])
                return ""
            if made == head_of(repository) and not is_published(repository, made):
                _take_back_tip(repository, receipt, made)
                return f"{made[:9]} is off {receipt['branch']} again; the files stay as they are"
            return _take_back_forward(repository, made, step, context)


class Revert:
    """Take a commit back by a new one, made and tested in a worktree before the branch moves.

    Params: `repo`; `commit`; `message`; `tests`, a command that must succeed in the worktree, empty
    for none; `timeout_s`, for the tests.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Check that the tree is clean and the commit is one that can be reverted."""
        with opened(Path(step.params["repo"]).resolve()) as repository:
            branch, head = branch_of(repository), head_of(repository)
            if head is None:
                raise InvalidInput(f"{repository.working_dir}: {branch} has no commit yet")
            refuse_dirty(repository)
            refuse_nameless(repository)
            target = _target(repository, step.params["commit"])
            if (folder := _worktree(step, context)).exists():
                raise InvalidInput(
                    f"{folder} exists: another process may work there",
                    next_command=f"git worktree remove {folder}",
                )
            return {"branch": branch, "head": head, "target": target}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Revert apart, run the tests there, then move the branch forward to the result."""
        mark = trailer(context.run, step.id)
        with opened(Path(step.params["repo"]).resolve()) as repository:
            made = commit_of(repository, receipt["head"], mark)
            if made is None:
                _refuse_moved(repository, receipt)
                wanted = Reversion(
                    receipt["head"], receipt["target"], _worktree(step, context),
                    f"{step.params['message']}\n\nThis takes back {receipt['target']}.\n{mark}",
                    _tests(step),
                )  # fmt: skip
                made = revert_apart(repository, wanted, context.world)
                _refuse_moved(repository, receipt)  # the tests may have taken long
                refuse_dirty(repository)
                repository.git.merge("--ff-only", made, kill_after_timeout=GIT_TIMEOUT_S)
        tested = f", after {step.params['tests'][0]} passed" if step.params.get("tests") else ""
        said = f"{receipt['target'][:9]} taken back by {made[:9]} on {receipt['branch']}{tested}"
        return Outcome(said, {"commit": made, "reverted": receipt["target"]})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Take the reverting commit off its branch, or take it back by another one."""
        with opened(Path(step.params["repo"]).resolve()) as repository:
            made = commit_of(repository, receipt["head"], trailer(context.run, step.id))
            if made is None:
                return ""
            if made == head_of(repository) and not is_published(repository, made):
                repository.git.reset("--keep", receipt["head"])  # refuses to lose a change
                return f"{receipt['branch']} is at {receipt['head'][:9]} again"
            return _take_back_forward(repository, made, step, context)


_AS_BEFORE = "The commit is taken back; branch and files are as before."
_TAKEN = "The commit is taken back; the files are as the hook left them."


def _inside(root: Path, path: str) -> str:
    full = (root / path).resolve()
    if not full.is_relative_to(root):
        raise InvalidInput(f"{full} is not inside the repository {root}")
    return full.relative_to(root).as_posix()


def _digests(root: Path, paths: list[str]) -> list[str | None]:
    found = [root / path for path in paths]
    return [hashlib.sha256(p.read_bytes()).hexdigest() if p.exists() else None for p in found]


def _refuse_moved(repository: Repo, receipt: JsonObject) -> None:
    refuse_busy(repository)
    if branch_of(repository) != receipt["branch"] or head_of(repository) != receipt["head"]:
        raise StalePlan(
            f"{repository.working_dir}: {receipt['branch']} moved since this step was prepared",
            state="The repository is as they left it.",
            next_command="git log -3",
        )


def _commit(repository: Repo, message: str, paths: list[str]) -> str:
    import git  # noqa: PLC0415  # 150 ms that `--list` must not pay

    try:
        repository.git.commit("-m", message, kill_after_timeout=GIT_TIMEOUT_S)
    except git.GitCommandError as error:
        unstage(repository, paths)
        said = f"{error.stdout}\n{error.stderr}".strip()[-1000:]
        raise ToolkitError(
            f"{repository.working_dir}: git refused the commit: {said}",
            state="Nothing was committed; the files are as they were.",
        ) from error
    return str(head_of(repository))


def _take_back_tip(repository: Repo, receipt: JsonObject, made: str) -> None:
    move_branch(repository, receipt["branch"], receipt["head"], expected=made)
    unstage(repository, receipt["paths"])


def _take_back_forward(repository: Repo, made: str, step: Step, context: Context) -> str:
    """Take back a commit that others may have, or have built on."""
    mark = trailer(context.run, f"{step.id}-undo")
    if commit_of(repository, made, mark) is not None:
        return ""
    message = f"Take back: {step.title}\n\nThis takes back {made}.\n{mark}"
    wanted = Reversion(str(head_of(repository)), made, _worktree(step, context), message)
    back = revert_apart(repository, wanted, context.world)
    repository.git.merge("--ff-only", back, kill_after_timeout=GIT_TIMEOUT_S)
    return f"{made[:9]} is taken back by {back[:9]}: it was published, or others built on it"


def _worktree(step: Step, context: Context) -> Path:
    return context.run_dir / "worktrees" / step.id


def _tests(step: Step) -> tuple[Command, ...]:
    words, timeout_s = step.params.get("tests", ()), step.params.get("timeout_s", TIMEOUT_S)
    return (Command(words[0], tuple(words), timeout_s),) if words else ()


def _target(repository: Repo, name: str) -> str:
    target = commit_named(repository, name)
    if not repository.is_ancestor(repository.commit(target), repository.head.commit):
        raise InvalidInput(f"{name} is not part of {branch_of(repository)}")
    if len(repository.commit(target).parents) > 1:
        raise InvalidInput(f"{name} is a merge; name the commits that came with it")
    return target
