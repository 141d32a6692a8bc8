"""The fleet file: read into settings, or refused with place and fix."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cco_migrate import resources
from cco_migrate.communication.freeze import FreezeWindow
from cco_migrate.communication.settings import (
    Meeting,
    NoticeKind,
    Settings,
    Stakeholder,
    Weekday,
    frozen_today,
    load,
)
from cco_migrate.errors import InvalidInput
from cco_migrate.settings_file import FLEET
from cco_migrate.world import Clock, World


class ClockAt(Clock):
    """A clock that stands."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def written(folder: Path, text: str) -> Path:
    (folder / FLEET).write_text(text)
    return folder


def test_file_is_read_into_settings(tmp_path: Path, world: World) -> None:
    text = """
[communication]
service = "Edge"
contact = "#help"
change_at = "2026-12-14T09:00:00+01:00"
expected_interruption = "5m"

[calendar]
time_zone = "UTC"
freeze = [["2026-12-20", "2027-01-03"], ["2026-11-27", "2026-11-27"]]
days_off = ["friday"]

[[stakeholders]]
name = "DevOps"
address = "devops@example.org"
notices = ["before", "week-1"]
meetings = ["briefing"]
"""
    assert load(written(tmp_path, text), world) == Settings(
        service="Edge",
        contact="#help",
        zone=ZoneInfo("UTC"),
        change_at=datetime(2026, 12, 14, 8, tzinfo=UTC),
        interruption_s=300,
        freeze=(
            FreezeWindow(date(2026, 12, 20), date(2027, 1, 3)),
            FreezeWindow(date(2026, 11, 27), date(2026, 11, 27)),
        ),
        days_off=frozenset({Weekday.FRIDAY}),
        stakeholders=(
            Stakeholder(
                "DevOps", "devops@example.org",
                frozenset({NoticeKind.BEFORE, NoticeKind.WEEK_1}), frozenset({Meeting.BRIEFING}),
            ),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n", "[communication]\n[calendar]\n"])
def test_absent_or_empty_file_names_nobody_and_freezes_no_day(
    tmp_path: Path, world: World, text: str | None
) -> None:
    assert load(tmp_path if text is None else written(tmp_path, text), world) == Settings()


def keys_by_table() -> dict[str, Mapping[str, Any]]:
    """Return what the schema allows."""
    tables: Any = resources.schema("fleet")["properties"]
    return {name: one.get("items", one)["properties"] for name, one in tables.items()}


def test_example_is_valid_and_shows_every_key(tmp_path: Path, world: World) -> None:
    text = (resources.template_dir() / FLEET).read_text()
    settings = load(written(tmp_path, text), world)
    assert str(settings.zone) == "Europe/Berlin"
    shown = defaultdict[str, set[str]](set)
    for table, rows in tomllib.loads(text).items():
        for row in rows if isinstance(rows, list) else [rows]:
            shown[table].update(row)
    assert shown == {table: set(keys) for table, keys in keys_by_table().items()}
    for kind in NoticeKind:
        assert settings.readers(kind), kind
    for meeting in Meeting:
        assert settings.attending(meeting), meeting


TOLD = "[communication]\n"
DAYS = "[calendar]\n"
PERSON = '[[stakeholders]]\nname = "QA"\n'


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[calendar]\nfreeze = \n", 2, "fleet.toml"),
        ('service = "x"\n', 1, "known keys: communication, calendar, stakeholders"),
        ('communication = "x"\n', 1, "write [communication] above service"),
        ('[[calendar]]\ntime_zone = "UTC"\n', 1, "write [calendar] above freeze"),
        ('[stakeholders]\nname = "QA"\n', 1, "write [[stakeholders]] above name"),
        (f'{TOLD}sevice = "x"\n', 2, 'write "service"'),
        (f'{TOLD}\nservice = ""\n', 3, "must not be empty"),
        (f'{TOLD}contact = "a\\nb"\n', 2, "communication.contact: is not allowed"),
        (f'{TOLD}change_at = "tomorrow"\n', 2, "with its offset"),
        (f'{TOLD}change_at = "2026-12-14T09:00:00"\n', 2, "with its offset"),
        (f'{TOLD}change_at = "2026-02-30T09:00:00Z"\n', 2, "change_at: day "),
        (f"{TOLD}change_at = 2026-12-14T09:00:00Z\n", 2, "must be a text in quotes"),
        (f'{TOLD}expected_interruption = "soon"\n', 2, "write a number with d, h, m or s"),
        (f'{DAYS}time_zone = "Mars/Olympus"\n', 2, "no time zone this machine knows"),
        (f'{DAYS}time_zone = "../../etc/passwd"\n', 2, "no time zone this machine knows"),
        (f'{DAYS}freeze = ["2026-12-20", "2027-01-03"]\n', 2, "must be a list"),
        (f'{DAYS}freeze = [["2026-12-20"]]\n', 2, "must have 2"),
        (f'{DAYS}freeze = [["20.12.2026", "2027-01-03"]]\n', 2, "YYYY-MM-DD"),
        (f'{DAYS}freeze = [\n["2026-12-20", "2026-12-32"]]\n', 3, "2026-12-32 is no day"),
        (f'{DAYS}freeze = [\n\n["2027-01-03", "2026-12-20"]]\n', 4, "before it begins"),
        (f'{DAYS}days_off = ["Sunday"]\n', 2, 'write "sunday"'),
        ('[[stakeholders]]\naddress = "a@b"\n', 1, "name: is missing"),
        (f'{PERSON}address = "nobody"\n', 3, "one mail address"),
        (f'{PERSON}address = "a@b\\n"\n', 3, "is not allowed"),
        (f'{PERSON}notices = ["after", "befor"]\n', 3, 'write "before"'),
        (f'{PERSON}meetings = ["standup"]\n', 3, "must be one of"),
        (f'{PERSON}phone = "1"\n', 3, "known keys: name, address, notices, meetings"),
    ],
)
def test_wrong_file_is_refused_with_line_key_and_fix(
    tmp_path: Path, world: World, text: str, line: int, said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        load(written(tmp_path, text), world)
    finding = refused.value.findings[0]
    assert (finding.path, finding.line) == (tmp_path / FLEET, line)
    assert said in " ".join(str(one) for one in refused.value.findings)


def test_unreadable_file_is_refused(tmp_path: Path, world: World) -> None:
    (tmp_path / FLEET).mkdir()
    with pytest.raises(InvalidInput, match=r"fleet\.toml: Is a directory"):
        load(tmp_path, world)


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("place", [Path.touch, Path.mkdir])
def test_file_under_its_former_name_is_refused_and_told_where_each_key_goes(
    tmp_path: Path, world: World, place: Callable[[Path], None], beside: bool
) -> None:
    if beside:
        written(tmp_path, "[calendar]\nfreeze = []\n")
    place(tmp_path / "communication.toml")
    with pytest.raises(InvalidInput) as refused:
        frozen_today(tmp_path, world)
    said = str(refused.value)
    assert refused.value.code == 8
    assert f"communication.toml: is not read any more, the file is {FLEET} now" in said
    tables = keys_by_table()
    for table in ("communication", "calendar"):
        keys, said = said.split(f" below [{table}]", 1)
        assert [key for key in tables[table] if key not in keys] == []
    assert "[[stakeholders]]" in said


@pytest.mark.parametrize(
    ("at", "zone", "frozen"),
    [
        ("2026-12-19T23:30:00+00:00", "UTC", False),
        ("2026-12-19T23:30:00+00:00", "Europe/Berlin", True),  # it is the 20th there
        ("2027-01-03T23:30:00+00:00", "UTC", True),
        ("2027-01-03T23:30:00+00:00", "Europe/Berlin", False),
    ],
)
def test_today_is_frozen_by_the_clock_of_the_zone(
    tmp_path: Path, world: World, at: str, zone: str, frozen: bool
) -> None:
    text = f'[calendar]\nfreeze = [["2026-12-20", "2027-01-03"]]\ntime_zone = "{zone}"\n'
    standing = replace(world, clock=ClockAt(datetime.fromisoformat(at)))
    line = frozen_today(written(tmp_path, text), standing)
    assert (line is not None) is frozen


def test_no_file_freezes_nothing(tmp_path: Path, world: World) -> None:
    assert frozen_today(tmp_path, world) is None
