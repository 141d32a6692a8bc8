"""`python -m benchmarks.gateway`: what is missing or mistyped is said before anything starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gateway.subjects import ROOT


def run(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "benchmarks.gateway", *words)
    return subprocess.run(
        command, cwd=ROOT, env={"PATH": str(path)}, capture_output=True, text=True, check=False
    )


def test_missing_program_is_named_with_its_package(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1
    assert "is not installed; on Debian: apt-get install" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words", [("--rounds", "0"), ("--only", "speed"), ("--counter", "none"), ("--check", "0")]
)
def test_unknown_value_is_refused(tmp_path: Path, words: tuple[str, str]) -> None:
    done = run(tmp_path, *words)
    assert done.returncode == 2
    assert words[0] in done.stderr
