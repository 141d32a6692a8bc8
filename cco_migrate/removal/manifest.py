"""The removal manifest: what is taken out of a repository, read and checked. Reads files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cco_migrate import resources
from cco_migrate.editing.documents import Format, index, line_of, parse
from cco_migrate.editing.spans import KeyPath, dotted
from cco_migrate.errors import InvalidInput
from cco_migrate.validate import Source, validate
from cco_migrate.vcs.commands import TIMEOUT_S, Command
from cco_migrate.vcs.references import Wanted
from cco_migrate.vcs.trees import Patch, Removal
from cco_migrate.verdict import Finding, Severity
from cco_migrate.world import Files

_DOCUMENTS = ("**/*.md",)


@dataclass(frozen=True, slots=True)
class Group:
    """What is taken out together: one commit.

    Attributes:
        title: First line of its message.
        why: The rest of it; may be empty.
    """

    title: str
    why: str
    removal: Removal

    @property
    def message(self) -> str:
        """The message of the commit."""
        return f"{self.title}\n\n{self.why}".strip()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a removal does, and how it is seen that nothing is left.

    Attributes:
        branch: The commits are made on it.
        tag: Keeps the last commit before them.
        groups: One commit each.
        commands: Must pass before, after, and with the removal taken back.
        symbols: Must occur nowhere afterwards.
        documentation: What is listed for a person; without words nothing is.
    """

    branch: str
    tag: str
    groups: tuple[Group, ...]
    commands: tuple[Command, ...]
    symbols: Wanted = field(default_factory=lambda: Wanted(()))
    documentation: Wanted = field(default_factory=lambda: Wanted(()))


def read_manifest(path: Path, files: Files) -> Manifest:
    """Return the manifest in a file, with the patches it names.

    Raises:
        InvalidInput: It or a patch cannot be read or is wrong; its findings name line, key and fix.
    """
    try:
        data = files.read(path)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from error
    form = Format.of(path)
    document: Any = parse(data, form, path)  # Any: its schema says what is inside
    source = Source(path, data, index(data, form))
    found = validate(document, resources.schema("removal"), source)
    _refuse(tuple(one for one in found if one.severity is Severity.ERROR))
    _refuse(_contradictions(document, source))
    return _manifest(document, _Patches(source, files))


@dataclass(frozen=True, slots=True)
class _Patches:
    """Reads the patches that a manifest names."""

    source: Source
    files: Files

    def read(self, name: str, key: KeyPath) -> Patch:
        """Return a patch; raises InvalidInput that names the line of the manifest."""
        path = self.source.path.parent / name
        try:
            return Patch(name, self.files.read(path).decode())
        except OSError as error:
            said = f"{path}: {error.strerror}"
        except UnicodeDecodeError:
            said = f"{path} is not UTF-8"
        found = _finding(self.source, key, "removal-patch", said)
        raise InvalidInput(str(found), findings=(found,))


def _manifest(document: Any, patches: _Patches) -> Manifest:  # Any: as above
    groups = []
    for number, row in enumerate(document["groups"]):
        place: KeyPath = ("groups", number, "patches")
        read = [patches.read(one, (*place, n)) for n, one in enumerate(row.get("patches", ()))]
        removal = Removal(tuple(row.get("delete", ())), tuple(read))
        groups.append(Group(row["title"], row.get("why", "").strip(), removal))
    commands = [
        Command(row["name"], tuple(row["run"]), float(row.get("timeout_s", TIMEOUT_S)))
        for row in document["commands"]
    ]
    about = document.get("documentation", {"words": ()})
    return Manifest(
        branch=document["branch"],
        tag=document.get("tag", f"before-{document['branch']}"),
        groups=tuple(groups),
        commands=tuple(commands),
        symbols=Wanted(tuple(document.get("symbols", ())), keep=tuple(document.get("keep", ()))),
        documentation=Wanted(
            tuple(about["words"]), tuple(about.get("files", _DOCUMENTS)), any_case=True
        ),
    )


def _contradictions(document: Any, source: Source) -> tuple[Finding, ...]:  # Any: as above
    """Return what a schema cannot say: groups that do nothing, names that are used twice."""
    found = [
        _finding(
            source, ("groups", number), "removal-empty-group", "takes nothing out",
            "add delete or patches",
        )
        for number, row in enumerate(document["groups"])
        if not row.get("delete") and not row.get("patches")
    ]  # fmt: skip
    names: Sequence[str] = [row["name"] for row in document["commands"]]
    found += [
        _finding(
            source, ("commands", number, "name"), "removal-same-name",
            f"{name} is the name of another command", "give each its own",
        )
        for number, name in enumerate(names)
        if name in names[:number]
    ]  # fmt: skip
    return tuple(found)


def _finding(source: Source, key: KeyPath, rule: str, message: str, fix: str = "") -> Finding:
    line = line_of(source.data, source.entries, key)
    return Finding(rule, Severity.ERROR, source.path, message, line, dotted(key), fix=fix)


def _refuse(errors: tuple[Finding, ...]) -> None:
    if errors:
        raise InvalidInput(str(errors[0]), findings=errors)
