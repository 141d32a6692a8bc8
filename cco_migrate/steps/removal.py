"""Steps of a removal: a branch, commits on it, and a branch that takes them back. Never pushes.

All of it happens apart from the working tree, and nothing but branches of our own is moved. The
commits are made without a worktree too, so that a killed step leaves nothing behind; the commit
hooks of the repository do not run for them: its build and test commands do, later.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cco_migrate.context import Context, Outcome
from cco_migrate.errors import InvalidInput, StalePlan, ToolkitError
from cco_migrate.model import JsonObject, Step
from cco_migrate.vcs.commands import Command
from cco_migrate.vcs.repository import (
    commit_named,
    commit_of,
    holders,
    move_branch,
    opened,
    refuse_branch,
    refuse_checked_out,
    refuse_dirty,
    refuse_nameless,
    tip_of,
    trailer,
)
from cco_migrate.vcs.trees import Removal, tree_after
from cco_migrate.vcs.worktrees import Reversion, remove_worktree, revert_apart

if TYPE_CHECKING:
    from git import Repo


class NewBranch:
    """Begin a branch without checking it out. Params: `repo`; `branch`; `commit` it begins at."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Check the name, and that nobody works on something that would be left behind."""
        with opened(_root(step)) as repository:
            refuse_dirty(repository)
            refuse_branch(repository, step.params["branch"])
            return {"target": commit_named(repository, step.params["commit"])}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Make the branch; one that stands there already was made before a crash."""
        branch, target = step.params["branch"], receipt["target"]
        with opened(_root(step)) as repository:
            stands = tip_of(repository, branch)
            if stands is None:
                repository.git.branch("--no-track", branch, target)
            elif stands != target:
                raise StalePlan(f"{branch} was made by somebody else, at {stands[:9]}")
        return Outcome(f"{branch} begins at {target[:9]}", {"branch": branch, "commit": target})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Delete the branch; raises ToolkitError when it holds what is not ours."""
        branch = step.params["branch"]
        with opened(_root(step)) as repository:
            for folder in (context.run_dir / "worktrees").glob("*"):  # of a killed process
                remove_worktree(repository, folder)
            stands = tip_of(repository, branch)
            if stands is None:
                return ""
            if stands != receipt["target"]:
                raise _foreign(branch, stands)
            refuse_checked_out(repository, branch)
            move_branch(repository, branch, None, expected=stands)
        return f"{branch} is gone again"


class Remove:
    """Commit the removal of paths and lines on a branch.

    Params: `repo`; `branch`; `message`; `delete`, paths; `patches`, each with `name` and `diff`.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Try the removal in an index of its own, and note where the branch stands."""
        branch = step.params["branch"]
        with opened(_root(step)) as repository:
            refuse_nameless(repository)
            tip = commit_named(repository, f"refs/heads/{branch}")
            return {"tip": tip, "tree": _tree(repository, tip, step)}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Commit; a commit made before a crash is found again by its trailer."""
        branch, tip = step.params["branch"], receipt["tip"]
        mark = trailer(context.run, step.id)
        with opened(_root(step)) as repository:
            made = commit_of(repository, tip, mark, branch=branch)
            if made is None:
                if tip_of(repository, branch) != tip:
                    raise _foreign(branch, tip_of(repository, branch) or "nothing")
                refuse_checked_out(repository, branch)
                message = f"{step.params['message']}\n\n{mark}"
                tree = _tree(repository, tip, step)
                made = str(repository.git.commit_tree(tree, "-p", tip, "-m", message))
                move_branch(repository, branch, made, expected=tip)
            size = repository.git.diff("--shortstat", tip, made).strip()
        return Outcome(f"{made[:9]} on {branch}: {size}", {"commit": made, "size": size})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Move the branch back; raises ToolkitError when others have or built on the commit."""
        branch, tip = step.params["branch"], receipt["tip"]
        with opened(_root(step)) as repository:
            stands = tip_of(repository, branch)
            if stands in {None, tip}:
                return ""
            made = commit_of(repository, tip, trailer(context.run, step.id), branch=branch)
            if made is None or made != stands:
                raise _foreign(branch, str(stands))
            _refuse_merged(repository, branch, made)
            refuse_checked_out(repository, branch)
            move_branch(repository, branch, tip, expected=made)
        return f"{made[:9]} is off {branch} again"


