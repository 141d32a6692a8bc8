"""Count instructions with valgrind's callgrind, which runs the program itself; parsing is pure.

Slow, some fifty times, and exact: the same work costs the same to about half a percent. Counting is
off until it is wanted, so a program starts and warms up at a tolerable pace.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway.errors import BenchError, NothingCounted
from benchmarks.gateway.programs import required, version

_ANSWER_S = 60.0
# Valgrind counts each byte that `rep movsb` copies as an instruction, a processor the whole copy as
# one. So the C library is told to copy with vector instructions, however long the piece.
_VECTOR_COPIES = "GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=1073741824"
# Not "totals": after a switch of the instrumentation they hold costs from before it.
_SUMMARY = re.compile(r"^summary: (\d+)$", re.MULTILINE)
_EVENTS = re.compile(r"^events: Ir$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Callgrind:
    """Counts by executing every instruction itself.

    Attributes:
        scratch: Where dumps and the control channels are.
    """

    name: str
    program: str
    control: str
    scratch: Path

    @classmethod
    def open(cls, scratch: Path) -> Callgrind:
        """Return the counter. Raises Missing."""
        name = f"callgrind of {version('valgrind', '--version')}"
        return cls(name, required("valgrind"), required("vgdb"), scratch)

    def command(self, command: Sequence[str]) -> tuple[str, ...]:
        """Return the command under valgrind, its children too."""
        return (
            "env",
            _VECTOR_COPIES,
            self.program,
            "--quiet",
            "--tool=callgrind",
            "--trace-children=yes",
            "--instr-atstart=no",
            "--fair-sched=try",  # threads take turns as they would without valgrind
            f"--callgrind-out-file={self.scratch}/callgrind.%p",
            f"--vgdb-prefix={self.scratch}/vgdb",
            *command,
        )

    def count(self, pids: Iterable[int], load: Callable[[], None]) -> int:
        """Return the instructions of the processes while `load` ran. Raises NothingCounted."""
        everyone = tuple(pids)
        for pid in everyone:
            self._order(pid, "instrumentation", "on")
            self._dump(pid)
        load()
        total = sum(parse_dump(self._dump(pid)) for pid in everyone)
        for pid in everyone:
            self._order(pid, "instrumentation", "off")
        return total

    def _dump(self, pid: int) -> str:
        """Have a process write what it counted since its last dump, and begin at 0 again."""
        self._order(pid, "dump")
        written = list(self.scratch.glob(f"callgrind.{pid}.*"))
        if len(written) != 1:
            raise NothingCounted(f"callgrind wrote {len(written)} dumps of process {pid}, not one")
        text = written[0].read_text(errors="replace")
        written[0].unlink()
        return text

    def _order(self, pid: int, *words: str) -> None:
        prefix = f"--vgdb-prefix={self.scratch}/vgdb"
        command = (self.control, prefix, f"--pid={pid}", "-c", *words)
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_ANSWER_S
        )
        if done.returncode != 0:
            raise BenchError(
                f"valgrind did not take {' '.join(words)!r} for process {pid}: "
                f"{done.stderr.strip()}"
            )


def parse_dump(text: str) -> int:
    """Return the instructions in a dump. Raises NothingCounted when it does not tell them."""
    counted = _SUMMARY.search(text)
    if counted is None or _EVENTS.search(text) is None:
        raise NothingCounted(f"callgrind's dump tells no instructions: {text[:500]}")
    return int(counted[1])
