"""The daemon's log: its last lines, and following it through rotation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.serve import log_file


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        (b"", 3, b""),
        (b"a\n", 3, b"a\n"),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc\n", 3, b"a\nb\nc\n"),
        (b"a\nb\nbegun", 2, b"a\nb\n"),
        (b"begun", 2, b""),
        (b"".join(b"%06d\n" % n for n in range(30_000)), 2, b"029998\n029999\n"),
        (b"x" * 200_000 + b"\nlast\n", 1, b"last\n"),
    ],
)
def test_tail_returns_whole_lines(
    tmp_path: Path, content: bytes, lines: int, expected: bytes
) -> None:
    path = tmp_path / "daemon.log"
    path.write_bytes(content)
    assert log_file.tail(path, lines) == (expected, content.rfind(b"\n") + 1)


def test_follow_yields_what_is_appended_and_a_new_file_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    path.write_bytes(b"before\n")
    follower = log_file.follow(path, 7)

    def later(act: Callable[[], object]) -> bytes:
        timer = threading.Timer(0, act)
        timer.start()
        found = next(follower)
        timer.join()
        return found

    with path.open("ab", buffering=0) as log:
        assert later(lambda: log.write(b"one\n")) == b"one\n"
    (tmp_path / "new").write_bytes(b"rotated\n")
    assert later(lambda: (tmp_path / "new").replace(path)) == b"rotated\n"
    assert later(lambda: path.write_bytes(b"cut\n")) == b"cut\n"


def test_log_is_for_this_user_only_also_when_it_was_not(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for expected in (b"one\n", b"one\none\n"):
        with log_file.open_for_daemon(home) as log:
            log.write(b"one\n")
        path = log_file.path_in(home)
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (expected, 0o600)
        path.chmod(0o644)
    assert home.stat().st_mode & 0o777 == 0o700


def test_original_gateways_log_is_found_when_it_is_the_only_one(tmp_path: Path) -> None:
    assert log_file.path_in(tmp_path) == tmp_path / "daemon.log"
    original = tmp_path / "logs" / "daemon.log"
    original.parent.mkdir()
    original.write_text("")
    assert log_file.path_in(tmp_path) == original
    (tmp_path / "daemon.log").write_text("")
    assert log_file.path_in(tmp_path) == tmp_path / "daemon.log"


def test_lines_since_an_offset_are_the_last_ones(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    assert log_file.since(path, 0, 5) == ""
    path.write_bytes(b"old\na\n\xffb\nc")
    assert log_file.since(path, 4, 2) == "\ufffdb\nc"
