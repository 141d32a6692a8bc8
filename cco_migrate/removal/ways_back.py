"""The ways back from a removal that was made: a commit on a branch, or the bundle. Pure.

A removal that was merged is in the hands of others, so that no undo takes it back: each way is a
plan of its own, and a run of its own that ends with something for people to merge or to deploy.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from cco_migrate.model import Change, Instance, JsonObject, Plan, Step
from cco_migrate.removal.planning import BUNDLE, REMOVE
from cco_migrate.vcs.references import Wanted

KIND = "removal-rollback"
"""Of the plans made here; no migration, for nobody begins one by this name."""


@dataclass(frozen=True, slots=True)
class Removed:
    """A removal as its plan has it, whatever became of the manifest since.

    Attributes:
        run: Id of the run that made it.
        repo: Root of the working tree of the repository.
        branch: Its commits were made on it.
        tag: Names the last commit before them.
        delete: Paths that it took out whole.
        commands: As JSON; must pass with the removal taken back.
        bundle: The whole repository as it was before.
    """

    instance: Instance
    run: str
    repo: Path
    branch: str
    tag: str
    delete: tuple[str, ...]
    symbols: Wanted
    commands: tuple[JsonObject, ...]
    bundle: Path


def removed_by(plan: Plan, run: str, directory: Path) -> Removed | None:
    """Return what a run's plan removes; None for a plan that removes nothing.

    Args:
        directory: The run's folder.
    """
    groups = [step for step in plan.steps if step.uses == REMOVE]
    if not groups:
        return None
    fits = plan.step("fits").params
    return Removed(
        instance=plan.instance,
        run=run,
        repo=Path(fits["repo"]),
        branch=fits["branch"],
        tag=plan.step("tag").params["name"],
        delete=tuple(path for step in groups for path in step.params["delete"]),
        symbols=Wanted.from_json(fits["symbols"]),
        commands=tuple(plan.step("tests").params["commands"]),
        bundle=directory / BUNDLE,
    )


def take_back(removed: Removed, onto: str, branch: str, *, until: str | None = None) -> Plan:
    """Return the plan that takes a merged removal back on a new branch, after tests in a worktree.

    Args:
        onto: The branch or commit that holds the removal, e.g. "main"; it is not moved.
        branch: Name of the new branch.
        until: Last commit of the removal as it was made; None for the tip of its branch.
    """
    what = "take the removal back"
    params = {
        "repo": str(removed.repo), "since": removed.tag, "until": until or removed.branch,
        "onto": onto, "branch": branch, "commands": list(removed.commands),
        "message": f"Take back the removal of {removed.branch}", "removal": removed.run,
    }  # fmt: skip
    step = Step(0, "take-back", what, "git.take-back", params)
    return _plan(removed, step, Change(str(removed.repo), "", f"{what}, on {branch}"))


def restore(removed: Removed, target: Path) -> Plan:
    """Return the plan that restores the whole repository from its bundle into a new folder."""
    params = {"bundle": str(removed.bundle), "target": str(target), "removal": removed.run}
    step = Step(0, "restore", "restore the bundle", "git.restore-bundle", params)
    return _plan(removed, step, Change(str(target), "", f"restore {removed.tag} from its bundle"))


def taken_back_by(plan: Plan) -> str:
    """Return the run whose removal a plan takes back; "" for a plan of another kind."""
    return str(plan.steps[0].params["removal"]) if plan.kind == KIND else ""


def force_push(removed: Removed, remote: str, branch: str) -> tuple[str, ...]:
    """Return the commands that put a remote branch back by force; for a person, never run by us.

    They refuse to overwrite what others pushed meanwhile.
    """
    git, tag = f"git -C {shlex.quote(str(removed.repo))}", removed.tag
    tracking = shlex.quote(f"{remote}/{branch}")
    lease = f"--force-with-lease={shlex.quote(branch)}:$({git} rev-parse {tracking})"
    there = shlex.quote(f"{tag}^{{commit}}:refs/heads/{branch}")
    return (
        f"{git} fetch {shlex.quote(remote)}",
        f"{git} log --oneline {shlex.quote(tag)}..{tracking}   # all of this is lost",
        f"{git} push {lease} {shlex.quote(remote)} {there}",
    )


def _plan(removed: Removed, step: Step, change: Change) -> Plan:
    notes = (f"the removal was made by run {removed.run}",)
    return Plan(KIND, removed.instance, (step,), (), (change,), "", "", notes)