class TakeBack:
    """Take commits back on a new branch, by one commit that is made and tested in a worktree.

    Params: `repo`; `since` and `until`, the commits after the one up to the other; `onto`, where
    the branch begins; `branch`, its name; `message`; `commands`, which must pass on it.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Check the names, and resolve them to commits."""
        with opened(_root(step)) as repository:
            refuse_nameless(repository)
            refuse_branch(repository, step.params["branch"])
            names = ("since", "until", "onto")
            found = {name: commit_named(repository, step.params[name]) for name in names}
            _refuse_span(repository, found["since"], found["until"])
            return found

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Revert apart and run the commands; then name the result."""
        branch, mark = step.params["branch"], trailer(context.run, step.id)
        with opened(_root(step)) as repository:
            made = tip_of(repository, branch)
            if made is None:
                span = f"{receipt['since']}..{receipt['until']}"
                commands = tuple(Command.from_json(row) for row in step.params["commands"])
                folder = context.run_dir / "worktrees" / step.id
                message = f"{step.params['message']}\n\nThis takes back {span}.\n{mark}"
                wanted = Reversion(receipt["onto"], span, folder, message, commands)
                made = revert_apart(repository, wanted, context.world)
                repository.git.branch("--no-track", branch, made)
            elif commit_of(repository, receipt["onto"], mark, branch=branch) != made:
                raise StalePlan(f"{branch} was made by somebody else, at {made[:9]}")
        passed = ", ".join(row["name"] for row in step.params["commands"])
        said = f"{made[:9]} on {branch} takes the removal back; {passed} passed"
        return Outcome(said, {"commit": made, "branch": branch})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Delete the branch; raises ToolkitError when others have or built on the commit."""
        branch, mark = step.params["branch"], trailer(context.run, step.id)
        with opened(_root(step)) as repository:
            stands = tip_of(repository, branch)
            if stands is None:
                return ""
            if commit_of(repository, receipt["onto"], mark, branch=branch) != stands:
                raise _foreign(branch, stands)
            _refuse_merged(repository, branch, stands)
            refuse_checked_out(repository, branch)
            move_branch(repository, branch, None, expected=stands)
        return f"{branch} is gone again"


def _root(step: Step) -> Path:
    return Path(step.params["repo"]).resolve()


def _tree(repository: Repo, tip: str, step: Step) -> str:
    return tree_after(repository, tip, [Removal.from_json(step.params)])


def _refuse_span(repository: Repo, since: str, until: str) -> None:
    """Raise InvalidInput unless there are commits between the two, and no merge among them."""
    shown = f"{since[:9]}..{until[:9]}"
    if not int(repository.git.rev_list("--count", f"{since}..{until}")):
        raise InvalidInput(f"{shown} holds no commit: there is nothing to take back")
    if merges := repository.git.rev_list("--merges", f"{since}..{until}").split():
        raise InvalidInput(
            f"{shown} holds the merge {merges[0][:9]}; name the last commit of the removal itself",
            next_command=f"git log --oneline --graph {shown}",
        )


def _refuse_merged(repository: Repo, branch: str, commit: str) -> None:
    """Raise ToolkitError when other branches hold a commit: moving ours would not undo it."""
    if others := holders(repository, branch, commit):
        raise ToolkitError(
            f"{commit[:9]} is part of {', '.join(others)} too",
            state="No branch was moved; the working tree is untouched.",
            next_command=f"git revert {commit[:9]}   (in a worktree of {others[0]})",
        )


def _foreign(branch: str, stands: str) -> ToolkitError:
    return ToolkitError(
        f"{branch} stands at {stands[:9]}, which this run did not make",
        state="The branch is as somebody left it; the working tree is untouched.",
        next_command=f"git log -3 {branch}",
    )
