"""The options of `run`: given now, read off a process, and looked up."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from gateway.serve import run_words


def test_given_options_are_kept_without_the_working_folder() -> None:
    given = Namespace(config_dir=Path("conf"), host=None, port=0, workers=2)
    assert run_words.given(given) == (
        "--config-dir", str(Path("conf").absolute()), "--port", "0", "--workers", "2",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), None),
        (("--host", "::1"), None),
        (("--port", "1", "--host", "::1"), "1"),
        (("--port", "1", "--port", "2"), "2"),
        (("--port",), None),
    ],
)
def test_last_of_two_contrary_options_counts(words: tuple[str, ...], expected: str | None) -> None:
    assert run_words.option(words, "--port") == expected


def test_words_of_a_process_follow_its_run() -> None:
    argv = [sys.executable, "-c", "print(flush=True); input()", "run", "--port", "7"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it runs
        found = run_words.of_process(process.pid)
        process.communicate(b"\n")
    assert found == ("--port", "7")
    assert run_words.of_process(process.pid) == ()
