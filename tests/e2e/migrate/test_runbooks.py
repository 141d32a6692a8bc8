"""Every block of commands in the runbooks is run, in its order, on a demo; or says why it is not.

What a block prints, and how it ends, is what the page beside it says.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cco_migrate import resources

RUNBOOKS = resources.ROOT / "runbooks"
SAMPLE = Path(__file__).parents[2] / "data" / "removal"
IGNORED = shutil.ignore_patterns("__pycache__")
BIN = Path(sys.executable).parent
LONG_S = 300.0  # a page is dozens of programs, each of which may be slow to start

UNITS = "cco-gateway.socket cco-gateway.service"
MARKED = "needs systemd, which only the marked tests have"
NOT_RUN = {
    "model-overrides.md": {f"systemctl start {UNITS}": MARKED, f"systemctl stop {UNITS}": MARKED},
    "gateway-cutover.md": {f"systemctl stop {UNITS}": MARKED},
    "gates.md": {},
}
"""All that no test runs, by file and block, with the reason that readers are told."""

_FENCE = re.compile(r"^```(?P<language>.*)\n(?P<run>(?:.*\n)*?)```\n(?P<told>(?:(?!#|```).*\n)*)",
                    re.MULTILINE)  # fmt: skip
_PRINTS = re.compile(r"^\* On a demo it prints: `(.+)`$", re.MULTILINE)
_CODE = re.compile(r"^\* On a demo its exit code is: (\d+)$", re.MULTILINE)
_NOT_RUN = re.compile(r"^\*Not run in the tests: (.+)\.\*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """Commands of a page, and what the page says of them."""

    language: str
    run: str
    prints: str
    code: int
    not_run: str


def blocks(name: str) -> Iterator[Block]:
    text = (RUNBOOKS / name).read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        prints, code, reason = (one.search(found["told"]) for one in (_PRINTS, _CODE, _NOT_RUN))
        yield Block(
            found["language"],
            found["run"].rstrip("\n"),
            prints[1] if prints else "",
            int(code[1]) if code else 0,
            reason[1] if reason else "",
        )


def bash(
    block: Block, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", block.run], cwd=folder, env=environment, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=LONG_S,
    )  # fmt: skip


@pytest.fixture
def environment(folder: Any) -> Callable[[Mapping[str, str]], dict[str, str]]:
    """A demo that is up, and the variables that the pages speak of."""
    assert folder.run("demo.up", timeout_s=LONG_S).code == 0
    programs = folder.path / "bin"
    programs.mkdir()
    invoke = programs / "invoke"  # as typed in a checkout; the demo is in the folder of the test
    invoke.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m invoke --search-root "{resources.ROOT}" "$@"\n'
    )
    invoke.chmod(0o755)
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("CCO_", "ANTHROPIC_", "HTTP"))}
    own = {
        **kept, "PATH": f"{programs}:{BIN}:{os.environ['PATH']}", "HOME": str(folder.path),
        "GW": folder.url, "STATE": str(folder.home), "KEY": "any",
    }  # fmt: skip
    return lambda more: own | dict(more)


def test_every_block_that_is_not_run_is_declared() -> None:
    assert {path.name for path in RUNBOOKS.iterdir()} == set(NOT_RUN)
    for name, declared in NOT_RUN.items():
        assert {one.run: one.not_run for one in blocks(name) if one.not_run} == declared


@pytest.mark.parametrize("name", NOT_RUN)
def test_every_fence_is_a_block_of_a_shell(name: str) -> None:
    text = (RUNBOOKS / name).read_text(encoding="utf-8")
    found = list(blocks(name))
    assert len(found) * 2 == sum(line.startswith("```") for line in text.splitlines())
    assert {one.language for one in found} == {"sh"}
    told = sum(len(pattern.findall(text)) for pattern in (_PRINTS, _CODE, _NOT_RUN))
    read = sum(bool(value) for one in found for value in (one.prints, one.code, one.not_run))
    assert told == read  # nothing that a page says of a block is overlooked


def run_all(name: str, folder: Path, environment: Mapping[str, str]) -> None:
    for block in blocks(name):
        if block.not_run:
            continue
        done = bash(block, folder, environment)
        assert done.returncode == block.code, f"{block.run}\n{done.stdout}"
        assert block.prints in done.stdout, f"{block.run}\n{done.stdout}"


@pytest.mark.process
@pytest.mark.timeout(2 * LONG_S)
def test_runbook_of_the_overrides_runs(
    folder: Any, environment: Callable[[Mapping[str, str]], dict[str, str]]
) -> None:
    run_all("model-overrides.md", folder.path, environment({"CONFIG": str(folder.config)}))


@pytest.mark.process
@pytest.mark.timeout(4 * LONG_S)  # ten rehearsals are in it
def test_runbook_of_the_cutover_runs(
    folder: Any, environment: Callable[[Mapping[str, str]], dict[str, str]]
) -> None:
    repository = folder.path / "sample"
    shutil.copytree(SAMPLE / "repository", repository, ignore=IGNORED)
    who = {f"GIT_{one}_{part}": "op@example.org" for one in ("AUTHOR", "COMMITTER")
           for part in ("NAME", "EMAIL")}  # fmt: skip
    names = environment({
        **who, "CONFIG": str(folder.config.parent), "SESSION": "0b5f6c1e", "REPO": str(repository),
        "MANIFEST": str(SAMPLE / "removal.toml"), "WORDS": "remove 2 groups from sample",
        "RESTORED": str(folder.path / "restored"),
    })  # fmt: skip
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "both ways")):
        subprocess.run(["git", *words], cwd=repository, env=names, check=True)
    run_all("gateway-cutover.md", folder.path, names)
    assert (folder.path / "restored").is_dir()


@pytest.mark.process
@pytest.mark.timeout(2 * LONG_S)
def test_runbook_of_the_gates_runs(
    folder: Any, environment: Callable[[Mapping[str, str]], dict[str, str]]
) -> None:
    switched = folder.run("migrate", "--kind", "gateway-cutover", "--phase", "2", "--yes",
                          timeout_s=LONG_S)  # fmt: skip
    assert switched.code == 0, switched.err
    sent = re.findall(r'"request_id":\s*"([^"]+)"', audit(folder))
    (folder.path / "sent").write_text("".join(f"{one}\n" for one in sent), encoding="ascii")
    own = environment({})
    sleep = folder.path / "bin" / "sleep"  # ends the loop that goes on until it is stopped
    sleep.write_text(
        '#!/bin/sh\ntest "$1" = 30 || exec /bin/sleep "$1"\ntest ! -e "$0.d" && mkdir "$0.d"\n'
    )
    sleep.chmod(0o755)
    names = own | {
        "CCO_HOME": str(folder.home), "MODEL": "claude-haiku-4-5-20251001",
        "BEGAN": "2026-01-31T12:00:00Z", "FLEET": folder.url,
    }  # fmt: skip
    run_all("gates.md", folder.path, names)
    assert (folder.path / "bin" / "sleep.d").is_dir()


def audit(folder: Any) -> str:
    done = subprocess.run(
        ["curl", "-s", f"{folder.url}/gateway/audit?limit=1000"], capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout)["entries"]
    return done.stdout
