"""The salt of a state root: made once, by whoever is first, and never again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.serve import salt_file


def test_salt_is_made_once_and_stays(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = salt_file.ensure(home)
    assert len(made.strip()) == 32
    assert salt_file.ensure(home) == made == salt_file.path_in(home).read_bytes()
    assert [path.name for path in home.iterdir()] == [salt_file.FILE]
    assert salt_file.ensure(tmp_path / "other") != made


def test_all_who_make_one_at_a_time_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: salt_file.ensure(tmp_path), range(32)))
    assert made == {salt_file.path_in(tmp_path).read_bytes()}
    assert [path.name for path in tmp_path.iterdir()] == [salt_file.FILE]


def test_whatever_stands_in_the_file_is_the_salt(tmp_path: Path) -> None:
    salt_file.path_in(tmp_path).write_bytes(b"")
    assert salt_file.ensure(tmp_path) == b""


def test_state_root_that_cannot_hold_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        salt_file.ensure(tmp_path / "file")
