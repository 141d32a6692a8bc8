"""Finds words in the tracked files of a commit. Runs git; what it says is read purely."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cco_migrate.errors import ToolkitError
from cco_migrate.model import JsonObject

if TYPE_CHECKING:
    from git import Repo

_SHOWN_CHARS = 160
_NOTHING_FOUND = 1
# Said in full, for each can be set otherwise in the configuration of whoever runs us.
_FORM = ("-z", "-n", "--full-name", "--no-column", "--no-color", "--no-heading", "--no-break")


@dataclass(frozen=True, slots=True)
class Reference:
    """One place where a word stands.

    Attributes:
        path: Relative to the root of the repository.
        line: 1-based.
        word: The word that was looked for.
        text: The line, without the blanks around it, shortened.
    """

    path: str
    line: int
    word: str
    text: str

    def __str__(self) -> str:
        """Return `path:line: word`."""
        return f"{self.path}:{self.line}: {self.word}"

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for, and where.

    Attributes:
        words: Found as whole words only: `port` is not in `ports`, and not in `proxy_port`.
        files: Globs of the files to look in, `**` for any depth; empty for all.
        keep: Globs of files to leave out.
        any_case: Whether `Proxy` is found too when `proxy` is looked for.
    """

    words: tuple[str, ...]
    files: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    any_case: bool = False

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {
            "words": list(self.words), "files": list(self.files), "keep": list(self.keep),
            "any_case": self.any_case,
        }  # fmt: skip

    @classmethod
    def from_json(cls, row: JsonObject) -> Wanted:
        """Rebuild it; raises KeyError for a row of another shape."""
        words, files, keep = (tuple(row[name]) for name in ("words", "files", "keep"))
        return cls(words, files, keep, row["any_case"])


def find(repository: Repo, tree: str, wanted: Wanted) -> tuple[Reference, ...]:
    """Return every place in the text files of a commit or tree, in the order of paths and lines.

    Raises:
        ToolkitError: git cannot look, e.g. at a pattern that is none.
    """
    if not wanted.words:
        return ()
    words = [part for word in wanted.words for part in ("-e", word)]
    flags = [*_FORM, "-I", "-w", "-F", *(["-i"] if wanted.any_case else [])]
    files = [f":(glob){one}" for one in wanted.files]
    keep = [f":(exclude,glob){one}" for one in wanted.keep]
    code, said, trouble = repository.git.grep(
        *flags, *words, tree, "--", *files, *keep,
        with_extended_output=True, with_exceptions=False,
    )  # fmt: skip
    if code > _NOTHING_FOUND:
        raise ToolkitError(f"{repository.working_dir}: git grep failed: {trouble}")
    return tuple(parse(said, tree, wanted))


def parse(said: str, tree: str, wanted: Wanted) -> Iterator[Reference]:
    """Yield what `git grep -z -n` found, once for each word of a line. Pure."""
    patterns = [(word, _whole(word, wanted.any_case)) for word in wanted.words]
    for row in filter(None, said.split("\n")):  # not splitlines: a text may hold other line ends
        path, line, text = row.split("\0", 2)
        for word, pattern in patterns:
            if pattern.search(text):
                name = _readable(path.removeprefix(f"{tree}:"))
                yield Reference(name, int(line), word, _readable(text.strip()[:_SHOWN_CHARS]))


def missing(words: Sequence[str], found: Iterable[Reference]) -> tuple[str, ...]:
    """Return the words that were found nowhere: misspelt, or gone already. Pure."""
    seen = {one.word for one in found}
    return tuple(word for word in words if word not in seen)


def _whole(word: str, any_case: bool) -> re.Pattern[str]:
    """Return a word as git sees it whole: letters, digits and underscores, ASCII only."""
    flags = re.ASCII | (re.IGNORECASE if any_case else re.NOFLAG)
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", flags)


def _readable(text: str) -> str:
    """Return text without the stray bytes of other encodings, which no journal line can hold."""
    return text.encode(errors="replace").decode()
