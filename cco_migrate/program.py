"""What Invoke's program says when a command is typed wrongly: what was meant, and where to look."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.program import Program

from cco_migrate.invocation import telling, usage

_UNKNOWN = re.compile(r"No idea what (['\"])(?P<word>.*)\1 is!")
_LISTS = ("flat", "nested", "json")


class HelpfulProgram(Program):
    """The program `invoke`, once it has loaded our tasks; before that it is Invoke's own.

    Its exit code for what it cannot parse stays Invoke's: 1.
    """

    def core_args(self) -> list[Argument]:
        """Return Invoke's own options, which tell what is wrong with a value."""
        return telling(super().core_args())

    def parse_tasks(self) -> None:
        """Parse the tasks; raises a refusal with what may have been meant."""
        with self._helped():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Do what needs no task, as --help; raises a refusal with what may have been meant."""
        with self._helped():
            super().parse_cleanup()

    def list_tasks(self) -> None:
        """List the tasks; raises Exit for a form there is not."""
        if self.list_format not in _LISTS:
            there = ", ".join(_LISTS)
            raise usage(f"--list-format {self.list_format}: unknown; there is: {there}")
        super().list_tasks()

    def refusal(self, text: str) -> ParseError | Exit:
        """Return the error that what was typed ends in."""
        return ParseError(f"{text}\n  nothing was done")

    @contextmanager
    def _helped(self) -> Iterator[None]:
        try:
            yield
        except ParseError as error:
            typed = self.name.lower()
            near = _meant(str(error), self._known(error))
            where = f"\n  see: {typed} --list, {typed} --help TASK"
            raise self.refusal(f"{error}{near}{where}") from error

    def _known(self, error: ParseError) -> tuple[str, ...]:
        """Return what could have stood where the error is: flags of the task too, and tasks."""
        flags = error.context.flag_names() if error.context else ()
        names = self.collection.task_names
        return (*flags, *names, *(alias for known in names.values() for alias in known))


class MigrateProgram(HelpfulProgram):
    """The console script: what cannot be parsed ends in exit 64."""

    def refusal(self, text: str) -> ParseError | Exit:
        """Return the error that what was typed ends in."""
        return usage(text)


def _meant(said: str, known: Iterable[str]) -> str:
    """Return what is nearest to the word Invoke does not know; "" when nothing is near."""
    import difflib  # only here: the list of tasks has to be quick

    found = _UNKNOWN.search(said)
    near = difflib.get_close_matches(found["word"], known, n=2, cutoff=0.7) if found else []
    return f" Did you mean {' or '.join(near)}?" if near else ""
