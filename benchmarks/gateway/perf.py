"""Count instructions with `perf stat`, attached to running processes; parsing is pure."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.gateway.errors import NothingCounted
from benchmarks.gateway.programs import required, version

INSTRUCTIONS = "instructions:u"
_ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Perf:
    """Counts with the processor's own counters, at no cost to what is counted."""

    name: str
    program: str
    event: str = INSTRUCTIONS

    @classmethod
    def open(cls) -> Perf:
        """Return the counter. Raises Missing, and NothingCounted where perf cannot count."""
        program = required("perf")
        command = (program, "stat", "-x,", "-e", INSTRUCTIONS, sys.executable, "-c", "")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        parse_counts(done.stderr)
        return cls(f"{version('perf', '--version')}, {INSTRUCTIONS}", program)

    def command(self, command: Sequence[str]) -> tuple[str, ...]:
        """Return the command as it is: perf attaches later."""
        return tuple(command)

    def count(self, pids: Iterable[int], load: Callable[[], None]) -> int:
        """Return how many events the processes had while `load` ran. Raises NothingCounted."""
        with _session(self.program, self.event, pids) as session:
            session.ask(b"enable\n")
            load()
            session.ask(b"disable\n")
            return parse_counts(session.end())


def parse_counts(text: str) -> int:
    """Return the sum of what `perf stat -x,` counted, a line each.

    A processor with two kinds of cores has a line for each. Raises NothingCounted when no line has
    a count above 0.
    """
    counts = [line.partition(",")[0].partition(".")[0] for line in text.splitlines()]
    total = sum(int(count) for count in counts if count.isdigit())
    if not total:
        raise NothingCounted(f"perf counted nothing: {text.strip() or 'it said nothing'}")
    return total


class _Session:
    """A perf process that counts only between `enable` and `disable`."""

    def __init__(self, process: subprocess.Popen[str], orders: int, answers: int) -> None:
        self._process, self._orders, self._answers = process, orders, answers

    def ask(self, order: bytes) -> None:
        """Give an order and wait until it is carried out."""
        answer = b""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._orders, order)
            if select.select((self._answers,), (), (), _ANSWER_S)[0]:
                answer = os.read(self._answers, 16)
        if not answer.startswith(b"ack"):
            raise NothingCounted(f"perf ended before it counted: {self.end().strip()}")

    def end(self) -> str:
        """End it; return what it said."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self._process.communicate(timeout=_ANSWER_S)[1]


@contextlib.contextmanager
def _session(program: str, event: str, pids: Iterable[int]) -> Iterator[_Session]:
    orders_read, orders = os.pipe()
    answers, answers_write = os.pipe()
    control = f"--control=fd:{orders_read},{answers_write}"
    who = ",".join(map(str, pids))
    command = (program, "stat", "-x,", "-e", event, "--delay=-1", control, "-p", who)
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(orders_read, answers_write),
        )
        os.close(orders_read)
        os.close(answers_write)  # so that its end is seen as the end of its answers
        with process:
            try:
                yield _Session(process, orders, answers)
            finally:
                if process.poll() is None:
                    process.kill()
    finally:
        os.close(orders)
        os.close(answers)
