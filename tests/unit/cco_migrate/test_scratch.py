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
    fresh = temporary / "cco-migrate-scratch-work-fresh"
    fresh.mkdir(mode=0o700)
    with scratch("work"):
        assert fresh.exists()
    grow_old(fresh)
    with scratch("work"):
        assert not fresh.exists()


def test_what_is_no_folder_of_ours_is_left(temporary: Path) -> None:
    names = ("scratch-file", "scratch-link", "scratch-open", "checkout")
    file, link, readable, checkout = kept = [temporary / f"cco-migrate-{name}" for name in names]
    target = temporary / "somebody's"
    file.touch()
    readable.mkdir(mode=0o755)
    for folder in (target, checkout):
        folder.mkdir(mode=0o700)
    link.symlink_to(target)
    for path in (file, readable, target, checkout):
        grow_old(path)
    with scratch("work"):
        assert {*kept, target} < set(temporary.iterdir())
