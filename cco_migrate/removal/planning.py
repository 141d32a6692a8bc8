"""The removal as a plan: restore point, branch, one commit a group, proof. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cco_migrate.model import Change, Instance, Plan, Step
from cco_migrate.removal.manifest import Manifest

KIND = "gateway-cutover"
"""The kind of migration whose third phase this is."""

REMOVE = "git.remove"
"""What the steps use that take something out."""

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
    """Return the plan of the removal itself: it ends with a tested branch, and merges nothing.

    Its steps are numbered as those of the hard cutover, whose gate comes before them.
    """
    steps = (*_before(given), *_removal(given), *_proof(given))
    back = _step(given, 0, "back-proof", "proof", "removal.undone", branch=given.manifest.branch)
    changes = tuple(_changes(given))
    return Plan(KIND, given.instance, steps, (back,), changes, "", "", _notes(given))


def confirmation(plan: Plan) -> str:
    """Return what a person must type before a plan is begun; "" for one that removes nothing.

    Nobody types it by habit: it names the repository.
    """
    groups = [step for step in plan.steps if step.uses == REMOVE]
    if not groups:
        return ""
    count = f"{len(groups)} group{'s' * (len(groups) != 1)}"
    return f"remove {count} from {Path(groups[0].params['repo']).name}"


def _before(given: Removing) -> Iterator[Step]:
    """Yield the steps that change nothing but what is a way back."""
    manifest, base = given.manifest, given.base
    removals = [group.removal.to_json() for group in manifest.groups]
    yield _step(
        given, 3, "fits", "manifest fits", "removal.fits",
        commit=base, branch=manifest.branch, removals=removals,
        symbols=manifest.symbols.to_json(),
    )  # fmt: skip
    yield _step(
        given, 4, "tag", "tag", "git.tag", name=manifest.tag, commit=base, keep=True,
        message=f"The last commit before {manifest.branch}",
    )  # fmt: skip
    yield _step(given, 5, "bundle", "bundle", "git.bundle", path=BUNDLE)
    yield _step(
        given, 6, "restorable", "rehearse the restore", "removal.restorable",
        bundle=BUNDLE, tag=manifest.tag, commands=_commands(given),
    )  # fmt: skip


def _removal(given: Removing) -> Iterator[Step]:
    branch, base = given.manifest.branch, given.base
    yield _step(given, 7, "branch", "begin the branch", "git.branch", branch=branch, commit=base)
    for number, group in enumerate(given.manifest.groups, 1):
        yield _step(
            given, 8, f"remove-{number}", f"remove: {group.title}", REMOVE,
            branch=branch, message=group.message, **group.removal.to_json(),
        )  # fmt: skip


def _proof(given: Removing) -> Iterator[Step]:
    manifest, commands = given.manifest, _commands(given)
    yield _step(
        given, 9, "references", "dangling references", "removal.references", branch=manifest.branch,
        symbols=manifest.symbols.to_json(), documentation=manifest.documentation.to_json(),
    )  # fmt: skip
    yield _step(
        given, 10, "tests", "build and test", "removal.commands",
        branch=manifest.branch, commands=commands,
    )  # fmt: skip
    yield _step(
        given, 11, "revertible", "rehearse the revert", "removal.revertible",
        since=given.base, branch=manifest.branch, commands=commands,
    )  # fmt: skip
    yield Step(12, "report", "report", "report.write")


def _step(
    given: Removing, number: int, name: str, title: str, uses: str, /, **params: object
) -> Step:
    return Step(number, name, title, uses, {"repo": str(given.repo), **params})


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
