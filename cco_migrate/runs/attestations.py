"""What people approve about a gate: who, for what, until when; an expired word is none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cco_migrate.durations import parse_duration
from cco_migrate.errors import InvalidInput
from cco_migrate.model import JsonObject
from cco_migrate.verdict import Judgement, Verdict


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's word about one gate of one run.

    Attributes:
        gate: Id of the step or criterion it is about.
        by: Whose word it is.
        at: When it was recorded, aware.
        scope: What it is for, in their words.
        expires: Until when it holds, aware.
        recorded_by: Who typed it, user@host.
    """

    gate: str
    by: str
    at: datetime
    scope: str
    expires: datetime
    recorded_by: str

    def holds(self, now: datetime) -> bool:
        """Return whether it was given and has not expired."""
        return self.at <= now < self.expires

    def to_json(self) -> Mapping[str, str]:
        """Return it as JSON values."""
        return {
            "gate": self.gate,
            "by": self.by,
            "at": self.at.isoformat(),
            "scope": self.scope,
            "expires": self.expires.isoformat(),
            "recorded_by": self.recorded_by,
        }

    @classmethod
    def from_json(cls, row: JsonObject) -> Approval:
        """Rebuild it; raises KeyError, TypeError or ValueError for a row of another shape."""
        at, expires = (datetime.fromisoformat(row[name]) for name in ("at", "expires"))
        return cls(row["gate"], row["by"], at, row["scope"], expires, row["recorded_by"])


def whole_word(gate: str, by: str, scope: str, expires: str) -> tuple[str, str, str]:
    """Return who, what for and until when, trimmed; raises InvalidInput when one is missing."""
    given = {"--by": by.strip(), "--scope": scope.strip(), "--expires": expires.strip()}
    if missing := [option for option, text in given.items() if not text]:
        raise InvalidInput(
            f"approve --gate {gate} needs {', '.join(missing)}: whose word it is, "
            "what for, and until when it holds"
        )
    return given["--by"], given["--scope"], given["--expires"]


def parse_expiry(text: str, now: datetime) -> datetime:
    """Return until when something holds, UTC.

    Args:
        text: A length of time from now, e.g. 24h, or an RFC 3339 time.

    Raises:
        InvalidInput: It is neither, or lies in the past.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return now + timedelta(seconds=parse_duration(text, "--expires"))
    if moment.tzinfo is None:
        raise InvalidInput(f"--expires {text}: name the time zone, e.g. {text}Z")
    if moment <= now:
        raise InvalidInput(f"--expires {text}: that is over; an expired approval is none")
    return moment.astimezone(UTC)


def decided(judgement: Judgement, approvals: Iterable[Approval], now: datetime) -> Judgement:
    """Return GO for a HOLD that a person has decided; every other verdict stays what it is.

    A person may decide what is proved to lie between the bounds. What lacks evidence they cannot
    know either, and what is proved to be bad they cannot make good.
    """
    given = [one for one in approvals if one.gate == judgement.check and one.holds(now)]
    if judgement.verdict is not Verdict.HOLD or not given:
        return judgement
    word = max(given, key=lambda one: one.at)
    said = f"{judgement.summary}; approved by {word.by} ({word.scope})"
    facts = {**judgement.facts, "approved": word.to_json()}
    return replace(judgement, verdict=Verdict.GO, summary=said, facts=facts)


def lines(approvals: Iterable[Approval], now: datetime) -> list[str]:
    """Return one sentence for each word that was given, oldest first."""
    return [
        f"{one.gate} approved by {one.by} for {one.scope}, "
        f"{'until' if one.holds(now) else 'EXPIRED'} {one.expires.isoformat(timespec='seconds')}"
        for one in approvals
    ]
