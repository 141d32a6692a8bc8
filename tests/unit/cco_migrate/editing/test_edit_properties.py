"""The laws of an edited file: nothing but the addressed value changes, and undo gives every byte.

The laws of the bytes alone are in test_edits.py; here the step does its work on real files.
"""

from __future__ import annotations

import json
import stat
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, reject
from hypothesis import strategies as st

from cco_migrate.context import Context
from cco_migrate.editing.changes import apply_edits, revert_edits
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.model import DriverSpec, Instance, JsonObject, Step
from cco_migrate.steps.files import EditFile
from cco_migrate.world import World

BOM = b"\xef\xbb\xbf"
KEYS = ("a", "b-1", "enabled", "rules", "x.y", 'q"')
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)
SCALARS = st.booleans() | st.integers(-(2**40), 2**40) | TEXTS


@dataclass(frozen=True, slots=True)
class Document:
    """A file as somebody wrote it.

    Attributes:
        mode: Its permission bits.
        linked: Whether the path that is edited is a symbolic link to it.
    """

    data: bytes
    suffix: str
    mode: int
    linked: bool


@st.composite
def toml_text(draw: st.DrawFn) -> str:
    lines = [draw(st.sampled_from(["", "# who answers for whom\n", "\n"]))]
    names = draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=4))
    for table in ("", *draw(st.lists(st.sampled_from(("o", "p")), unique=True))):
        lines.append(f"[{table}]  # {draw(TEXTS)}\n" if table else "")
        for name in names:
            value = json.dumps(draw(SCALARS | st.lists(SCALARS, max_size=2)), ensure_ascii=False)
            note = draw(st.sampled_from(["", "  # until the review", "\t# = ] }"]))
            lines.append(f"{json.dumps(name)} = {value}{note}\n".replace("\x7f", "\\u007f"))
        if table and draw(st.booleans()):
            gap = draw(st.sampled_from(["", "\n    ", " "]))
            lines.append(f'pairs = [{gap}["a", "b"],{gap}["c", "d"]{gap}]\n')
    return "".join(lines)


@st.composite
def json_text(draw: st.DrawFn) -> str:
    values = st.recursive(
        st.none() | SCALARS,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
        ),
        max_leaves=6,
    )
    tree: dict[str, Any] = draw(st.dictionaries(st.sampled_from((*KEYS, "o")), values, max_size=4))
    tree |= draw(st.sampled_from(({}, {"pairs": [["a", "b"]]}, {"o": {"a": 1}})))
    return json.dumps(tree, indent=draw(st.sampled_from([None, 2, "\t"])), ensure_ascii=False)


