"""Is a removal whole, and is it gone after its undo? Runs git, apart from the working tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cco_migrate.context import Context
from cco_migrate.errors import StalePlan
from cco_migrate.model import JsonObject, Step
from cco_migrate.vcs.references import Reference, Wanted, find, missing
from cco_migrate.vcs.repository import (
    commit_named,
    commits_of,
    head_of,
    opened,
    refuse_branch,
    refuse_dirty,
    tip_of,
)
from cco_migrate.vcs.trees import Removal, tree_after, unrecorded
from cco_migrate.verdict import Judgement, Verdict

if TYPE_CHECKING:
    from git import Repo

_KEPT, _SHOWN = 200, 5


class RemovalFits:
    """Is the manifest right for this repository? Looked at before anything is done.

    Params: `repo`; `commit`, the one that is checked out; `branch`, to be made; `removals`, in
    order; `symbols`.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Refuse a dirty tree and a moved branch; apply every removal in an index of its own."""
        with opened(_root(step)) as repository:
            refuse_dirty(repository)
            if head_of(repository) != step.params["commit"]:
                raise StalePlan(
                    f"{repository.working_dir} stands at {str(head_of(repository))[:9]}, the plan "
                    f"was made at {step.params['commit'][:9]}",
                    state="Nothing was changed.",
                )
            refuse_branch(repository, step.params["branch"])
            with unrecorded(repository):
                return {"tree": _tree(repository, step)}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Look for the symbols before the removal and after it."""
        wanted = Wanted.from_json(step.params["symbols"])
        with opened(_root(step)) as repository, unrecorded(repository):
            before = find(repository, step.params["commit"], wanted)
            after = find(repository, _tree(repository, step), wanted)
        absent = list(missing(wanted.words, before))
        return {"before": len(before), "absent": absent, **_listed("dangling", after)}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when every symbol occurred and none is left."""
        if facts["absent"]:
            said = f"{', '.join(facts['absent'])} occurs nowhere: misspelt, or removed already"
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        if facts["dangling_count"]:
            return Judgement(step.id, Verdict.NO_GO, _dangling(facts), dict(facts))
        said = f"every removal applies; {facts['before']} references go, none is left"
        return Judgement(step.id, Verdict.GO, said, dict(facts))


class NoReferences:
    """Is nothing left that refers to what was removed?

    Params: `repo`; `branch`; `symbols`, which fail it; `documentation`, which is only listed.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture: the branch says it all."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Look through the files of the branch."""
        with opened(_root(step)) as repository:
            branch = commit_named(repository, f"refs/heads/{step.params['branch']}")
            left = find(repository, branch, Wanted.from_json(step.params["symbols"]))
            told = find(repository, branch, Wanted.from_json(step.params["documentation"]))
        return {"commit": branch, **_listed("dangling", left), **_listed("documents", told)}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when no symbol is left; documents are for a person to rewrite."""
        if facts["dangling_count"]:
            return Judgement(step.id, Verdict.NO_GO, _dangling(facts), dict(facts))
        said = "no reference is left"
        if facts["documents_count"]:
            said += f"; documents that still speak of it: {_places(facts, 'documents')}"
        return Judgement(step.id, Verdict.GO, said, dict(facts))


class RemovalUndone:
    """Is nothing of this run left on the branch? Params: `repo`; `branch`."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Look for the branch, and for commits of this run on it."""
        with opened(_root(step)) as repository:
            tip = tip_of(repository, step.params["branch"])
            return {"commit": tip, "ours": commits_of(repository, context.run, tip) if tip else 0}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when there is none; a branch that somebody else made under this name may stay."""
        branch = step.params["branch"]
        if facts["ours"]:
            said = f"{branch} still holds {facts['ours']} commits of this run"
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        left = f"; {branch} is somebody else's" if facts["commit"] else ""
        said = f"no commit of this run is left{left}"
        return Judgement(step.id, Verdict.GO, said, dict(facts))


def _root(step: Step) -> Path:
    return Path(step.params["repo"]).resolve()


def _tree(repository: Repo, step: Step) -> str:
    removals = [Removal.from_json(row) for row in step.params["removals"]]
    return tree_after(repository, step.params["commit"], removals)


def _listed(name: str, found: Sequence[Reference]) -> dict[str, object]:
    rows = [one.to_json() for one in found[:_KEPT]]  # a journal line is read by people, too
    return {name: rows, f"{name}_count": len(found)}


def _dangling(facts: JsonObject) -> str:
    return f"{facts['dangling_count']} references are left: {_places(facts, 'dangling')}"


def _places(facts: JsonObject, name: str) -> str:
    found = [str(Reference(**row)) for row in facts[name][:_SHOWN]]
    more = facts[f"{name}_count"] - len(found)
    return ", ".join(found) + (f" and {more} more" if more else "")
