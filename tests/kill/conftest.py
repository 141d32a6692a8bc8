"""Runs the programs of this folder, which kill and look what is left; adds up what they found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORES = 2

Killed = Callable[..., "Found"]


@dataclass(frozen=True, slots=True)
class Found:
    """What the programs reported together."""

    points: int
    killed: int
    faults: tuple[str, ...]


@pytest.fixture
def killed() -> Killed:
    """Run programs side by side, without the git configuration of whoever runs the tests."""
    who = {f"GIT_{one}_{part}": "op@example.org" for one in ("AUTHOR", "COMMITTER")
           for part in ("NAME", "EMAIL")}  # fmt: skip
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, **who}

    def run(*programs: Sequence[str]) -> Found:
        started = [
            subprocess.Popen(
                [sys.executable, "-m", *words], cwd=ROOT, env={**os.environ, **own},
                stdout=subprocess.PIPE, text=True,
            )
            for words in programs
        ]  # fmt: skip
        outputs = [process.communicate()[0] for process in started]
        assert [process.returncode for process in started] == [0] * len(started)
        rows = [json.loads(output) for output in outputs]
        faults = tuple(fault for row in rows for fault in row["faults"])
        return Found(max(row["points"] for row in rows), sum(row["killed"] for row in rows), faults)

    return run


@pytest.fixture
def killed_everywhere(
    killed: Killed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Found]:
    """Run one program on every point, or on every `stride`-th, a part of them on each core."""

    def run(*words: str, stride: int = 1) -> Found:
        shards = [
            (*words, str(tmp_path / str(n)), str(n * stride), str(CORES * stride))
            for n in range(CORES)
        ]
        found = killed(*shards)
        which = "" if stride == 1 else f", every {stride}. of them"
        with capsys.disabled():
            said = f"{found.points} kill points{which}, {found.killed} kills"
            print(f"\n{' '.join(words).removeprefix('tests.kill.')}: {said}")
        return found

    return run
