"""Findings, measurements and verdicts: what a check can say. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Severity(StrEnum):
    """How much a finding weighs: an error stops the run, a warning is shown, a note is kept."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a configuration file.

    Attributes:
        rule: Stable id, e.g. "override-dotted-id".
        path: The file.
        line: 1-based line; None when the fault is the file itself.
        key: Dotted key path with indices, e.g. "overrides.rules[0][0]"; empty for a syntax error.
        found: What stands there, shortened; empty when nothing does.
        message: What is wrong.
        fix: What to write; empty when there is no single answer.
    """

    rule: str
    severity: Severity
    path: Path
    message: str
    line: int | None = None
    key: str = ""
    found: str = ""
    fix: str = ""

    def __str__(self) -> str:
        """Return `file:line: key: message; fix`."""
        where = f"{self.path}:{self.line}" if self.line is not None else str(self.path)
        parts = [where, self.key, self.message] if self.key else [where, self.message]
        return ": ".join(parts) + (f"; {self.fix}" if self.fix else "")


class Verdict(StrEnum):
    """What a check concludes. No evidence is never GO."""

    GO = "GO"
    NO_GO = "NO-GO"
    HOLD = "HOLD"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its numbers.

    Attributes:
        check: Stable id of the check.
        summary: One sentence with the figures that carried it.
        facts: The figures by name, JSON values only; empty when there are none.
    """

    check: str
    verdict: Verdict
    summary: str
    facts: dict[str, object] = field(default_factory=dict)
