"""Makes a working tree out of a bundle. Runs git."""

from __future__ import annotations

import shutil
from pathlib import Path

from cco_migrate.errors import ToolkitError
from cco_migrate.vcs.repository import head_of


def clone_bundle(bundle: Path, target: Path) -> None:
    """Clone a bundle into a new folder; raises ToolkitError, and leaves nothing, when it is cut."""
    import git  # noqa: PLC0415  # 150 ms that `--list` must not pay

    try:
        with git.Repo.clone_from(str(bundle), target) as made:
            whole = head_of(made) is not None  # git clones a bundle that was cut, too: to nothing
        said = "no commit is in it"
    except git.GitCommandError as error:
        whole, said = False, str(error.stderr).strip()
    if not whole:
        shutil.rmtree(target, ignore_errors=True)
        raise ToolkitError(f"{bundle}: git cannot make a repository of it: {said}")
