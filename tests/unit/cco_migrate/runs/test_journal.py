"""The journal: what is written is what is read, and nothing else is believed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cco_migrate.errors import Damaged
from cco_migrate.model import canonical
from cco_migrate.runs.journal import (
    GENESIS,
    Entry,
    Event,
    Journal,
    RunState,
    Status,
    StepState,
    read_lines,
    replay,
)
from cco_migrate.world import Clock, Files, Http, Processes, World

PATH = Path("journal.jsonl")


class MemoryFiles(Files):
    """One file in memory; can be told to be full after some bytes."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.room: int | None = None

    def read_if_there(self, path: Path) -> bytes | None:
        return self.data or None

    def append(self, path: Path, data: bytes) -> None:
        if self.room is not None and len(data) > self.room:
            self.data += data[: self.room]
            raise OSError(28, "No space left on device")
        self.data += data

    def truncate(self, path: Path, size: int) -> None:
        self.data = self.data[:size]


def journal_on(files: Files) -> Journal:
    return Journal(PATH, "mo-1", World(files, Processes(), Http(), Clock()))


def sample() -> bytes:
    files = MemoryFiles()
    journal = journal_on(files)
    journal.append(Event.PLANNED, reason="digest")
    journal.append(Event.PREPARED, "enable", data={"path": "ä", "n": 1.5})
    journal.append(Event.APPLYING, "enable")
    journal.append(Event.APPLIED, "enable", reason="1 line", data={"evidence": {"diff": "+x\n"}})
    return files.data


def test_reload_returns_the_entries_that_were_appended(tmp_path: Path, world: World) -> None:
    journal = Journal(tmp_path / "journal.jsonl", "mo-1", world)
    journal.append(Event.PLANNED, reason="digest")
    journal.append(Event.PREPARED, "enable", data={"before": "ä", "list": [1, None]})
    again = Journal(tmp_path / "journal.jsonl", "mo-1", world)
    assert again.entries == journal.entries
    assert again.state == journal.state


def test_journal_file_is_private_and_one_object_a_line(tmp_path: Path, world: World) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, "mo-1", world)
    journal.append(Event.PLANNED, reason="two\nlines")
    journal.append(Event.FINISHED)
    assert path.stat().st_mode & 0o777 == 0o600
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["seq"] for row in rows] == [0, 1]
    assert {row["v"] for row in rows} == {1}


@pytest.mark.parametrize(
    "text", ['"', ',"mono_ms":1', '\\",\\"mono_ms\\":', "\u2028\x00ä", ',"hash":""']
)
def test_line_is_canonical_whatever_is_in_it(text: str) -> None:
    files = MemoryFiles()
    data = {text: {"mono_ms": 1, "hash": text, "z": [text]}, "mono_ms": text}
    journal_on(files).append(Event.FAILED, text, reason=text, data=data)
    row = json.loads(files.data)
    assert files.data == canonical(row) + b"\n"
    assert row.pop("hash") == sha256(canonical(row)).hexdigest()


def test_each_line_names_the_hash_of_the_line_before() -> None:
    rows = [json.loads(line) for line in sample().splitlines()]
    assert [row["prev"] for row in rows] == [GENESIS, *(row["hash"] for row in rows[:-1])]


def test_empty_journal_has_no_state() -> None:
    assert journal_on(MemoryFiles()).state is None


def test_changing_any_byte_is_noticed() -> None:
    data = sample()
    for position in range(len(data) - 1):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        with pytest.raises(Damaged, match=r"journal\.jsonl:[1-4]: "):
            read_lines(changed, PATH)


@pytest.mark.parametrize("break_byte", [b"\r", b"\n", b"\r\n"])
def test_a_line_break_in_the_middle_is_no_torn_tail(break_byte: bytes) -> None:
    data = sample()
    for position in range(1, data.rindex(b"\n", 0, -1)):
        if data[position : position + 1] == break_byte:
            continue
        changed = data[:position] + break_byte + data[position + 1 :]
        with pytest.raises(Damaged, match="changed by something else"):
            read_lines(changed, PATH)


LINES = sample().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        pytest.param([LINES[0], *LINES[2:]], 2, id="a line removed"),
        pytest.param([LINES[0], LINES[2], LINES[1], LINES[3]], 2, id="two lines swapped"),
        pytest.param([LINES[0], LINES[0]], 2, id="a line doubled"),
        pytest.param(LINES[1:], 1, id="the first line removed"),
        pytest.param([*LINES, b"\n"], 5, id="an empty line"),
        pytest.param([b"[1]\n"], 1, id="an array"),
        pytest.param([b'"text"\n'], 1, id="a string"),
        pytest.param([b"17\n"], 1, id="a number"),
        pytest.param([b'{"hash":"x","v":1}\n'], 1, id="an object without a chain"),
        pytest.param([LINES[0].replace(b'"v":1', b'"v":2')], 1, id="a later version"),
        pytest.param([b"\xff\xfe\n"], 1, id="not text"),
    ],
)
def test_foreign_lines_are_refused_by_number(lines: list[bytes], number: int) -> None:
    with pytest.raises(Damaged, match=rf"journal\.jsonl:{number}: "):
        read_lines(b"".join(lines), PATH)


