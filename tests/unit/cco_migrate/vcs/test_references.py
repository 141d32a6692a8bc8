"""Words in the files of a commit: whole, with their places, and never in a file that is kept."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cco_migrate.errors import ToolkitError
from cco_migrate.vcs.references import Reference, Wanted, find, missing, parse
from cco_migrate.vcs.repository import opened

FILES = {
    "src/main.rs": "let proxy_port = read_proxy_port();\n  // the Proxy\n",
    "src/ports.rs": "fn reports() {}\nuse proxy::port;\n",
    "docs/old/HISTORY.md": "proxy_port was here\n",
    "odd\\ name: 1.txt": "proxy_port\r\n",
    "blob.bin": "proxy_port\0\n",
}


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 proxy_port\n")
    who = ("-c", "user.name=Op", "-c", "user.email=op@example.org")
    for words in (("init", "--quiet"), ("add", "."), (*who, "commit", "--quiet", "-m", "m")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        (
            Wanted(("proxy_port",)),
            ["docs/old/HISTORY.md:1", "latin.txt:1", "odd\\ name: 1.txt:1", "src/main.rs:1"],
        ),
        (Wanted(("proxy_port",), keep=("docs/**", "*.txt")), ["src/main.rs:1"]),
        (Wanted(("port",)), ["src/ports.rs:2"]),
        (Wanted(("proxy",)), ["src/ports.rs:2"]),
        (Wanted(("proxy",), any_case=True), ["src/main.rs:2", "src/ports.rs:2"]),
        (Wanted(("proxy_port", "read_proxy_port"), files=("src/**",)), ["src/main.rs:1"] * 2),
        (Wanted(("nowhere",)), []),
        (Wanted(()), []),
    ],
)
def test_words_are_found_whole(repo: Path, wanted: Wanted, places: list[str]) -> None:
    with opened(repo) as repository:
        found = find(repository, "HEAD", wanted)
    assert [f"{one.path}:{one.line}" for one in found] == places
    assert all(one.text.isprintable() for one in found)
    assert Wanted.from_json(wanted.to_json()) == wanted


def test_configuration_of_the_person_does_not_change_what_is_found(repo: Path) -> None:
    for name, value in (("color.ui", "always"), ("grep.column", "true"), ("grep.fullName", "true")):
        subprocess.run(["git", "config", name, value], cwd=repo, check=True)
    with opened(repo) as repository:
        (found,) = find(repository, "HEAD", Wanted(("reports",)))
    assert found == Reference("src/ports.rs", 1, "reports", "fn reports() {}")


def test_commit_that_is_not_there_is_no_empty_answer(repo: Path) -> None:
    with opened(repo) as repository, pytest.raises(ToolkitError, match="git grep failed"):
        find(repository, "nowhere", Wanted(("proxy",)))


def test_line_with_two_words_is_two_references() -> None:
    said = "abc:a b.py\x007\x00  one(two)\x0bmore\n"
    found = list(parse(said, "abc", Wanted(("one", "two", "on"))))
    text = "one(two)\x0bmore"
    assert found == [Reference("a b.py", 7, "one", text), Reference("a b.py", 7, "two", text)]
    assert missing(("one", "on"), found) == ("on",)
    assert str(found[0]) == "a b.py:7: one"
