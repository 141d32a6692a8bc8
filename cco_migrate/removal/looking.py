"""Looks at the repository and the manifest a removal is planned from. Runs git, reads files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cco_migrate.errors import InvalidInput
from cco_migrate.model import Instance
from cco_migrate.removal.manifest import read_manifest
from cco_migrate.removal.planning import Removing
from cco_migrate.removal.ways_back import Removed
from cco_migrate.vcs.references import find
from cco_migrate.vcs.repository import exists, head_of, holders, opened, root_of
from cco_migrate.world import World

if TYPE_CHECKING:
    from git import Repo


def look(instance: Instance, manifest: Path, repository: Path | None, world: World) -> Removing:
    """Return what a plan of a removal is made of.

    Args:
        manifest: The removal manifest; need not be inside the repository.
        repository: Root of the working tree; None for the repository the manifest is in.

    Raises:
        InvalidInput: There is no such repository, it has no commit, or the manifest is wrong.
    """
    read = read_manifest(manifest, world.files)
    root = repository.resolve() if repository else root_of(manifest.resolve().parent)
    with opened(root) as found:
        base = head_of(found)
        if base is None:
            raise InvalidInput(f"{root} has no commit yet: there is nothing to remove")
        return Removing(instance, root, base, read)


def merged_into(removed: Removed, last: str) -> tuple[str, ...]:
    """Return the branches that hold a removal beside its own; empty while nobody merged it.

    One that was squashed is another commit: it is known by what is missing from what is checked
    out.

    Args:
        last: Full id of the last commit of the removal.

    Raises:
        InvalidInput: The repository is not there any more.
    """
    with opened(removed.repo) as repository:
        if exists(repository, last):
            others = holders(repository, removed.branch, last)
            if others or repository.is_ancestor(repository.commit(last), repository.head.commit):
                return others
        return ("what is checked out",) if _is_gone(repository, removed) else ()


def _is_gone(repository: Repo, removed: Removed) -> bool:
    if not removed.delete and not removed.symbols.words:
        return False
    left = removed.delete and repository.git.ls_tree("-r", "HEAD", "--", *removed.delete)
    return not left and not find(repository, "HEAD", removed.symbols)