def test_a_torn_tail_of_any_length_is_cut_off_and_appended_after() -> None:
    data = sample()
    whole = data.rindex(b"\n", 0, -1) + 1
    for cut in range(whole, len(data)):
        files = MemoryFiles(data[:cut])
        journal = journal_on(files)
        assert [entry.event for entry in journal.entries] == [
            Event.PLANNED, Event.PREPARED, Event.APPLYING,
        ]  # fmt: skip
        assert files.data == data[:cut]  # reading changes nothing
        journal.append(Event.APPLIED, "enable")
        assert files.data[:whole] == data[:whole]
        assert journal_on(files).entries == journal.entries


def test_a_line_that_did_not_fit_is_cut_off_by_the_next_one() -> None:
    files = MemoryFiles()
    journal = journal_on(files)
    journal.append(Event.PLANNED)
    for room in (0, 1, 40):
        files.room = room
        with pytest.raises(OSError, match="No space left"):
            journal.append(Event.PREPARED, "enable")
        files.room = None
        journal.append(Event.FAILED, "enable", reason=f"room for {room}")
    assert journal_on(files).entries == journal.entries
    assert [entry.reason for entry in journal.entries[1:]] == [
        "room for 0", "room for 1", "room for 40",
    ]  # fmt: skip


def entry(event: Event, step: str = "", reason: str = "", **data: Any) -> Entry:
    return Entry(0, "2026-11-21T14:00:00.000+00:00", 0, "mo-1", step, event, reason, data)


APPROVAL: dict[str, Any] = {
    "gate": "soak", "by": "Kim", "at": "2026-11-21T14:00:00+00:00", "scope": "change 4711",
    "expires": "2026-11-22T14:00:00+00:00", "recorded_by": "ops@host",
}  # fmt: skip
DONE = {"evidence": {"n": 1}, "seconds": 0.5}
FOLDS: list[tuple[list[Entry], Status, Mapping[str, StepState]]] = [
    ([entry(Event.PLANNED, reason="d")], Status.OPEN, {}),
    (
        [entry(Event.PREPARED, "a", x=1)],
        Status.OPEN,
        {"a": StepState(Event.PREPARED, receipt={"x": 1})},
    ),
    (
        [entry(Event.PREPARED, "a", x=1), entry(Event.APPLYING, "a")],
        Status.OPEN,
        {"a": StepState(Event.APPLYING, receipt={"x": 1})},
    ),
    (
        [entry(Event.PREPARED, "a", x=1), entry(Event.APPLIED, "a", "did it", **DONE)],
        Status.OPEN,
        {"a": StepState(Event.APPLIED, {"x": 1}, {"n": 1}, "did it", 0.5)},
    ),
    (
        [entry(Event.JUDGED, "a", "said", **DONE)],
        Status.OPEN,
        {"a": StepState(Event.JUDGED, None, {"n": 1}, "said", 0.5)},
    ),
    (
        [entry(Event.JUDGED, "a", "said", **DONE), entry(Event.FAILED, "a", "bad")],
        Status.OPEN,
        {"a": StepState(Event.FAILED, None, {"n": 1}, "bad", 0.5)},
    ),
    (
        [entry(Event.JUDGED, "a", "said", **DONE), entry(Event.PREPARED, "a", y=2)],
        Status.OPEN,
        {"a": StepState(Event.PREPARED, receipt={"y": 2})},
    ),
    (
        [entry(Event.PREPARED, "a", x=1), entry(Event.UNDOING, "a")],
        Status.OPEN,
        {"a": StepState(Event.UNDOING, receipt={"x": 1})},
    ),
    (
        [entry(Event.PREPARED, "a", x=1), entry(Event.UNDONE, "a", "back")],
        Status.OPEN,
        {"a": StepState(Event.UNDONE, receipt={"x": 1}, reason="back")},
    ),
    ([entry(Event.ROLLING_BACK, reason="why")], Status.ROLLING_BACK, {}),
    ([entry(Event.ROLLING_BACK), entry(Event.ROLLED_BACK)], Status.ROLLED_BACK, {}),
    ([entry(Event.ROLLING_BACK), entry(Event.ROLLBACK_FAILED)], Status.ROLLBACK_FAILED, {}),
    ([entry(Event.ROLLBACK_FAILED), entry(Event.ROLLING_BACK)], Status.ROLLING_BACK, {}),
    ([entry(Event.FINISHED, reason="GO")], Status.DONE, {}),
    ([entry(Event.HELD), entry(Event.RELEASED)], Status.OPEN, {}),
    ([entry(Event.ROLLING_BACK), entry(Event.INTERRUPTED)], Status.ROLLING_BACK, {}),
    ([entry(Event.ROLLING_BACK), entry(Event.TAKEN_OVER)], Status.ROLLING_BACK, {}),
    ([entry(Event.FINISHED), entry(Event.ATTESTED, "team-notified", "ops")], Status.DONE, {}),
    ([entry(Event.FINISHED), entry(Event.TOLD, reason="1 of 1 told", hooks=[])], Status.DONE, {}),
    (
        [entry(Event.PREPARED, "a", x=1), entry(Event.TOLD, "a", hooks=[])],
        Status.OPEN,
        {"a": StepState(Event.PREPARED, receipt={"x": 1})},
    ),
    ([entry(Event.FINISHED), entry(Event.APPROVED, "soak", "Kim", **APPROVAL)], Status.DONE, {}),
]


