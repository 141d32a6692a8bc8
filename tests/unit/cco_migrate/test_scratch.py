"""A scratch folder goes with its block; that of a killed process goes with the next one."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cco_migrate.scratch import scratch

HOLD = """
from cco_migrate.scratch import scratch
with scratch("held") as folder:
    (folder / "copy").write_text("secret")
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def grow_old(folder: Path) -> None:
    os.utime(folder, (0, 0))


def test_folder_is_private_and_goes_with_its_block(temporary: Path) -> None:
    with scratch("work") as folder:
        assert folder.parent == temporary
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").touch()
    assert list(temporary.iterdir()) == []


def test_folder_of_a_killed_process_goes_with_the_next_one(temporary: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env=os.environ | {"TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        held = Path(process.stdout.readline().strip())
        grow_old(held)
        with scratch("work"):
            assert (held / "copy").exists(), "it is in use, however old"
        process.kill()
    with scratch("work") as folder:
        assert list(temporary.iterdir()) == [folder]


def test_folder_that_may_not_be_locked_yet_is_left(temporary: Path) -> None:
    fresh = temporary / "cco-migrate-work-fresh"
    fresh.mkdir()
    with scratch("work"):
        assert fresh.exists()
    grow_old(fresh)
    with scratch("work"):
        assert not fresh.exists()


def test_what_is_no_folder_of_ours_is_left(temporary: Path) -> None:
    file, target = temporary / "cco-migrate-file", temporary / "somebody's"
    link, other = temporary / "cco-migrate-link", temporary / "other-work-x"
    file.touch()
    target.mkdir()
    other.mkdir()
    link.symlink_to(target)
    for path in (file, target, other):
        grow_old(path)
    with scratch("work"):
        assert {file, target, link, other} < set(temporary.iterdir())
