"""A full disk, a read-only state root and a clock that steps back: explained, never corrupt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNPRIVILEGED = ("file-size", "clock")
MOUNTED = ("full-disk", "read-only")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB, which a test may fill."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def suffered(kind: str, folder: Path) -> dict[str, object]:
    """Run the program of one adversity; return what it reports."""
    command = [sys.executable, "-m", "tests.kill.adversity", kind, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    row: dict[str, object] = json.loads(done.stdout)
    return row


@pytest.mark.real
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", UNPRIVILEGED)
def test_adversity_ends_in_one_state_or_the_other(tmp_path: Path, kind: str) -> None:
    found = suffered(kind, tmp_path / "deployment")
    assert found["faults"] == []
    assert found["killed"]


@pytest.mark.real
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", MOUNTED if os.geteuid() == 0 else ())  # only root may mount
def test_small_disk_ends_in_one_state_or_the_other(small_disk: Path, kind: str) -> None:
    found = suffered(kind, small_disk)
    assert found["faults"] == []
    assert found["killed"]