@pytest.mark.parametrize(
    ("entries", "status", "steps"),
    [pytest.param(*row, id=", ".join(e.event for e in row[0])) for row in FOLDS],
)
def test_replay_folds_events(
    entries: list[Entry], status: Status, steps: Mapping[str, StepState]
) -> None:
    state = replay(entries)
    assert state is not None
    assert (state.status, state.steps) == (status, steps)


def test_every_event_is_folded_by_some_row() -> None:
    assert {e.event for entries, _, _ in FOLDS for e in entries} == set(Event)


def test_hold_is_remembered_until_it_is_released_or_the_run_ends() -> None:
    held = [entry(Event.PLANNED), entry(Event.HELD, reason="by ops")]
    for more, expected in (
        ([], "by ops"),
        ([entry(Event.INTERRUPTED)], "by ops"),
        ([entry(Event.RELEASED)], ""),
        ([entry(Event.ROLLED_BACK)], ""),
    ):
        state = replay([*held, *more])
        assert state is not None
        assert state.held == expected


def test_attestation_keeps_item_and_person() -> None:
    state = replay([entry(Event.PLANNED), entry(Event.ATTESTED, "team-notified", "ops")])
    assert state is not None
    assert (state.attested, state.steps) == ({"team-notified": "ops"}, {})


def test_approvals_are_kept_in_their_order_repeated_ones_included() -> None:
    again = {**APPROVAL, "expires": "2026-11-23T14:00:00+00:00"}
    rows = [entry(Event.APPROVED, "soak", **row) for row in (APPROVAL, again)]
    state = replay([entry(Event.PLANNED), *rows])
    assert state is not None
    assert [one.to_json() for one in state.approvals] == [APPROVAL, again]
    assert state.steps == {}


@given(
    st.lists(
        st.tuples(st.sampled_from(Event), st.sampled_from(["", "a", "b"]), st.text(max_size=5)),
        max_size=12,
    )
)
def test_any_prefix_of_lines_replays(rows: list[tuple[Event, str, str]]) -> None:
    files = MemoryFiles()
    journal = journal_on(files)
    states: list[RunState | None] = [None]
    for event, step, reason in rows:
        data = APPROVAL if event is Event.APPROVED else {}
        journal.append(event, step, reason=reason.encode(errors="replace").decode(), data=data)
        states.append(journal.state)
    lines = files.data.splitlines(keepends=True)
    for count, state in enumerate(states):
        entries, _, whole = read_lines(b"".join(lines[:count]), PATH)
        assert whole == sum(map(len, lines[:count]))
        assert replay(entries) == state


LINE = st.tuples(
    st.sampled_from(Event),
    st.sampled_from(["", "a", "b"]),
    st.dictionaries(st.sampled_from(["evidence", "seconds", "by"]), st.integers(), max_size=3),
    st.none() | st.integers(0, 40),  # bytes of the line that still fit on the disk
)


@given(st.lists(LINE, max_size=12))
def test_state_is_that_of_the_whole_fold_after_every_line(
    rows: list[tuple[Event, str, dict[str, int], int | None]],
) -> None:
    files = MemoryFiles()
    journal = journal_on(files)
    for event, step, data, files.room in rows:
        try:
            journal.append(event, step, data=APPROVAL if event is Event.APPROVED else data)
        except OSError:
            assert files.room is not None
        assert journal.state == replay(journal.entries) == journal_on(files).state


def test_state_is_not_folded_anew_for_everyone_who_asks() -> None:
    journal = journal_on(MemoryFiles(sample()))
    assert journal.state is not None
    assert journal.state is journal.state
