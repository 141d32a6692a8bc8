"""The record of a rehearsal: what was seen in it, on disk and back, and what is refused."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cco_migrate.errors import InvalidInput
from cco_migrate.recovery import text
from cco_migrate.recovery.record import (
    Lost,
    Origin,
    Record,
    Streams,
    path_in,
    read_record,
    summed,
    write_record,
)
from cco_migrate.recovery.ways import ROUNDS, Taken, Way
from cco_migrate.verdict import Verdict
from cco_migrate.world import Files

ORIGIN = Origin(datetime(2026, 11, 2, 9, 30, tzinfo=UTC), "0.1.0", "0" * 16, "1" * 16)
FLAG = Taken(
    Way.FLAG, 2.0, recovered_s=1.25, requests=40, files=5, streams=30, streams_broken=1
)  # fmt: skip
BACKUP = Taken(Way.BACKUP, 3.5, requests=50, files=5, streams=20)


def made(rounds: int = ROUNDS, *more: Taken, faults: tuple[str, ...] = ()) -> Record:
    return summed(ORIGIN, rounds, (*(FLAG, BACKUP) * rounds, *more), faults)


def test_record_sums_what_was_lost_and_broken_over_all_ways_back() -> None:
    record = made(2, Taken(Way.FLAG, 2.5, requests=10, requests_lost=3, files=5, files_different=1))
    assert record.lost == Lost(190, 3, 25, 1)
    assert record.streams == Streams(100, 2)


@pytest.mark.parametrize(
    "record",
    [made(), made(1), made(3, faults=("round 4, back by flag: a file is not as before",)),
     summed(ORIGIN, 0, (), ("round 1, back by flag: the gate said NO-GO",))],
)  # fmt: skip
def test_record_is_read_as_it_was_written(tmp_path: Path, record: Record) -> None:
    path = write_record(record, tmp_path / "migrate", Files())
    assert path == path_in(tmp_path / "migrate")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_record(path.parent, Files()) == record


def test_record_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_record(tmp_path, Files()) is None


@pytest.mark.parametrize(
    ("record", "verdict", "shortfalls"),
    [
        (made(), Verdict.GO, ()),
        (made(ROUNDS - 1), Verdict.INCONCLUSIVE, ()),
        (replace(made(), timings=()), Verdict.INCONCLUSIVE, ()),
        (replace(made(), timings=made(1).timings), Verdict.INCONCLUSIVE, ()),
        (made(ROUNDS, faults=("it burnt",)), Verdict.NO_GO, ("it burnt",)),
        (
            made(ROUNDS, Taken(Way.FLAG, 31.0)), Verdict.NO_GO,
            ("back by flag: 31.0 s (p95), 30 s are promised",),
        ),
    ],
)  # fmt: skip
def test_record_is_judged_by_faults_promises_and_rounds(
    record: Record, verdict: Verdict, shortfalls: tuple[str, ...]
) -> None:
    assert (record.verdict, record.shortfalls) == (verdict, shortfalls)
    assert text.conclusion(record).startswith(verdict.value)


def _newer(row: dict[str, Any]) -> None:
    row["schema_version"] = 2


def _no_such_day(row: dict[str, Any]) -> None:
    row["at"] = "2026-02-31T00:00:00+00:00"


def _no_zone(row: dict[str, Any]) -> None:
    row["at"] = "2026-02-01T00:00:00"


def _no_times(row: dict[str, Any]) -> None:
    row["ways"][0]["seconds"] = []


def _no_way(row: dict[str, Any]) -> None:
    row["ways"][0]["way"] = "prayer"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_newer, "schema_version"),
        (_no_such_day, "rehearsal.json"),
        (_no_zone, "at"),
        (_no_times, "seconds"),
        (_no_way, "way"),
    ],
)
def test_record_of_another_shape_is_refused(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], None], said: str
) -> None:
    row: dict[str, Any] = dict(made(1).to_json())
    spoil(row)
    path_in(tmp_path).write_text(json.dumps(row))
    with pytest.raises(InvalidInput, match=said):
        read_record(tmp_path, Files())


def test_half_a_record_is_refused(tmp_path: Path) -> None:
    path_in(tmp_path).write_bytes(b'{"schema_version": 1, "at":')
    with pytest.raises(InvalidInput, match=r"rehearsal\.json"):
        read_record(tmp_path, Files())


def test_verdicts_in_the_file_are_not_believed(tmp_path: Path) -> None:
    row: dict[str, Any] = dict(made(1).to_json())
    row["verdict"] = "GO"
    path_in(tmp_path).write_text(json.dumps(row))
    found = read_record(tmp_path, Files())
    assert found is not None
    assert found.verdict is Verdict.INCONCLUSIVE


def test_table_says_n_percentiles_promise_and_recovery_point() -> None:
    lines = text.table(made())
    assert lines[1].split() == ["flag", "10", "2.0", "s", "2.0", "s", "30.0", "s", "GO"]
    assert lines[2].split() == ["backup", "10", "3.5", "s", "3.5", "s", "600.0", "s", "GO"]
    assert "0 of 900 recorded requests lost, 0 of 100 files not as before" in lines[3]
    assert "500 whole, 10 broken" in lines[4]


def test_round_line_says_every_way_back_and_its_fault() -> None:
    assert text.round_line(3, 10, (FLAG, BACKUP)) == (
        "   3 of 10  back by flag 2.0 s, back by backup 3.5 s; 1 of 51 streams broken"
    )
    failed = Taken(Way.BACKUP, faults=("it is damaged",))
    assert "back by backup FAULT: it is damaged" in text.round_line(1, 1, (FLAG, failed))