@st.composite
def yaml_text(draw: st.DrawFn) -> str:
    lines = [draw(st.sampled_from(["", "# who answers for whom\n", "---\n"]))]
    names = draw(st.lists(st.sampled_from(KEYS), unique=True, min_size=1, max_size=4))
    for table in ("", *draw(st.lists(st.sampled_from(("o", "p")), unique=True))):
        lines.append(f"{table}:  # {draw(TEXTS)}\n" if table else "")
        indent = "  " if table else ""
        for name in names:
            value = json.dumps(draw(SCALARS | st.lists(SCALARS, max_size=2)), ensure_ascii=False)
            note = draw(st.sampled_from(["", "  # until the review", " # = ] }"]))
            lines.append(f"{indent}{json.dumps(name)}: {value}{note}\n")
        if table and draw(st.booleans()):
            gap = draw(st.sampled_from(["", "\n    ", " "]))
            lines.append(f'  pairs: [{gap}["a", "b"],{gap}["c", "d"]{gap}]\n')
    text = "".join(lines)
    return "".join(one if one.isprintable() or one == "\n" else "." for one in text)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    suffix, text = draw(
        st.one_of(
            st.tuples(st.just("toml"), toml_text()),
            st.tuples(st.just("json"), json_text()),
            st.tuples(st.sampled_from(["yaml", "yml"]), yaml_text()),
        )
    )
    text = text.removesuffix("\n") if draw(st.booleans()) else text
    data = (text.replace("\n", "\r\n") if draw(st.booleans()) else text).encode()
    marked = draw(st.integers(0, 19)) == 19
    mode = draw(st.sampled_from([0o600, 0o640, 0o644, 0o660]))
    return Document(BOM * marked + data, suffix, mode, draw(st.booleans()))


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, list[str | int]]]:
    """Yield the kind and the path of everything in a document."""
    if isinstance(value, dict):
        yield "table", list(path)
        for name, child in value.items():
            yield from _paths(child, (*path, name))
    elif isinstance(value, list):
        pairs = value and all(isinstance(one, list) for one in value)
        yield "pairs" if pairs else "array", list(path)
        for number, child in enumerate(value):
            yield from _paths(child, (*path, number))
    else:
        yield "scalar", list(path)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Document, list[JsonObject]]:
    """A document and edits of it: most are of what is there, some of what is not."""
    document = draw(documents())
    found = list(_paths(parsed(document.data.removeprefix(BOM), document.suffix)))
    changes: list[JsonObject] = []
    for _ in range(draw(st.integers(1, 3))):
        kind, key = draw(st.sampled_from(found))
        if kind == "table":
            key = [*key, draw(st.sampled_from((*KEYS, "new", "o")))]
        if kind in {"table", "scalar"}:
            change: JsonObject = {"op": "set", "key": key, "value": draw(SCALARS)}
            changes.append(change if draw(st.integers(0, 4)) else {"op": "remove", "key": key})
        else:
            item = [draw(TEXTS), draw(TEXTS)]
            changes.append({"op": "append", "key": key, "items": [item], "after": [0]})
    return document, changes


@contextmanager
def written(document: Document) -> Iterator[tuple[Path, Context]]:
    """Write the document into a folder of its own; give the path to edit and a step's context."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        real = root / f"real.{document.suffix}"
        real.write_bytes(document.data)
        real.chmod(document.mode)
        path = root / f"edited.{document.suffix}" if document.linked else real
        if document.linked:
            path.symlink_to(real.name)
        home = root / "home"
        instance = Instance("test", "http://127.0.0.1:9", path, home, DriverSpec("process"))
        yield path, Context(World.real(), instance, "mo-law", root, {}, _nobody_looks, dict)


def _nobody_looks(_what: str, _timeout_s: float) -> None:
    return None


def about(path: Path) -> tuple[bytes, int, bool, str]:
    """Return all that a person would notice of a file."""
    link = str(path.readlink()) if path.is_symlink() else ""
    return path.read_bytes(), stat.S_IMODE(path.stat().st_mode), path.is_symlink(), link


def parsed(data: bytes, suffix: str) -> Any:  # Any: a document
    text = data.decode()
    if suffix in {"yaml", "yml"}:
        return yaml.safe_load(text)
    return tomllib.loads(text) if suffix == "toml" else json.loads(text)


def facts(value: Any, path: tuple[object, ...] = ()) -> dict[tuple[object, ...], str]:
    """Return each leaf with its exact value: 1, 1.0 and true differ."""
    if isinstance(value, dict):
        children: Sequence[tuple[object, Any]] = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    else:
        return {path: f"{type(value).__name__} {value!r}"}
    found = {leaf: text for name, child in children for leaf, text in
             facts(child, (*path, name)).items()}  # fmt: skip
    return found or {path: type(value).__name__}


def touches(place: tuple[object, ...], changes: Sequence[JsonObject]) -> bool:
    """Return whether a leaf is what an edit addresses, or stands in, or holds, what it does."""
    keys = [tuple(change["key"]) for change in changes]
    return any(place[: len(key)] == key or key[: len(place)] == place for key in keys)


def edited(document: Document, changes: Sequence[JsonObject]) -> tuple[Path, bytes]:
    """Return the document's name and its bytes after the edits; passes over one that is refused."""
    path = Path(f"document.{document.suffix}")
    try:
        return path, apply_edits(document.data, path, changes)
    except InvalidInput:
        reject()


