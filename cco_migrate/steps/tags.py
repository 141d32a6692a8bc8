"""A git tag as a step of a plan. Never pushes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cco_migrate.context import Context, Outcome
from cco_migrate.errors import InvalidInput, StalePlan
from cco_migrate.model import JsonObject, Step
from cco_migrate.vcs.repository import (
    commit_named,
    head_of,
    opened,
    refuse_nameless,
)

if TYPE_CHECKING:
    from git import Repo


class Tag:
    """Name a commit.

    Params: `repo`; `name`; `message`; `commit`, default HEAD; `keep`, whether the tag stays when
    the step is undone, because it is a way back: default false.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Check the name, and that nothing else has it."""
        name = step.params["name"]
        with opened(Path(step.params["repo"]).resolve()) as repository:
            _check_tag_name(repository, name)
            refuse_nameless(repository)
            if head_of(repository) is None:
                raise InvalidInput(f"{repository.working_dir}: there is no commit to tag yet")
            target = commit_named(repository, step.params.get("commit", "HEAD"))
            stands = _tagged(repository, name)
            if stands not in {None, target}:
                raise InvalidInput(f"the tag {name} names {str(stands)[:9]}; it is not moved")
            return {"target": target, "existed": stands is not None}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Make an annotated tag; one that names the commit already stays."""
        name, target = step.params["name"], receipt["target"]
        with opened(Path(step.params["repo"]).resolve()) as repository:
            stands = _tagged(repository, name)
            if stands is None:
                repository.git.tag("--annotate", "-m", step.params["message"], name, target)
            elif stands != target:
                raise StalePlan(f"the tag {name} was set to {stands[:9]} by somebody else")
        return Outcome(f"{target[:9]} is tagged {name}", {"tag": name, "commit": target})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Delete the tag if we made it and it still names that commit."""
        name = step.params["name"]
        if step.params.get("keep", False):
            return ""
        with opened(Path(step.params["repo"]).resolve()) as repository:
            if receipt["existed"] or _tagged(repository, name) != receipt["target"]:
                return ""
            repository.git.tag("--delete", name)
        return f"the tag {name} is gone again"


def _check_tag_name(repository: Repo, name: str) -> None:
    import git  # noqa: PLC0415  # see _commit

    try:
        repository.git.check_ref_format(f"refs/tags/{name}")
    except git.GitCommandError as error:
        raise InvalidInput(f"{name!r} is not a name a tag can have") from error


def _tagged(repository: Repo, name: str) -> str | None:
    found: str = repository.git.for_each_ref("--format=%(objectname)", f"refs/tags/{name}")
    return commit_named(repository, f"refs/tags/{name}") if found else None
