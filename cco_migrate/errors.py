"""Every error the toolkit raises on purpose, and the exit code each one ends in. Pure.

ToolkitError                 1   unexpected, but explained
├── InvalidInput             8   configuration, plan or options are wrong; nothing was changed
│   └── EditRefused          8   an edit could not be proved to change only what it addresses
├── Damaged                  8   what the toolkit wrote itself was changed or lost; nothing was done
├── StalePlan                9   files or runtime moved since the plan was made
├── LockHeld                11   another run holds the lock
├── NeedsAnswer             12   a question was to be asked and --no-input forbids it
├── RolledBack               6   a migration failed and the old state is back
├── Aborted                  6   an operator asked to abort before anything had been changed
├── CheckFailed              3   a check said NO-GO
├── RunStaysOpen                 no step failed: nothing is rolled back, a rerun goes on
│   ├── Undecided            4   a check had not enough evidence
│   ├── DecisionNeeded       5   a check said HOLD: a person has to decide
│   ├── Frozen               3   a check said NO-GO and the plan says to leave things as they are
│   ├── Held                12   an operator asked to hold and nobody released it in time
│   ├── LockLost            11   somebody took the lock over while we worked
│   └── NotJournaled         1   the journal cannot be written, so nothing more is done
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


class Damaged(ToolkitError):
    """A journal, plan or backup is not as the toolkit wrote it; nothing was changed.

    No InvalidInput: nobody typed it, and what catches wrong input must not pass over it.
    """

    code = 8


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


class RunStaysOpen(ToolkitError):
    """The run ended where it was; no step failed, so nothing is rolled back."""


class Undecided(RunStaysOpen):
    """A check had not enough evidence: the run stays open and can be resumed."""

    code = 4


class DecisionNeeded(RunStaysOpen):
    """A check said HOLD: a person decides whether the run goes on or back."""

    code = 5


class Frozen(RunStaysOpen):
    """A check said NO-GO, and the plan or a person says to change nothing."""

    code = 3


class Held(RunStaysOpen):
    """An operator asked to hold, and nobody released the run while it waited."""

    code = 12


class LockLost(RunStaysOpen):
    """Somebody took the lock over: this process may not write any more."""

    code = 11


class NotJournaled(RunStaysOpen):
    """The journal cannot be written (a full disk, lost permissions); nothing more is done."""

    code = 1


class RolledBack(ToolkitError):
    """A migration failed; the old state is back and proved."""

    code = 6


class Aborted(ToolkitError):
    """An operator asked to abort; the engine takes the way back when there is one to take."""

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
