"""What a command says: on the view that fits where we run, and in an event file."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TextIO

from cco_migrate.errors import InvalidInput
from cco_migrate.model import Step
from cco_migrate.views import LiveView, PlainView, Quiet, View

_COMMAND = re.compile(r"\binvoke (?=[a-z])")


def typed(text: str, program: str) -> str:
    """Return a text with the commands in it as they are typed here; they are written `invoke …`."""
    return text if program == "invoke" else _COMMAND.sub(f"{program} ", text)


class Output:
    """The view that fits where we run, plus an event file when one was asked for.

    Use it as a context manager.

    Args:
        quiet: Say nothing but the result.
        events: File that gets one JSON object a line: UTC time, monotonic ms, step, state.
        program: What the person types: "invoke", or the console script's name.
    """

    def __init__(
        self, *, quiet: bool = False, events: Path | None = None, program: str = "invoke"
    ) -> None:
        self.program = program
        self.view = _view(program, quiet=quiet)
        self._events = _open(events) if events else None
        self.run = ""

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.view.close()
        if self._events is not None:
            self._events.close()

    def say(self, text: str = "") -> None:
        """One line for people."""
        self.view.say(typed(text, self.program))

    def step_begins(self, step: Step) -> None:
        """A step is about to run."""
        self.view.step_begins(step)
        self._event(step, "begins", "", 0)

    def waiting(self, what: str, timeout_s: float) -> None:
        """Something is awaited."""
        self.view.waiting(what, timeout_s)

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        """A step ended."""
        self.view.step_ends(step, verdict=verdict, summary=summary, seconds=seconds)
        self._event(step, verdict, summary, seconds)

    def ask(self, question: str) -> bool:
        """Ask yes or no on the terminal; anything but y or yes is no."""
        if isinstance(self.view, LiveView):
            with self.view.quiet():
                return _ask(question)
        return _ask(question)

    def read(self, question: str) -> str:
        """Ask for a line on the terminal and return it, without the blanks around it."""
        if isinstance(self.view, LiveView):
            with self.view.quiet():
                return _read(question)
        return _read(question)

    def _event(self, step: Step, state: str, reason: str, seconds: float) -> None:
        if self._events is None:
            return
        row = {
            "ts": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "mono_ms": int(time.monotonic() * 1000),
            "run": self.run, "step": step.id, "number": step.number,
            "state": state, "reason": reason, "seconds": seconds,
        }  # fmt: skip
        self._events.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._events.flush()


def _view(program: str, *, quiet: bool) -> View:
    if quiet:
        return Quiet()
    if sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb":
        return LiveView()
    return PlainView(unblock=typed("invoke status", program))


def _open(path: Path) -> TextIO:
    try:
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"--events {path}: {error.strerror}") from error


def _ask(question: str) -> bool:
    return _read(f"{question} [y/N]").lower() in {"y", "yes"}


def _read(question: str) -> str:
    print(f"{question} ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
