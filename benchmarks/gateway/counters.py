"""Count the user-mode instructions of processes while they work; drives perf or valgrind.

Instructions are what neither neighbours nor the hypervisor change. Both counters leave out what the
kernel does on behalf of a process, so figures of one compare with figures of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from benchmarks.gateway.callgrind import Callgrind
from benchmarks.gateway.errors import Missing, NothingCounted
from benchmarks.gateway.perf import Perf
from benchmarks.gateway.programs import found


class Choice(StrEnum):
    """Which counter is asked for."""

    AUTO = "auto"
    PERF = "perf"
    CALLGRIND = "callgrind"


class Counter(Protocol):
    """Something that counts instructions."""

    @property
    def name(self) -> str:
        """What counts, with its version."""

    def command(self, command: Sequence[str]) -> tuple[str, ...]:
        """Return how a program is started so that it and its children can be counted."""

    def count(self, pids: Iterable[int], load: Callable[[], None]) -> int:
        """Return how many instructions the processes executed while `load` ran.

        Raises NothingCounted when the counter could not count.
        """


def choose(choice: Choice, scratch: Path) -> Counter:
    """Return the counter to use: perf where the machine lets it count, else callgrind.

    Args:
        scratch: An existing folder for what a counter writes.

    Raises Missing when there is none, and NothingCounted when perf is asked for and cannot count.
    """
    if choice is not Choice.CALLGRIND and found("perf") is not None:
        try:
            return Perf.open()
        except NothingCounted:
            if choice is Choice.PERF:
                raise
    if choice is Choice.PERF:
        raise Missing("perf is not installed; on Debian: apt-get install linux-perf")
    if found("valgrind") is None:
        raise Missing(
            "no instruction counter works here: perf is missing or counts nothing, and valgrind "
            "is not installed; on Debian: apt-get install valgrind"
        )
    return Callgrind.open(scratch)


def instructions(counter: Counter, pids: Iterable[int], load: Callable[[], None]) -> int:
    """Return the instructions of `load`.

    Raises NothingCounted for none: they would pass every bar.
    """
    total = counter.count(pids, load)
    if total <= 0:
        raise NothingCounted(f"{counter.name} counted {total} instructions")
    return total
