"""Looks at the repository and the manifest a removal is planned from. Runs git, reads files."""

from __future__ import annotations

from pathlib import Path

from cco_migrate.errors import InvalidInput
from cco_migrate.model import Instance
from cco_migrate.removal.manifest import read_manifest
from cco_migrate.removal.planning import Removing
from cco_migrate.vcs.repository import head_of, opened, refuse_dirty
from cco_migrate.world import World


def look(instance: Instance, repo: Path, manifest: Path, world: World) -> Removing:
    """Return what a plan of a removal is made of.

    Args:
        repo: Root of the working tree, e.g. "."; must be clean.
        manifest: The removal manifest; need not be inside the repository.

    Raises:
        InvalidInput: There is no such repository, it has no commit or uncommitted changes, or the
            manifest is wrong.
    """
    root = repo.resolve()
    read = read_manifest(manifest, world.files)
    with opened(root) as repository:
        refuse_dirty(repository)
        base = head_of(repository)
        if base is None:
            raise InvalidInput(f"{root} has no commit yet: there is nothing to remove")
        return Removing(instance, root, base, read)
