"""Does a repository still work, and is there a way back that works? Tried for real. Runs git.

Commands run in worktrees and clones of our own; the working tree is not touched.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from cco_migrate.context import Context
from cco_migrate.errors import ToolkitError
from cco_migrate.model import JsonObject, Step
from cco_migrate.vcs.bundles import clone_bundle
from cco_migrate.vcs.commands import Command, Ran, run_all
from cco_migrate.vcs.repository import commit_named, opened, tree_of
from cco_migrate.vcs.worktrees import Reversion, revert_in, worktree
from cco_migrate.verdict import Judgement, Verdict


class CommandsPass:
    """Do the repository's commands pass? Params: `repo`; `branch`; `commands`."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Run them in a worktree of the branch."""
        folder = context.run_dir / "worktrees" / step.id
        with opened(_root(step)) as repository:
            commit = commit_named(repository, f"refs/heads/{step.params['branch']}")
            with worktree(repository, folder, commit, context.world):
                return {"commit": commit, "commands": _run(step, folder, context)}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when all passed."""
        return _judged(step, facts, f"at {facts['commit'][:9]}")


class Restorable:
    """Does the bundle give back a repository that works? Params: `bundle`; `tag`; `commands`."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Restore it into a scratch folder, check the tag out and run the commands there."""
        folder, clock = context.run_dir / "rehearsal", context.world.clock
        shutil.rmtree(folder, ignore_errors=True)  # of a killed process
        begun = clock.monotonic()
        try:
            clone_bundle(context.run_dir / step.params["bundle"], folder)
            with opened(folder) as repository:
                repository.git.switch("--detach", "--quiet", step.params["tag"])
            ran = _run(step, folder, context)
        except ToolkitError as error:
            return {"fault": str(error)}
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return {"seconds": round(clock.monotonic() - begun, 3), "commands": ran}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when it was restored and all commands passed there."""
        return _judged(step, facts, "in a repository restored from the bundle")


class Revertible:
    """Can the removal be taken back by a commit? Params: `repo`; `since`; `branch`; `commands`."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Revert it in a worktree, compare every file with those before, run the commands."""
        folder, clock = context.run_dir / "worktrees" / step.id, context.world.clock
        since, branch = step.params["since"], step.params["branch"]
        wanted = Reversion(branch, f"{since}..{branch}", folder, "rehearsal of the way back")
        begun = clock.monotonic()
        try:
            with (
                opened(_root(step)) as repository,
                worktree(repository, folder, branch, context.world) as apart,
            ):
                made = revert_in(apart, wanted)
                same = tree_of(repository, made) == tree_of(repository, since)
                ran = _run(step, folder, context)
        except ToolkitError as error:
            return {"fault": str(error)}
        if not same:
            return {"fault": "the files are not those before the removal"}
        return {"seconds": round(clock.monotonic() - begun, 3), "commands": ran}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when every byte is back and all commands passed."""
        return _judged(step, facts, "with the removal taken back, every byte as before")


def _root(step: Step) -> Path:
    return Path(step.params["repo"]).resolve()


def _run(step: Step, folder: Path, context: Context) -> list[dict[str, object]]:
    """Run the commands of a step; what they said is kept in a file of the run."""
    commands = [Command.from_json(row) for row in step.params["commands"]]
    ran = run_all(folder, commands, context.world)
    path = context.run_dir / "output" / f"{step.id}.txt"
    context.world.files.make_directory(path.parent)
    context.world.files.replace(path, "".join(_said(one) for one in ran).encode())
    return [one.to_json() for one in ran]


def _said(ran: Ran) -> str:
    return f"== {ran.name}: {ran.why or f'ended with {ran.code}'}\n{ran.output}\n"


def _judged(step: Step, facts: JsonObject, where: str) -> Judgement:
    if "fault" in facts:
        return Judgement(step.id, Verdict.NO_GO, str(facts["fault"]), dict(facts))
    for row in facts["commands"]:
        ran = Ran.from_json(row)
        if not ran.passed:
            verdict = Verdict.INCONCLUSIVE if ran.code is None else Verdict.NO_GO
            return Judgement(step.id, verdict, f"{ran}  ({where})", dict(facts))
    if not facts["commands"]:
        return Judgement(step.id, Verdict.INCONCLUSIVE, f"no command was run {where}", dict(facts))
    took = f" in {facts['seconds']:.1f} s" if "seconds" in facts else ""
    passed = ", ".join(row["name"] for row in facts["commands"])
    return Judgement(step.id, Verdict.GO, f"{passed} passed{took}, {where}", dict(facts))
