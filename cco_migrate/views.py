"""What a run says while it works: a live view on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from cco_migrate.model import Step

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

HEARTBEAT_S = 30.0
LAST_STEP = 12
_DOUBTS = {"NO-GO": "bold red", "HOLD": "yellow"}
_COLOURS = {"ok": "green", "GO": "green", "kept": "dim", "undone": "yellow"}


@dataclass(frozen=True, slots=True)
class _Awaited:
    """What is awaited, by the monotonic clock.

    Attributes:
        details: How far it is, a line each.
    """

    what: str
    details: tuple[str, ...]
    since: float
    until: float

    @classmethod
    def of(cls, text: str, timeout_s: float, before: _Awaited | None) -> _Awaited | None:
        """Return what a text says is awaited; told again, it is awaited since it was told first."""
        if not text:
            return None
        now, (what, *details) = time.monotonic(), text.split("\n")
        since = before.since if before is not None and before.what == what else now
        return cls(what, tuple(details), since, now + timeout_s)


class View(Protocol):
    """Everything a command says while it works."""

    def say(self, text: str = "") -> None:
        """One line for people."""

    def step_begins(self, step: Step) -> None:
        """A step is about to run."""

    def waiting(self, what: str, timeout_s: float) -> None:
        """Something is awaited, for so long at most; further lines say how far it is."""

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        """A step ended."""

    def close(self) -> None:
        """Say nothing more."""


def line_of(step: Step, verdict: str, summary: str, seconds: float) -> str:
    """Return the line that reports one finished step."""
    place = f"{step.number}/{LAST_STEP}" if step.number else "back"
    mark = {"kept": "done before", "undone": "undone"}.get(verdict, "")
    if verdict not in {"ok", "GO", *_COLOURS}:
        mark = verdict
    text = f"{mark}: {summary}" if mark else summary
    return f"{place:>6} {step.title:<20} {seconds:5.1f} s  {text}"


class PlainView:
    """Plain lines on standard error; while something is awaited, a heartbeat every 30 s."""

    def __init__(
        self,
        out: TextIO | None = None,
        *,
        unblock: str = "invoke status",
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._out = out or sys.stderr
        self._unblock = unblock
        self._heartbeat_s = heartbeat_s
        self._lock = threading.Lock()
        self._awaited: _Awaited | None = None
        self._stop = threading.Event()
        self._beat = threading.Thread(target=self._heartbeat, daemon=True)
        self._beat.start()

    def say(self, text: str = "") -> None:
        """Print one line."""
        with self._lock:
            print(text, file=self._out, flush=True)

    def step_begins(self, step: Step) -> None:
        """Forget what the step before waited for."""
        self._awaited = None

    def waiting(self, what: str, timeout_s: float) -> None:
        """Remember what is awaited, for the heartbeat."""
        self._awaited = _Awaited.of(what, timeout_s, self._awaited)

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        """Print the step's line."""
        self._awaited = None
        self.say(line_of(step, verdict, summary, seconds))

    def close(self) -> None:
        """Stop the heartbeat."""
        self._stop.set()

    def _heartbeat(self) -> None:
        while not self._stop.wait(self._heartbeat_s):
            awaited = self._awaited
            if awaited is not None:
                waited, at_most = time.monotonic() - awaited.since, awaited.until - awaited.since
                self.say(
                    f"       … waiting for {awaited.what}: {waited:.0f} s so far, "
                    f"{at_most:.0f} s at most; see: {self._unblock}"
                )
                for line in awaited.details:
                    self.say(f"         {line}")


class LiveView:
    """Coloured lines, and below them a live one: the step, its time, what is awaited."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415  # only where there is a terminal
        from rich.live import Live  # noqa: PLC0415

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._step: Step | None = None
        self._begun = 0.0
        self._awaited: _Awaited | None = None
        self._live: Live = Live(
            console=self._console, get_renderable=self._render, refresh_per_second=8, transient=True
        )
        self._live.start()

    def say(self, text: str = "") -> None:
        """Print one line above the live one."""
        from rich.text import Text  # noqa: PLC0415

        first = text.strip().split(" ", 1)[0]
        style = {"FAIL": "bold red", "FIX": "yellow", "warn": "yellow", "GO": "bold green"}.get(
            first, ""
        )
        if text.lstrip().startswith("+ "):
            style = "green"
        elif text.lstrip().startswith("- "):
            style = "red"
        self._console.print(Text(text, style=style))

    def step_begins(self, step: Step) -> None:
        """Show the step in the live line."""
        self._step, self._begun, self._awaited = step, time.monotonic(), None

    def waiting(self, what: str, timeout_s: float) -> None:
        """Show what is awaited and how much time it has."""
        self._awaited = _Awaited.of(what, timeout_s, self._awaited)

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        """Print the step's line in its colour."""
        from rich.text import Text  # noqa: PLC0415

        self._step = self._awaited = None
        self._console.print(
            Text(line_of(step, verdict, summary, seconds), style=_COLOURS.get(verdict, "bold red"))
        )

    def close(self) -> None:
        """Take the live line away."""
        self._live.stop()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Take the live line away while a question is asked."""
        self._live.stop()
        yield
        self._live.start()

    def _render(self) -> Text:
        from rich.text import Text  # noqa: PLC0415

        text = Text()
        if self._step is not None:
            spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[int(time.monotonic() * 8) % 10]
            text.append(
                f"{spinner:>6} {self._step.title:<20} {time.monotonic() - self._begun:5.1f} s  ",
                "cyan",
            )
        if self._awaited is not None:
            left_s = max(0, self._awaited.until - time.monotonic())
            text.append(f"waiting for {self._awaited.what}; {left_s:.0f} s left", "dim")
            for line in self._awaited.details:
                verdict = line.split(" ", 1)[0]
                text.append(f"\n         {line}", _COLOURS.get(verdict, _DOUBTS.get(verdict, "")))
        return text


class Quiet:
    """Says nothing."""

    def say(self, text: str = "") -> None:
        """Nothing."""

    def step_begins(self, step: Step) -> None:
        """Nothing."""

    def waiting(self, what: str, timeout_s: float) -> None:
        """Nothing."""

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
