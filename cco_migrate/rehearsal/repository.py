"""The ways back from the removal: by a revert in git, and from the bundle. Runs git, on a clone.

The removal itself is made and merged once, in the clone; then it is taken back again and again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cco_migrate.errors import ToolkitError
from cco_migrate.model import Plan
from cco_migrate.recovery.ways import Taken, Way
from cco_migrate.rehearsal.rounds import Stage, TakeBack, engine_of
from cco_migrate.removal import planning, ways_back
from cco_migrate.removal.planning import Removing
from cco_migrate.removal.ways_back import Removed
from cco_migrate.vcs.repository import GIT_TIMEOUT_S, head_of, opened

_CONFIG = {
    "user.name": "rehearsal",
    "user.email": "rehearsal@localhost",
    "maintenance.auto": "false",  # else git 2.55 still writes there when the clone is removed
}


@dataclass(frozen=True, slots=True)
class Merged:
    """A removal that was made and merged in a clone of the repository.

    Attributes:
        base: Full id of the last commit before it.
        onto: Full id of the commit that merged it.
        files: How many there were at `base`.
    """

    stage: Stage
    removed: Removed
    base: str
    onto: str
    files: int


def merged(stage: Stage, given: Removing) -> Merged:
    """Clone the repository, remove and merge there what the manifest says.

    Args:
        given: The removal as it is meant for the deployment's own repository, which is only read.

    Raises:
        ToolkitError: It cannot be cloned, or the removal is not GO there.
    """
    repo = _cloned(given.repo, stage.clone.context.instance.home / "repository")
    instance = stage.clone.context.instance
    plan = planning.plan(replace(given, instance=instance, repo=repo))
    run = stage.store.create(plan)
    engine_of(stage, run, "the removal").run()
    removed = ways_back.removed_by(plan, run.id, run.directory)
    if removed is None:
        raise ToolkitError("the manifest takes nothing out: there is nothing to take back")
    with opened(repo) as repository:
        repository.git.merge("--no-ff", "--quiet", "-m", "Merge the removal", removed.branch)
        onto, listed = str(head_of(repository)), repository.git.ls_tree("-r", given.base)
    return Merged(stage, removed, given.base, onto, len(listed.splitlines()))


def ways_of(made: Merged) -> dict[Way, TakeBack]:
    """Return the ways back from the removal."""
    return {
        Way.GIT: lambda name: _reverted(made, name),
        Way.BUNDLE: lambda name: _restored(made, name),
    }


def _reverted(made: Merged, name: str) -> Taken:
    branch, repo = name.replace(" ", "-"), made.removed.repo
    plan = ways_back.take_back(made.removed, made.onto, branch)
    return _taken(made, Way.GIT, name, plan, lambda: _different(repo, made.base, branch))


def _restored(made: Merged, name: str) -> Taken:
    target = made.stage.clone.context.instance.home / "restored" / name.replace(" ", "-")
    plan = ways_back.restore(made.removed, target)
    taken = _taken(made, Way.BUNDLE, name, plan, lambda: _different(target, made.base, "HEAD"))
    shutil.rmtree(target, ignore_errors=True)  # the clone's folder goes as a whole later
    return taken


def _taken(
    made: Merged, way: Way, name: str, plan: Plan, different: Callable[[], tuple[str, ...]]
) -> Taken:
    clock = made.stage.clone.context.world.clock
    begun_s = clock.monotonic()
    try:
        run = made.stage.store.create(plan)
        engine_of(made.stage, run, f"{name}, back by {way}").run()
        files = different()
    except ToolkitError as error:
        return Taken(way, faults=(str(error),))
    return Taken(
        way,
        seconds=round(clock.monotonic() - begun_s, 3),
        faults=tuple(f"{file} is not as before" for file in files),
        files=made.files,
        files_different=len(files),
    )


def _different(repo: Path, base: str, name: str) -> tuple[str, ...]:
    """Return the files of a commit that are not those of another one."""
    with opened(repo) as repository:
        said: str = repository.git.diff("--name-only", "-z", base, name)
    return tuple(filter(None, said.split("\0")))


def _cloned(source: Path, target: Path) -> Path:
    import git  # noqa: PLC0415  # 150 ms that `--list` must not pay

    try:
        with git.Repo.clone_from(
            str(source), target, no_hardlinks=True, kill_after_timeout=GIT_TIMEOUT_S
        ) as made:
            for key, value in _CONFIG.items():
                made.git.config(key, value)
    except git.GitCommandError as error:
        raise ToolkitError(f"{source} cannot be cloned: {str(error.stderr).strip()}") from error
    return target
