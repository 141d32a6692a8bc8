"""`communication.toml`: read into settings, or refused with place and fix."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from cco_migrate import resources
from cco_migrate.communication.freeze import FreezeWindow
from cco_migrate.communication.settings import (
    FILENAME,
    Meeting,
    NoticeKind,
    Settings,
    Stakeholder,
    Weekday,
    frozen_today,
    load,
)
from cco_migrate.errors import InvalidInput
from cco_migrate.world import Clock, World


class ClockAt(Clock):
    """A clock that stands."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def written(folder: Path, text: str) -> Path:
    (folder / FILENAME).write_text(text)
    return folder


def test_file_is_read_into_settings(tmp_path: Path, world: World) -> None:
    text = """
service = "Edge"
contact = "#help"
change_at = "2026-12-14T09:00:00+01:00"
expected_interruption = "5m"
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


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n"])
def test_absent_or_empty_file_names_nobody_and_freezes_no_day(
    tmp_path: Path, world: World, text: str | None
) -> None:
    assert load(tmp_path if text is None else written(tmp_path, text), world) == Settings()


def test_example_is_valid_and_shows_every_key(tmp_path: Path, world: World) -> None:
    text = (resources.template_dir() / FILENAME).read_text()
    settings = load(written(tmp_path, text), world)
    assert str(settings.zone) == "Europe/Berlin"
    schema = resources.schema("communication")
    assert isinstance(schema["properties"], dict)
    assert [name for name in schema["properties"] if name not in text] == []
    for kind in NoticeKind:
        assert settings.readers(kind), kind
    for meeting in Meeting:
        assert settings.attending(meeting), meeting


PERSON = '[[stakeholders]]\nname = "QA"\n'


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("service = \n", 1, "communication.toml"),
        ('sevice = "x"\n', 1, 'write "service"'),
        ('\nservice = ""\n', 2, "must not be empty"),
        ('contact = "a\\nb"\n', 1, "contact: is not allowed"),
        ('time_zone = "Mars/Olympus"\n', 1, "no time zone this machine knows"),
        ('time_zone = "../../etc/passwd"\n', 1, "no time zone this machine knows"),
        ('change_at = "tomorrow"\n', 1, "with its offset"),
        ('change_at = "2026-12-14T09:00:00"\n', 1, "with its offset"),
        ('change_at = "2026-02-30T09:00:00Z"\n', 1, "change_at: day is out of range"),
        ("change_at = 2026-12-14T09:00:00Z\n", 1, "must be a text in quotes"),
        ('expected_interruption = "soon"\n', 1, "write a number with d, h, m or s"),
        ('freeze = ["2026-12-20", "2027-01-03"]\n', 1, "must be a list"),
        ('freeze = [["2026-12-20"]]\n', 1, "must have 2"),
        ('freeze = [["20.12.2026", "2027-01-03"]]\n', 1, "YYYY-MM-DD"),
        ('freeze = [\n["2026-12-20", "2026-12-32"]]\n', 2, "2026-12-32 is no day"),
        ('freeze = [\n\n["2027-01-03", "2026-12-20"]]\n', 3, "before it begins"),
        ('days_off = ["Sunday"]\n', 1, 'write "sunday"'),
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
    assert (finding.path, finding.line) == (tmp_path / FILENAME, line)
    assert said in " ".join(str(one) for one in refused.value.findings)


def test_unreadable_file_is_refused(tmp_path: Path, world: World) -> None:
    (tmp_path / FILENAME).mkdir()
    with pytest.raises(InvalidInput, match=r"communication\.toml: Is a directory"):
        load(tmp_path, world)


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
    text = f'freeze = [["2026-12-20", "2027-01-03"]]\ntime_zone = "{zone}"\n'
    standing = replace(world, clock=ClockAt(datetime.fromisoformat(at)))
    line = frozen_today(written(tmp_path, text), standing)
    assert (line is not None) is frozen


def test_no_file_freezes_nothing(tmp_path: Path, world: World) -> None:
    assert frozen_today(tmp_path, world) is None
