"""Makes the files of a commit out of those of another: paths deleted, patches applied. Runs git.

All of it happens in an index of its own, so that neither the working tree nor its index changes:
git only gains objects that nothing points at until somebody makes a commit of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cco_migrate.errors import InvalidInput
from cco_migrate.model import JsonObject
from cco_migrate.scratch import scratch

if TYPE_CHECKING:
    from git import Repo


@dataclass(frozen=True, slots=True)
class Patch:
    """A unified diff.

    Attributes:
        name: Where it came from, for messages.
        diff: Its text, with paths below a/ and b/ as git writes them.
    """

    name: str
    diff: str


@dataclass(frozen=True, slots=True)
class Removal:
    """What is taken out of a repository together.

    Attributes:
        delete: Files and folders, relative to the root of the repository.
        patches: Applied in order, after the deletions.
    """

    delete: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        patches = [{"name": one.name, "diff": one.diff} for one in self.patches]
        return {"delete": list(self.delete), "patches": patches}

    @classmethod
    def from_json(cls, row: JsonObject) -> Removal:
        """Rebuild it; raises KeyError or TypeError for a row of another shape."""
        return cls(tuple(row["delete"]), tuple(Patch(**one) for one in row["patches"]))


@contextmanager
def unrecorded(repository: Repo) -> Iterator[None]:
    """Let git make objects that are gone afterwards: the repository is looked at, not written to.

    What was made is known inside only.
    """
    objects = Path(repository.common_dir) / "objects"
    quoted = str(objects.resolve()).replace("\\", r"\\").replace('"', r"\"")
    with scratch("objects") as folder:
        places = {
            "GIT_OBJECT_DIRECTORY": str(folder),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{quoted}"',  # else a colon would divide it
        }
        with repository.git.custom_environment(**places):
            yield


def tree_after(repository: Repo, commit: str, removals: Sequence[Removal]) -> str:
    """Return the id of the files that a commit's files become.

    Raises:
        InvalidInput: A path is not there, a patch does not apply, or nothing would change.
    """
    with scratch("index") as folder:
        index = {"GIT_INDEX_FILE": str(folder / "index")}
        with repository.git.custom_environment(**index):
            repository.git.read_tree(commit)
            before = tree = str(repository.git.write_tree())
            for removal in removals:
                _delete(repository, removal.delete)
                for patch in removal.patches:
                    _apply(repository, patch, folder / "patch")
                before, tree = tree, str(repository.git.write_tree())
                if tree == before:
                    raise InvalidInput(f"{', '.join(_names(removal))} would change nothing")
    return tree


def _delete(repository: Repo, paths: Sequence[str]) -> None:
    for path in paths:
        literal = f":(literal){path}"
        if not repository.git.ls_files("--", literal):
            raise InvalidInput(f"{path} cannot be deleted: git tracks nothing of that name there")
        # Forced, for what the working tree has of it is of no concern; --cached leaves it there.
        repository.git.rm("--cached", "-r", "--force", "--quiet", "--", literal)


def _apply(repository: Repo, patch: Patch, scratch: Path) -> None:
    import git  # noqa: PLC0415  # 150 ms that `--list` must not pay

    scratch.write_bytes(patch.diff.encode())
    try:
        for check in (["--check"], []):
            # Whatever the configuration says of blanks, the patch is applied as it was reviewed.
            repository.git.apply("--cached", "--whitespace=nowarn", *check, str(scratch))
    except git.GitCommandError as error:
        raise InvalidInput(f"{patch.name} does not apply: {_said(error.stderr)}") from error


def _said(stderr: str) -> str:
    """Return where a patch fails, e.g. `patch failed: src/main.rs:12; …`."""
    plain = stderr.strip().removeprefix("stderr:").strip(" '")
    lines = [line.removeprefix("error: ") for line in plain.splitlines()]
    where = [line for line in lines if not line.endswith(": patch does not apply")]
    return "; ".join(where or lines)


def _names(removal: Removal) -> tuple[str, ...]:
    return (*removal.delete, *(patch.name for patch in removal.patches))
