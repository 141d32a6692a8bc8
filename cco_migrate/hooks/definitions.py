"""Who is told what a run does: `migrate.toml` as hooks, journal lines as events. Reads files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from cco_migrate.errors import InvalidInput
from cco_migrate.model import JsonObject, Plan
from cco_migrate.runs.journal import Entry, Event
from cco_migrate.settings_file import MIGRATE, read_settings
from cco_migrate.world import World

TIMEOUT_S = 5.0
_SUMMARY_CHARS = 1000


class Point(StrEnum):
    """When a hook can ask to be told."""

    BEFORE_STEP = "before_step"
    AFTER_STEP = "after_step"
    GATE = "gate"
    ROLLBACK = "rollback"
    FINISHED = "finished"


class Kind(StrEnum):
    """How a hook is told; also the name of its table in the file."""

    COMMAND = "command"
    WEBHOOK = "webhook"
    APPRISE = "apprise"


POINTS: Mapping[Event, tuple[Point, ...]] = {
    Event.PREPARED: (Point.BEFORE_STEP,),  # of a check
    Event.APPLYING: (Point.BEFORE_STEP,),  # of a step that changes something
    Event.APPLIED: (Point.AFTER_STEP,),
    Event.JUDGED: (Point.GATE, Point.AFTER_STEP),
    Event.FAILED: (Point.AFTER_STEP,),
    Event.UNDONE: (Point.AFTER_STEP,),
    Event.HELD: (Point.GATE,),
    Event.RELEASED: (Point.GATE,),
    Event.ROLLING_BACK: (Point.ROLLBACK,),
    Event.FINISHED: (Point.FINISHED,),
    Event.ROLLED_BACK: (Point.ROLLBACK, Point.FINISHED),
    Event.ROLLBACK_FAILED: (Point.ROLLBACK, Point.FINISHED),
}
"""The points each line of a journal is; lines that are none are told to nobody."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One entry of the file.

    Attributes:
        run: The command; empty for the other kinds.
        url: The address or a reference to it; empty for a command.
        secret: Reference to the key that signs; empty for none.
        timeout_s: How long it may take.
    """

    kind: Kind
    on: frozenset[Point]
    run: tuple[str, ...] = ()
    url: str = field(default="", repr=False)
    secret: str = ""
    timeout_s: float = TIMEOUT_S

    @property
    def name(self) -> str:
        """What it is called where it is written down: nothing in it is a secret."""
        if self.kind is Kind.COMMAND:
            return f"command {Path(self.run[0]).name}"
        shown = self.url if is_reference(self.url) else urlsplit(self.url).hostname
        return f"{self.kind} {shown}"


def load(config_dir: Path, world: World) -> tuple[Hook, ...]:
    """Return the hooks that `migrate.toml` names; none when there is no such file.

    Raises:
        InvalidInput: The file cannot be read or is wrong; its findings name line, key and fix.
    """
    found = read_settings(config_dir / MIGRATE, "migrate", world)
    tables: JsonObject = found.document.get("hooks", {}) if found else {}
    return tuple(_hook(kind, row) for kind in Kind for row in tables.get(kind, ()))


def event_of(entry: Entry, plan: Plan, point: Point) -> dict[str, object]:
    """Return what a hook is told of a journal line; see hook-event.schema.json."""
    step = {"id": entry.step, "title": _title(plan, entry.step)} if entry.step else None
    evidence = entry.data.get("evidence") if entry.event is Event.JUDGED else None
    return {
        "schema_version": 1,
        "id": f"{entry.run}/{entry.seq}",
        "at": entry.ts,
        "point": point.value,
        "event": entry.event.value,
        "run": entry.run,
        "kind": plan.kind,
        "instance": plan.instance.name,
        "step": step,
        "verdict": (evidence or {}).get("verdict"),
        "summary": entry.reason[:_SUMMARY_CHARS],
    }


def is_reference(text: str) -> bool:
    """Return whether a text names a secret instead of being one."""
    return text.startswith(("env:", "file:"))


def secret_of(reference: str) -> str:
    """Return the secret a reference names; raises InvalidInput, which names the reference only."""
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = os.environ.get(name, "").strip()
    else:
        try:
            value = Path(name).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{reference} cannot be read") from error
    if not value:
        raise InvalidInput(f"{reference} is empty or not set")
    return value


def _hook(kind: Kind, row: JsonObject) -> Hook:
    return Hook(
        kind, frozenset(Point(point) for point in row["on"]), tuple(row.get("run", ())),
        row.get("url", ""), row.get("secret", ""), float(row.get("timeout_s", TIMEOUT_S)),
    )  # fmt: skip


def _title(plan: Plan, step_id: str) -> str:
    try:
        return plan.step(step_id).title
    except KeyError:  # the restore of a backup is no step of the plan
        return ""
