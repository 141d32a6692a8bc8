"""Looks at the repository and the manifest a removal is planned from. Runs git, reads files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cco_migrate.errors import InvalidInput
from cco_migrate.model import Instance
from cco_migrate.removal.manifest import read_manifest
from cco_migrate.removal.planning import Removing
from cco_migrate.removal.ways_back import Removed
from cco_migrate.vcs.references import find
from cco_migrate.vcs.repository import commit_named, exists, head_of, holders, opened, root_of
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


@dataclass(frozen=True, slots=True)
class Merged:
    """Where a removal is a part of, beside its own branch.

    Attributes:
        names: Branches, or HEAD for a commit that is checked out without one; empty while nobody
            merged it, as far as was fetched.
        squashed: Whether it is there as another commit, which is known by what is missing there.
    """

    names: tuple[str, ...]
    squashed: bool = False

    def __str__(self) -> str:
        """Return the names, and how they are known."""
        how = ", squashed: what it removed is missing there" if self.squashed else ""
        return ", ".join(self.names) + how


def merged_into(removed: Removed, last: str) -> Merged:
    """Return the branches that hold a removal beside its own, those of remotes included.

    Args:
        last: Full id of the last commit of the removal.

    Raises:
        InvalidInput: The repository is not there any more.
    """
    with opened(removed.repo) as repository:
        if exists(repository, last) and (others := holders(repository, removed.branch, last)):
            return Merged(others)
        since = _before(repository, removed)
        had = _files(repository, removed, since) if since else frozenset()
        names = _later(repository, removed, since, last)
        gone = (name for name in names if _is_gone(repository, removed, name, had))
        return Merged(tuple(gone), squashed=True)


def _before(repository: Repo, removed: Removed) -> str | None:
    """Return the commit before the removal; None when somebody deleted its tag."""
    try:
        return commit_named(repository, f"refs/tags/{removed.tag}")
    except InvalidInput:
        return None


def _later(repository: Repo, removed: Removed, since: str | None, last: str) -> tuple[str, ...]:
    """Return what goes on from the commit before the removal; only there it can be squashed.

    What is checked out with the removal itself in it is its branch, or a look at that.
    """
    head = () if _head_holds(repository, last) else ("HEAD",)
    if since is None:
        return head
    if not (repository.head.is_detached and _head_holds(repository, since)):
        head = ()  # a branch, which is named below, or nothing that ever had the proxy
    return (*holders(repository, removed.branch, since), *head)


def _head_holds(repository: Repo, commit: str) -> bool:
    """Whether a commit is part of what is checked out."""
    return exists(repository, commit) and repository.is_ancestor(
        repository.commit(commit), repository.head.commit
    )


def _is_gone(repository: Repo, removed: Removed, name: str, had: frozenset[str]) -> bool:
    """Whether a commit lacks every file that was removed; without paths, every symbol.

    A removed folder may hold other files later, and a symbol be named again, e.g. where the
    removal is told of.

    Args:
        had: The files there before; empty when that is not known.
    """
    if removed.delete:
        left = _files(repository, removed, name)
        return not (left & had if had else left)
    return bool(removed.symbols.words) and not find(repository, name, removed.symbols)


def _files(repository: Repo, removed: Removed, name: str) -> frozenset[str]:
    """Return the files that a commit has where paths were removed."""
    if not removed.delete:
        return frozenset()
    said = repository.git.ls_tree("-r", "-z", "--name-only", name, "--", *removed.delete)
    return frozenset(filter(None, said.split("\0")))
