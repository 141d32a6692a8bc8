"""The hard cutover as a plan: restore point, branch, removal, proof; and its ways back. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cco_migrate.model import Change, Instance, Plan, Step
from cco_migrate.removal.manifest import Manifest

KIND = "gateway-removal"
_NUMBER = 1  # of a step in a plan that has but one
BUNDLE = "before-removal.bundle"
"""The restore point's file, in the folder of the run that made it."""


@dataclass(frozen=True, slots=True)
class Removing:
    """What a plan of a removal is made of.

    Attributes:
        instance: Whose runs, lock and journal it belongs to; the gateway itself is not touched.
        repo: Root of the working tree of the repository.
        base: Full id of the commit that is checked out there.
    """

    instance: Instance
    repo: Path
    base: str
    manifest: Manifest


def plan(given: Removing) -> Plan:
    """Return the plan of the removal itself: it ends with a tested branch, and merges nothing."""
    manifest, repo = given.manifest, str(given.repo)
    steps = (*_before(given), *_removal(given), *_proof(given))
    numbered = tuple(replace(step, number=n) for n, step in enumerate(steps, 1))
    undone = {"repo": repo, "branch": manifest.branch}
    way_back = (Step(0, "back-proof", "proof", "removal.undone", undone),)
    changes = tuple(_changes(given))
    return Plan(KIND, given.instance, numbered, way_back, changes, "", "", _notes(given))


def take_back(given: Removing, onto: str, branch: str, *, until: str | None = None) -> Plan:
    """Return the plan that takes a merged removal back on a new branch, after tests in a worktree.

    Args:
        onto: The branch or commit that holds the removal, e.g. "main"; it is not moved.
        branch: Name of the new branch.
        until: Last commit of the removal as it was made; None for the tip of its branch.
    """
    manifest = given.manifest
    step = _step(
        given, "take-back", "take the removal back", "git.take-back",
        since=manifest.tag, until=until or manifest.branch, onto=onto, branch=branch,
        message=f"Take back the removal of {manifest.branch}", commands=_commands(given),
    )  # fmt: skip
    return Plan(KIND, given.instance, (step,), (), (), "", "")


def restore(given: Removing, bundle: Path, target: Path) -> Plan:
    """Return the plan that restores the whole repository from its bundle into a new folder."""
    step = _step(
        given, "restore", "restore the bundle", "git.restore-bundle",
        bundle=str(bundle), target=str(target),
    )  # fmt: skip
    return Plan(KIND, given.instance, (step,), (), (), "", "")


def confirmation(given: Removing) -> str:
    """Return what a person must type before the removal: nobody types it by habit."""
    return f"remove {len(given.manifest.groups)} groups from {given.repo.name}"


def force_push(given: Removing, remote: str, branch: str) -> tuple[str, ...]:
    """Return the commands that put a remote branch back by force; for a person, never run by us.

    They refuse to overwrite what others pushed meanwhile.
    """
    git, tag = f"git -C {shlex.quote(str(given.repo))}", given.manifest.tag
    tracking = shlex.quote(f"{remote}/{branch}")
    lease = f"--force-with-lease={shlex.quote(branch)}:$({git} rev-parse {tracking})"
    there = shlex.quote(f"{tag}^{{commit}}:refs/heads/{branch}")
    return (
        f"{git} fetch {shlex.quote(remote)}",
        f"{git} log --oneline {shlex.quote(tag)}..{tracking}   # all of this is lost",
        f"{git} push {lease} {shlex.quote(remote)} {there}",
    )


def _before(given: Removing) -> Iterator[Step]:
    """Yield the steps that change nothing but what is a way back."""
    manifest, base = given.manifest, given.base
    removals = [group.removal.to_json() for group in manifest.groups]
    yield _step(
        given, "fits", "manifest fits", "removal.fits",
        commit=base, branch=manifest.branch, removals=removals,
        symbols=manifest.symbols.to_json(),
    )  # fmt: skip
    message = f"The last commit before {manifest.branch}"
    yield _step(
        given, "tag", "tag", "git.tag", name=manifest.tag, commit=base, keep=True, message=message
    )
    yield _step(given, "bundle", "bundle", "git.bundle", path=BUNDLE)
    yield _step(
        given, "restorable", "rehearse the restore", "removal.restorable",
        bundle=BUNDLE, tag=manifest.tag, commands=_commands(given),
    )  # fmt: skip


def _removal(given: Removing) -> Iterator[Step]:
    branch = given.manifest.branch
    yield _step(given, "branch", "begin the branch", "git.branch", branch=branch, commit=given.base)
    for number, group in enumerate(given.manifest.groups, 1):
        yield _step(
            given, f"remove-{number}", f"remove: {group.title}", "git.remove",
            branch=branch, message=group.message, **group.removal.to_json(),
        )  # fmt: skip


def _proof(given: Removing) -> Iterator[Step]:
    manifest, commands = given.manifest, _commands(given)
    yield _step(
        given, "references", "dangling references", "removal.references", branch=manifest.branch,
        symbols=manifest.symbols.to_json(), documentation=manifest.documentation.to_json(),
    )  # fmt: skip
    yield _step(
        given, "tests", "build and test", "removal.commands",
        branch=manifest.branch, commands=commands,
    )  # fmt: skip
    yield _step(
        given, "revertible", "rehearse the revert", "removal.revertible",
        since=given.base, branch=manifest.branch, commands=commands,
    )  # fmt: skip
    yield Step(_NUMBER, "report", "report", "report.write")


def _step(given: Removing, name: str, title: str, uses: str, /, **params: object) -> Step:
    return Step(_NUMBER, name, title, uses, {"repo": str(given.repo), **params})


def _commands(given: Removing) -> list[dict[str, object]]:
    return [command.to_json() for command in given.manifest.commands]


def _changes(given: Removing) -> Iterator[Change]:
    for group in given.manifest.groups:
        for path in group.removal.delete:
            yield Change(str(given.repo / path), "", f"delete: {group.title}")
        for patch in group.removal.patches:
            yield Change(str(given.repo), patch.diff, f"{patch.name}: {group.title}")


def _notes(given: Removing) -> tuple[str, ...]:
    manifest = given.manifest
    return (
        f"nothing is merged or pushed: {manifest.branch} is for people to review",
        "once it is merged and deployed, a rollback by flag finds no proxy any more: the ways back "
        f"are a revert, tested in a worktree, and the bundle of {manifest.tag}",
        "a force-push is never made; its commands are only printed",
    )
