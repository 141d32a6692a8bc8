"""Counters in mapped files: seen by other processes at once, kept after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.metrics import counters
from gateway.metrics.counters import Counters

COUNT = """
import sys
from pathlib import Path
from gateway.metrics.counters import Counters

counters = Counters(Path(sys.argv[1]), "7", "other")
for _ in range(1000):
    counters.add(("requests", "a b", "x\\ny"))
print("counted", flush=True)
sys.stdin.read()
"""


def test_counts_of_a_killed_process_stay(tmp_path: Path) -> None:
    own = Counters(tmp_path, "7", "own")
    own.add(("requests", "a b", "x?y"), 5)
    both = {name: {("requests", "a b", "x?y"): n} for name, n in (("own", 5), ("other", 1000))}
    with subprocess.Popen(
        [sys.executable, "-c", COUNT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"counted\n"
        assert own.by_process() == both
        process.send_signal(signal.SIGKILL)
    assert own.by_process() == both
    own.close()


def test_counts_of_a_closed_process_stay(tmp_path: Path) -> None:
    first, second = Counters(tmp_path, "7", "first"), Counters(tmp_path, "7", "second")
    first.add(("n",), 3)
    first.put(("gauge",), 9)
    first.close()
    second.add(("n",))
    assert second.by_process() == {"first": {("n",): 3, ("gauge",): 9}, "second": {("n",): 1}}
    second.close()


def test_files_of_another_owner_are_removed(tmp_path: Path) -> None:
    old = Counters(tmp_path, "6", "old")
    old.add(("n",))
    new = Counters(tmp_path, "66", "new")
    assert new.by_process() == {"new": {}}
    assert [path.name for path in tmp_path.iterdir()] == ["66-new.counters"]
    old.add(("n",))  # a worker that still finishes its streams goes on
    assert old.own() == {("n",): 2}
    old.close()
    new.close()


def test_zero_makes_a_series_visible(tmp_path: Path) -> None:
    own, other = Counters(tmp_path, "7", "own"), Counters(tmp_path, "7", "other")
    own.add(("n",), 0)
    assert other.by_process()["own"] == {("n",): 0}
    own.close()
    other.close()


def test_series_beyond_the_bound_are_not_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "MAX_SERIES", 4)
    own, other = Counters(tmp_path, "7", "own"), Counters(tmp_path, "7", "other")
    for n in range(20):
        own.add((f"n{n}",), 1)
    own.add(("n0",))
    seen = {("n0",): 2, ("n1",): 1, ("n2",): 1}
    assert own.own() == other.by_process()["own"] == seen
    own.close()
    other.close()


def test_without_a_disk_the_counts_are_this_processs_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    own = Counters(tmp_path / "file", "7", "own")
    own.add(("n",), 2)
    assert own.by_process() == {"own": {("n",): 2}}
    own.close()


@pytest.mark.parametrize("content", [b"", b"short", b"\0" * 9])
def test_file_just_begun_is_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "7-new.counters").write_bytes(content)
    own = Counters(tmp_path, "7", "own")
    own.add(("n",), 2)
    assert own.by_process() == {"own": {("n",): 2}}
    own.close()


def test_counter_stays_in_its_slot(tmp_path: Path) -> None:
    own, other = Counters(tmp_path, "7", "own"), Counters(tmp_path, "7", "other")
    slots = [own.slot((name,)) for name in ("a", "b", "c")]
    own.values[slots[0]] += 4
    own.values[own.slot(("c",))] += 5
    own.add(("c",))
    assert [own.slot((name,)) for name in ("a", "b", "c")] == slots
    assert own.own() == other.by_process()["own"] == {("a",): 4, ("b",): 0, ("c",): 6}
    own.close()
    other.close()


def test_row_is_written_as_one_and_read_by_name(tmp_path: Path) -> None:
    own, other = Counters(tmp_path, "7", "own"), Counters(tmp_path, "7", "other")
    own.add(("before",))
    row = own.row([("a",), ("b",), ("c",)])
    own.add(("after",), 4)
    row.put((1, 2**62, 3))
    row.put((2, 2**62 + 1, 3))
    seen = {("before",): 1, ("a",): 2, ("b",): 2**62 + 1, ("c",): 3, ("after",): 4}
    assert own.own() == other.by_process()["own"] == seen
    own.close()
    other.close()


def test_row_without_a_name_for_each_touches_no_other_counter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "MAX_SERIES", 4)
    own = Counters(tmp_path, "7", "own")
    own.add(("n",), 5)
    own.row([("a",), ("b",), ("c",)]).put((1, 2, 3))
    own.row([("d",), ("e",)]).put((1, 2))
    assert own.own() == {("n",): 5, ("a",): 0, ("b",): 0}
    own.close()
