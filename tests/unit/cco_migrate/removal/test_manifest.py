"""The removal manifest: what is in it, and how each fault of it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from cco_migrate.errors import InvalidInput
from cco_migrate.removal.manifest import Manifest, read_manifest
from cco_migrate.vcs.commands import TIMEOUT_S, Command
from cco_migrate.vcs.references import Wanted
from cco_migrate.world import Files

DATA = Path(__file__).parents[3] / "data" / "removal"
LEAST = """\
branch = "no-proxy"

[[groups]]
title = "Remove it"
delete = ["src/proxy"]

[[commands]]
name = "tests"
run = ["make", "test"]
"""


def read(folder: Path, text: str, name: str = "removal.toml") -> Manifest:
    (folder / name).write_text(text)
    return read_manifest(folder / name, Files())


def test_sample_is_read_with_its_patches() -> None:
    manifest = read_manifest(DATA / "removal.toml", Files())
    first, second = manifest.groups
    assert (manifest.branch, manifest.tag) == ("remove-http-proxy", "before-proxy-removal")
    assert first.message == f"{first.title}\n\n{first.why}"
    assert second.message == second.title
    assert first.removal.delete == ("src/daemon/proxy",)
    assert second.removal.patches[0].name == "patches/pid-file.patch"
    assert "-    pub proxy_port: Option<u16>,\n" in second.removal.patches[0].diff
    assert manifest.commands == (Command("tests", ("python3", "check.py"), 60.0),)
    assert manifest.symbols.keep == ("CHANGELOG.md",)
    assert manifest.documentation == Wanted(("proxy",), ("*.md", "docs/**"), any_case=True)


def test_least_manifest_has_the_defaults_that_the_schema_tells(tmp_path: Path) -> None:
    manifest = read(tmp_path, LEAST)
    assert manifest.tag == "before-no-proxy"
    assert manifest.symbols == Wanted(())
    assert manifest.documentation.words == ()
    assert manifest.commands[0].timeout_s == TIMEOUT_S
    listed = read(tmp_path, LEAST + '[documentation]\nwords = ["proxy"]\n')
    assert listed.documentation.files == ("**/*.md",)


def test_manifest_may_be_json(tmp_path: Path) -> None:
    text = (
        '{"branch": "b", "groups": [{"title": "t", "delete": ["a"]}],'
        ' "commands": [{"name": "n", "run": ["true"]}]}'
    )
    assert read(tmp_path, text, "removal.json").branch == "b"


FAULTS = {
    "no commands": (
        ("[[commands]]\nname", "[[x]]\nname"), "removal.toml: commands: is missing"
    ),
    "misspelt key": (
        ("delete =", "delet ="), 'removal.toml:5: groups[0].delet: unknown key; write "delete"'
    ),
    "shell line": (
        ('["make", "test"]', '"make test"'),
        "removal.toml:9: commands[0].run: is a text, must be a list; write a list",
    ),
    "outside": (
        ("src/proxy", "../proxy"), "removal.toml:5: groups[0].delete[0]: has the wrong form; write"
    ),
    "absolute": (("src/proxy", "/proxy"), "groups[0].delete[0]: has the wrong form"),
    "the root": (("src/proxy", "."), "groups[0].delete[0]: has the wrong form"),
    "two lines": (("Remove it", "Remove\\nit"), "removal.toml:4: groups[0].title: has the wrong"),
    "nothing in a group": (
        ('delete = ["src/proxy"]', ""),
        "removal.toml:3: groups[0]: takes nothing out; add delete or patches",
    ),
    "no patch": (
        ("delete = [", 'patches = ["no.patch"]\ndelete = ['), "no.patch: No such file or directory"
    ),
    "no such patch, said where": (
        ("delete = [", 'patches = ["no.patch"]\ndelete = ['), "removal.toml:5: groups[0].patches[0]"
    ),
    "patch in another encoding": (
        ("delete = [", 'patches = ["odd.patch"]\ndelete = ['), "odd.patch is not UTF-8"
    ),
    "same name twice": (
        ("[[commands]]", '[[commands]]\nname = "tests"\nrun = ["true"]\n[[commands]]'),
        "removal.toml:11: commands[1].name: tests is the name of another command",
    ),
    "no time": (
        ("run =", "timeout_s = 0\nrun ="), "commands[0].timeout_s: must be more than 0"
    ),
    "syntax": (("branch =", "branch"), "removal.toml:1: syntax error"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_said_with_its_line_and_key(tmp_path: Path, fault: str) -> None:
    (old, new), said = FAULTS[fault]
    assert old in LEAST
    (tmp_path / "odd.patch").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput) as raised:
        read(tmp_path, LEAST.replace(old, new, 1))
    assert said in "\n".join([str(one) for one in raised.value.findings])


def test_manifest_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"removal\.toml: No such file or directory"):
        read_manifest(tmp_path / "removal.toml", Files())
