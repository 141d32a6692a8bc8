"""Who is told what, and when nothing may be changed, as `fleet.toml` says it. Reads that file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cco_migrate.communication.freeze import FreezeWindow, forward_block
from cco_migrate.durations import parse_duration
from cco_migrate.editing.documents import line_of
from cco_migrate.editing.spans import KeyPath, dotted
from cco_migrate.errors import InvalidInput
from cco_migrate.model import JsonObject
from cco_migrate.settings_file import FLEET, SettingsFile, read_settings
from cco_migrate.validate import Source
from cco_migrate.verdict import Finding, Severity
from cco_migrate.world import World

_FORMER = "communication.toml"

_T = TypeVar("_T")


class NoticeKind(StrEnum):
    """Which notice."""

    BEFORE = "before"
    AFTER = "after"
    DAILY = "daily"
    WEEK_1 = "week-1"
    WEEK_4 = "week-4"


class Meeting(StrEnum):
    """What people meet for before a deployment."""

    BRIEFING = "briefing"
    TEST_PLAN_REVIEW = "test-plan-review"


class Weekday(IntEnum):
    """A day of the week, as `date.weekday` counts."""

    MONDAY = 0
    TUESDAY = 1
    WEDNESDAY = 2
    THURSDAY = 3
    FRIDAY = 4
    SATURDAY = 5
    SUNDAY = 6


@dataclass(frozen=True, slots=True)
class Stakeholder:
    """A person or a team.

    Attributes:
        address: Where their mail goes; empty when nobody said.
    """

    name: str
    address: str = ""
    notices: frozenset[NoticeKind] = frozenset()
    meetings: frozenset[Meeting] = frozenset()


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file says of it; the defaults are those of an absent one.

    Attributes:
        contact: Whom readers can ask; empty when nobody said.
        change_at: When the change is planned, aware; None when nobody said.
        interruption_s: How long clients may get no answer; None when nobody said.
    """

    service: str = "LLM gateway"
    contact: str = ""
    zone: tzinfo = UTC
    change_at: datetime | None = None
    interruption_s: float | None = None
    freeze: tuple[FreezeWindow, ...] = ()
    days_off: frozenset[Weekday] = frozenset({Weekday.SATURDAY, Weekday.SUNDAY})
    stakeholders: tuple[Stakeholder, ...] = ()

    def readers(self, kind: NoticeKind) -> tuple[Stakeholder, ...]:
        """Return who gets a notice, in the order of the file."""
        return tuple(one for one in self.stakeholders if kind in one.notices)

    def attending(self, meeting: Meeting) -> tuple[Stakeholder, ...]:
        """Return who takes part in a meeting, in the order of the file."""
        return tuple(one for one in self.stakeholders if meeting in one.meetings)


def load(config_dir: Path, world: World) -> Settings:
    """Return what `fleet.toml` says; the defaults when there is no such file.

    Raises:
        InvalidInput: The file cannot be read, is wrong (its findings name line, key and fix), or
            lies there under its former name.
    """
    found = read_settings(config_dir / FLEET, "fleet", world)
    _refuse_former(config_dir / _FORMER, world)
    return Settings() if found is None else _settings(found)


def frozen_today(config_dir: Path, world: World) -> str | None:
    """Return why no forward step may begin today, as a line of the preflight; None if it may.

    Raises:
        InvalidInput: As `load`.
    """
    settings = load(config_dir, world)
    return forward_block(world.clock.now().astimezone(settings.zone).date(), settings.freeze)


def _refuse_former(path: Path, world: World) -> None:
    """Raise InvalidInput when the fleet file lies there as it was once called.

    Who wrote freeze windows into it relies on them: they must not be ignored in silence.
    """
    try:
        if world.files.read_if_there(path) is None:
            return
    except OSError:
        pass  # whatever it is, somebody meant it to be read
    raise InvalidInput(
        f"{path}: is not read any more, the file is {FLEET} now; move what it says there: "
        "service, contact, change_at and expected_interruption below [communication], "
        "time_zone, freeze and days_off below [calendar], each [[stakeholders]] as it is"
    )


def _settings(found: SettingsFile) -> Settings:
    document, source, default = found.document, found.source, Settings()
    told, days = document.get("communication", {}), document.get("calendar", {})
    off, windows = days.get("days_off"), days.get("freeze", ())
    zone = _read(found, ("calendar", "time_zone"), _zone)
    return Settings(
        service=told.get("service", default.service),
        contact=told.get("contact", default.contact),
        zone=default.zone if zone is None else zone,
        change_at=_read(found, ("communication", "change_at"), datetime.fromisoformat),
        interruption_s=_read(found, ("communication", "expected_interruption"), _seconds),
        freeze=tuple(_window(number, pair, source) for number, pair in enumerate(windows)),
        days_off=default.days_off if off is None else frozenset(Weekday[d.upper()] for d in off),
        stakeholders=tuple(_stakeholder(one) for one in document.get("stakeholders", ())),
    )


def _read(found: SettingsFile, key: tuple[str, str], read: Callable[[str], _T]) -> _T | None:
    """Return what a text means; None when it is not there.

    Raises:
        InvalidInput: It means nothing, though it has the form.
    """
    table, name = key
    text = found.document.get(table, {}).get(name)
    if text is None:
        return None
    try:
        return read(text)
    except (ValueError, InvalidInput) as error:
        raise _refused(found.source, key, str(error)) from error


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(
            f'"{name}" is no time zone this machine knows; write an IANA name like "Europe/Berlin"'
        ) from error


def _seconds(text: str) -> float:
    return parse_duration(text, "the length of time")


def _window(number: int, pair: Sequence[str], source: Source) -> FreezeWindow:
    days = []
    for place, text in enumerate(pair):
        try:
            days.append(date.fromisoformat(text))
        except ValueError as error:
            raise _refused(
                source, ("calendar", "freeze", number, place), f"{text} is no day of the calendar"
            ) from error
    first, last = days
    if last < first:
        why = f"ends on {last}, before it begins on {first}; write the first day first"
        raise _refused(source, ("calendar", "freeze", number), why)
    return FreezeWindow(first, last)


def _stakeholder(row: JsonObject) -> Stakeholder:
    return Stakeholder(
        row["name"], row.get("address", ""),
        frozenset(map(NoticeKind, row.get("notices", ()))),
        frozenset(map(Meeting, row.get("meetings", ()))),
    )  # fmt: skip


def _refused(source: Source, key: KeyPath, why: str) -> InvalidInput:
    line = line_of(source.data, source.entries, key)
    finding = Finding("config-value", Severity.ERROR, source.path, why, line, dotted(key))
    return InvalidInput(str(finding), findings=(finding,))
