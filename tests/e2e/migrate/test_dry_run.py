"""A dry run: told step by step by the real engine, and provably without a trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest


def tree(root: Path) -> dict[str, tuple[int, int, int, int]]:
    """Time of the last change, mode, inode and size of everything below a folder, itself too."""
    found = {}
    for path in (root, *root.rglob("*")):
        about = path.lstat()
        found[str(path)] = (about.st_mtime_ns, about.st_mode, about.st_ino, about.st_size)
    return found


def processes(folder: Path) -> set[tuple[int, float]]:
    """Every process that has anything to do with a folder, told apart from others of its pid."""
    found = set()
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join(process.cmdline()):
                found.add((process.pid, process.create_time()))
        except psutil.Error:  # it ended while we looked
            continue
    return found


def test_dry_run_leaves_no_trace_and_tells_every_step(demo: Any) -> None:
    before, alive = tree(demo.path), processes(demo.path)
    done = demo.run("migrate", "--fix", "--yes", "--dry-run", "--json")
    assert done.code == 0, done.err
    assert tree(demo.path) == before
    assert processes(demo.path) == alive
    assert alive

    steps = {row["id"]: row for row in done.document["steps"]}
    assert [steps[name]["verdict"] for name in ("backup", "fix", "enable", "restart")] == [
        "would"
    ] * 4
    assert steps["exists"]["verdict"] == "GO"
    assert {name for name, row in steps.items() if row["assumed"]} == {
        "restart", "proof", "traffic", "counts", "cost", "back-restart", "back-proof",
        "back-clients",
    }  # fmt: skip
    assert str(demo.config) in done.document["writes"]
    assert done.document["plan"]["fingerprint_after"] in steps["proof"]["summary"]


def test_lines_say_would(demo: Any) -> None:
    done = demo.run("migrate", "--fix", "--dry-run")
    assert done.code == 0, done.err
    for words in (
        "would: 1 line of model-overrides.toml changed",
        "would: send 24 requests, 12 of them streamed; 20 match a rule (assumed)",
        "back proof",
    ):
        assert words in done.err
    assert "nothing was changed" in done.out


def test_dry_run_of_a_saved_plan_does_not_use_it_up(demo: Any) -> None:
    assert demo.run("plan", "--fix", "--out", "saved.json").code == 0
    assert demo.run("migrate", "--plan", "saved.json", "--dry-run").code == 0
    done = demo.run("migrate", "--plan", "saved.json", "--yes")
    assert done.code == 0, done.err


def test_dry_run_over_an_open_run_goes_on_in_memory_only(demo: Any) -> None:
    assert demo.run("step.enable", "--fix", "--yes").code == 0
    before = demo.journal()
    done = demo.run("migrate", "--dry-run", "--json")
    assert done.code == 0, done.err
    verdicts = {row["id"]: row["verdict"] for row in done.document["steps"]}
    assert verdicts["restart"] == "would"
    assert demo.journal() == before


def test_step_that_would_fail_is_told_with_its_reason(demo: Any) -> None:
    assert demo.run("step.enable", "--fix", "--yes").code == 0
    runs = demo.home / "migrate" / "runs"
    demo.config.write_bytes(demo.config.read_bytes() + b"[overrides]\n")
    before = tree(runs)
    done = demo.run("migrate", "--dry-run")
    assert done.code == 8
    assert "the migration would" in done.err
    assert tree(runs) == before


@pytest.mark.parametrize("words", [("migrate", "--dry-run"), ("migrate", "--dry-run", "--json")])
def test_dry_run_makes_no_demo(folder: Any, words: tuple[str, ...]) -> None:
    done = folder.run(*words)
    assert done.code == 8
    assert "there is no demo deployment here" in done.out + done.err
    assert list(folder.path.iterdir()) == []
    if "--json" in words:
        assert json.loads(done.out)["code"] == 8
