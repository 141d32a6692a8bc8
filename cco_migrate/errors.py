"""Every error the toolkit raises on purpose, and the exit code each one ends in. Pure.

ToolkitError                 1   unexpected, but explained
├── InvalidInput             8   configuration, plan or options are wrong; nothing was changed
│   └── EditRefused          8   an edit could not be proved to change only what it addresses
├── StalePlan                9   files or runtime moved since the plan was made
├── LockHeld                11   another run holds the lock
├── NeedsAnswer             12   a question was to be asked and --no-input forbids it
├── RolledBack               6   a migration failed and the old state is back
├── CheckFailed              3   a check said NO-GO
├── Undecided                4   a check had not enough evidence; the run stays open
└── RollbackFailed           7   the old state could not be restored: page somebody

Interrupted                128+n a signal asked us to stop; no ToolkitError, for no step failed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from cco_migrate.verdict import Finding


class ToolkitError(Exception):
    """Base of all errors raised on purpose.

    Attributes:
        state: What state the system is in now, as a sentence.
        next_command: The next safe command, or None when there is nothing to type.
    """

    code: ClassVar[int] = 1

    def __init__(self, message: str, *, state: str = "", next_command: str | None = None) -> None:
        self.state, self.next_command = state, next_command
        super().__init__(message)


class InvalidInput(ToolkitError):
    """Configuration, plan or options are wrong; nothing was changed.

    Attributes:
        findings: Each fault with file, line, key and fix; empty when the message says it all.
    """

    code = 8

    def __init__(
        self,
        message: str,
        *,
        findings: tuple[Finding, ...] = (),
        state: str = "Nothing was changed.",
        next_command: str | None = None,
    ) -> None:
        self.findings = findings
        super().__init__(message, state=state, next_command=next_command)


class EditRefused(InvalidInput):
    """An edit could not be proved to change only what it addresses; the file is untouched."""


class StalePlan(ToolkitError):
    """Files or the running configuration moved since the plan was made."""

    code = 9


class LockHeld(ToolkitError):
    """Another run holds the lock; the message names its owner."""

    code = 11


class NeedsAnswer(ToolkitError):
    """A question was to be asked and nobody is there to answer it."""

    code = 12


class CheckFailed(ToolkitError):
    """A check said NO-GO: the run cannot go on forwards."""

    code = 3


class Undecided(ToolkitError):
    """A check had not enough evidence: the run stays open and can be resumed."""

    code = 4


class RolledBack(ToolkitError):
    """A migration failed; the old state is back and proved."""

    code = 6


class RollbackFailed(ToolkitError):
    """The old state could not be restored; a person is needed now."""

    code = 7


class Interrupted(KeyboardInterrupt):
    """A signal asked us to stop; the run can be resumed.

    Attributes:
        code: 128 + the signal's number, as a shell would say.
    """

    def __init__(self, signum: int) -> None:
        self.code = 128 + signum
        super().__init__(f"stopped by signal {signum}")