@given(cases())
def test_undo_of_an_applied_edit_gives_every_byte_mode_and_link_back(
    case: tuple[Document, list[JsonObject]],
) -> None:
    document, changes = case
    with written(document) as (path, context):
        step = Step(4, "edit", "edit", "files.edit", {"path": str(path), "edits": changes})
        before, inode = about(path), path.stat().st_ino
        try:
            receipt = EditFile().prepare(step, context)
        except InvalidInput:  # refused: the very same file, not one written again
            assert about(path) == before
            assert path.stat().st_ino == inode
            return
        assert about(path) == before
        EditFile().apply(step, receipt, context)
        assert about(path)[1:] == before[1:]
        old, new = (facts(parsed(data, document.suffix)) for data in (before[0], path.read_bytes()))
        kept = {place: text for place, text in old.items() if not touches(place, changes)}
        assert kept == {place: text for place, text in new.items() if not touches(place, changes)}
        EditFile().undo(step, receipt, context)
        assert about(path) == before


@given(cases())
def test_edit_that_was_interrupted_ends_in_the_same_bytes(
    case: tuple[Document, list[JsonObject]],
) -> None:
    document, changes = case
    with written(document) as (path, context):
        step = Step(4, "edit", "edit", "files.edit", {"path": str(path), "edits": changes})
        before = about(path)
        try:
            receipt = EditFile().prepare(step, context)
        except InvalidInput:
            assert about(path) == before
            return
        EditFile().apply(step, receipt, context)
        once = about(path)
        EditFile().apply(step, receipt, context)
        assert about(path) == once
        for _ in range(2):
            EditFile().undo(step, receipt, context)
            assert about(path) == before


@given(cases())
def test_taking_back_the_keys_alone_gives_the_old_values_or_is_refused(
    case: tuple[Document, list[JsonObject]],
) -> None:
    document, changes = case
    path, after = edited(document, changes)
    try:
        back = revert_edits(after, document.data, path, changes)
    except ToolkitError as error:
        assert "edited since" in str(error)  # the law has two good ends
        return
    old, new = (parsed(data, document.suffix) for data in (document.data, back))
    assert facts(new) == facts(old)


@given(cases())
def test_comments_and_line_endings_outside_of_the_edit_stay(
    case: tuple[Document, list[JsonObject]],
) -> None:
    document, changes = case
    _, after = edited(document, changes)
    lines = document.data.splitlines(keepends=True)
    kept = sum(line in after for line in lines)
    # one edit touches one line, and the end of the one before it; an inline object is one line
    assert kept >= len(lines) - 2 * len(changes)
    bare = document.data.replace(b"\r\n", b"").count(b"\n")
    if not bare and b"\r\n" in document.data:
        assert after.replace(b"\r\n", b"").count(b"\n") == 0


@pytest.mark.parametrize("suffix", ["toml", "json", "yaml"])
def test_file_with_a_byte_order_mark_is_refused_and_untouched(suffix: str) -> None:
    body: Mapping[str, bytes] = {"toml": b"a = 1\n", "json": b'{"a": 1}\n', "yaml": b"a: 1\n"}
    with written(Document(BOM + body[suffix], suffix, 0o640, True)) as (path, context):
        before = about(path)
        change = {"op": "set", "key": ["a"], "value": 2}
        step = Step(4, "edit", "edit", "files.edit", {"path": str(path), "edits": [change]})
        with pytest.raises(InvalidInput, match="byte-order mark"):
            EditFile().prepare(step, context)
        assert about(path) == before


@pytest.mark.parametrize(("before", "value"), [("0", False), ("1", True), ("1", 1.0)])
def test_values_that_python_takes_for_equal_are_taken_back_all_the_same(
    before: str, value: bool | float
) -> None:
    path, data = Path("document.json"), f'{{"a": {before}}}'.encode()
    changes: list[JsonObject] = [{"op": "set", "key": ["a"], "value": value}]
    assert revert_edits(apply_edits(data, path, changes), data, path, changes) == data
