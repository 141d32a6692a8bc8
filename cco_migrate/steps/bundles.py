"""Steps on git bundles: a whole repository in one file, proved by a clone. Never pushes."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cco_migrate.context import Context, Outcome
from cco_migrate.errors import InvalidInput, StalePlan, ToolkitError
from cco_migrate.model import JsonObject, Step
from cco_migrate.scratch import scratch
from cco_migrate.vcs.bundles import clone_bundle
from cco_migrate.vcs.repository import GIT_TIMEOUT_S, head_of, opened

if TYPE_CHECKING:
    from git import Repo


class Bundle:
    """Write all branches and tags into one file and prove it by cloning from it.

    Params: `repo`; `path`, the file; a relative one is in the run's folder.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Check that there is something whole to bundle, and that the file is not there."""
        path = context.run_dir / step.params["path"]
        with opened(Path(step.params["repo"]).resolve()) as repository:
            head = head_of(repository)
            if head is None:
                raise InvalidInput(f"{repository.working_dir} has no commit to bundle yet")
            if (Path(repository.common_dir) / "shallow").exists():
                raise InvalidInput(
                    f"{repository.working_dir} is a shallow clone: a bundle of it restores nothing",
                    next_command="git fetch --unshallow",
                )
        if path.exists():
            raise InvalidInput(f"{path} exists; a bundle is not written over another file")
        return {"head": head}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Write it beside its name, clone it to scratch, compare every ref, then name it."""
        path = context.run_dir / step.params["path"]
        context.world.files.make_directory(path.parent)
        fresh = path.with_name(f".{path.name}.new")
        with opened(Path(step.params["repo"]).resolve()) as repository:
            repository.git.bundle("create", str(fresh), "--all", kill_after_timeout=GIT_TIMEOUT_S)
            fresh.chmod(0o600)
            refs = _refs(repository)
            with scratch("bundle") as folder:
                copy = folder / "copy"
                repository.git.clone("--mirror", "--quiet", str(fresh), str(copy))
                restored = repository.git.execute(
                    ["git", f"--git-dir={copy}", "for-each-ref", _REF_FORMAT, *_REF_KINDS]
                )
            if refs != restored:
                fresh.unlink()
                raise ToolkitError(f"{path}: a clone of the bundle lacks some branch or tag")
            modules = len(repository.submodules)
        fresh.replace(path)
        context.world.files.sync_directory(path.parent)
        size, left = path.stat().st_size, f"; {modules} submodules are not in it" if modules else ""
        said = f"{path.name}, {size} bytes, cloned to scratch: every branch and tag is in it{left}"
        return Outcome(said, {"path": str(path), "head": receipt["head"], "submodules": modules})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Keep it: it is a way back."""
        return ""


class RestoreBundle:
    """Make a working tree from a bundle. Params: `bundle`, the file; `target`, a new folder."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Check that the target is free, and note what the bundle is."""
        bundle, target = Path(step.params["bundle"]), Path(step.params["target"])
        if target.exists():
            raise InvalidInput(f"{target} exists; a repository is not restored over it")
        try:
            digest = hashlib.sha256(context.world.files.read(bundle)).hexdigest()
        except OSError as error:
            raise InvalidInput(f"{bundle}: {error.strerror}") from error
        return {"sha256": digest}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Clone beside the target, then rename: it is there as a whole or not at all."""
        bundle, target = Path(step.params["bundle"]), Path(step.params["target"])
        if not target.exists():
            if hashlib.sha256(context.world.files.read(bundle)).hexdigest() != receipt["sha256"]:
                raise StalePlan(f"{bundle} was changed since this step was prepared")
            fresh = target.with_name(f".{target.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)  # of a killed process
            context.world.files.make_directory(target.parent)
            clone_bundle(bundle, fresh)
            fresh.rename(target)
        with opened(target) as repository:
            head = str(head_of(repository))
        return Outcome(f"{target} restored at {head[:9]}", {"target": str(target), "head": head})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Remove the folder; raises ToolkitError when somebody worked in it since."""
        bundle, target = Path(step.params["bundle"]), Path(step.params["target"])
        if not target.exists():
            return ""
        with opened(target) as repository:
            work = repository.git.status("--porcelain", "--ignored")
            new = repository.git.log("--all", "--not", "--remotes", "--tags", "--format=%h")
        if work or new:
            raise ToolkitError(
                f"{target} holds work that is not in {bundle.name}; it is not removed",
                state="The restored folder is as somebody left it.",
                next_command=f"git -C {target} status",
            )
        shutil.rmtree(target)
        return f"{target} is removed again"


_REF_FORMAT = "--format=%(objectname) %(refname)"
_REF_KINDS = ("refs/heads", "refs/tags")


def _refs(repository: Repo) -> str:
    found: str = repository.git.for_each_ref(_REF_FORMAT, *_REF_KINDS)
    return found
