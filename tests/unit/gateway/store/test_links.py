"""Calls that wait for their child, and the children's names: claimed once, bounded, expiring."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from gateway.agents.links import MAX_WAITING, Key, Name
from gateway.agents.spawns import Spawn
from gateway.store import links
from gateway.store.opening import connect

NOW = 10**15
OLD = NOW - links.SPAWNS_KEPT_US - 1
CHILD = Key("s1", "a1")
P, Q = b"p" * 16, b"q" * 16


@pytest.fixture
def file(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = connect(tmp_path / "ledger.db")
    yield connection
    connection.close()


def claim(file: apsw.Connection, agent_id: str, prompt: bytes = P) -> str | None:
    found = links.claim(file, Key("s1", agent_id), prompt, "parent", NOW)
    return None if found is None else found.agent_type


def test_children_with_one_prompt_take_their_calls_in_order(file: apsw.Connection) -> None:
    links.expect(file, "s1", [Spawn("a", P), Spawn("x", Q), Spawn("b", P)], NOW)
    links.expect(file, "s2", [Spawn("other", P)], NOW)
    assert [claim(file, name) for name in ("1", "2", "3")] == ["a", "b", None]
    assert claim(file, "4", Q) == "x"
    assert not links.find(file, CHILD, NOW).expected


def test_child_that_asks_again_keeps_its_name_and_takes_no_other_call(
    file: apsw.Connection,
) -> None:
    links.expect(file, "s1", [Spawn("a", P), Spawn("b", P)], NOW)
    assert [claim(file, "1"), claim(file, "1"), claim(file, "2")] == ["a", "a", "b"]


@pytest.mark.parametrize(
    ("session_id", "at_us", "expected"),
    [("s1", NOW, True), ("s1", OLD + 1, True), ("s1", OLD, False), ("s2", NOW, False)],
)
def test_child_is_expected_by_a_young_call_of_its_session(
    file: apsw.Connection, session_id: str, at_us: int, expected: bool
) -> None:
    links.expect(file, session_id, [Spawn("a", P)], at_us)
    assert links.find(file, CHILD, NOW) == links.Linked(None, expected)
    assert (claim(file, "a1") is not None) is expected


def test_first_name_stays(file: apsw.Connection) -> None:
    first = Name("reviewer", "definition")
    links.remember(file, CHILD, first, NOW)
    links.remember(file, CHILD, Name("other", "marker"), NOW)
    assert links.find(file, CHILD, NOW) == links.Linked(first, expected=False)
    assert links.find(file, Key("s2", "a1"), NOW).name is None


def test_oldest_calls_of_a_session_are_forgotten(file: apsw.Connection) -> None:
    links.expect(file, "s2", [Spawn("t", P)], NOW)
    for n in range(MAX_WAITING + 2):
        links.expect(file, "s1", [Spawn("t", b"%d" % n)], NOW)
    assert [claim(file, f"c{n}", b"%d" % n) for n in range(4)] == [None, None, "t", "t"]
    assert links.find(file, Key("s2", "a1"), NOW).expected


def test_what_is_old_is_deleted_in_batches(file: apsw.Connection) -> None:
    for n in range(5):
        links.expect(file, "s1", [Spawn("t", P)], n)
        links.remember(file, Key("s1", str(n)), Name("t", "parent"), n)
    assert [links.forget_spawns(file, 3, 2), links.forget_spawns(file, 3, 2)] == [2, 1]
    assert [links.forget_names(file, 3, 2), links.forget_names(file, 3, 2)] == [2, 1]
    for table in ("spawns", "agents"):
        left = file.execute(f"SELECT at_us FROM {table} ORDER BY at_us")  # noqa: S608  # two names
        assert [row[0] for row in left] == [3, 4]


def test_of_racing_workers_one_gets_the_call(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    calls, workers = 20, 4
    found: list[list[str]] = [[] for _ in range(workers)]
    start = threading.Barrier(workers)

    @contextmanager
    def transaction(connection: apsw.Connection) -> Iterator[None]:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")

    def work(number: int) -> None:
        connection = connect(path)
        start.wait()
        for n in range(calls):
            with transaction(connection):
                name = claim(connection, f"{number}-{n}")
            found[number] += [] if name is None else [name]
        connection.close()

    parent = connect(path)
    with transaction(parent):
        links.expect(parent, "s1", [Spawn(f"t{n}", P) for n in range(calls)], NOW)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    parent.close()
    assert sorted(name for names in found for name in names) == sorted(
        f"t{n}" for n in range(calls)
    )
