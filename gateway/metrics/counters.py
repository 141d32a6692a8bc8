"""Counters that all workers of a gateway can read, each worker's in a file mapped into memory.

Why a mapped file and not a message to the supervisor: an increment is visible to whichever worker
answers the next question, so a figure never falls from one question to the next; a worker that is
killed leaves its counts behind; and nobody has to be asked. A worker writes only its own file. The
files of an earlier supervisor are removed: its counters begin anew, as after any restart.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from struct import Struct

log = logging.getLogger(__name__)

Series = tuple[str, ...]
"""A counter's name, then its label values."""

MAX_SERIES = 4096
"""More are not told apart: their counts go to a place nobody reads."""

_WORD = 8
_BYTES = MAX_SERIES * _WORD
_SEPARATOR = "\x1f"  # between the parts of a name; anything below a blank is replaced in them
_UNSEEN = 0  # the place nobody reads
_CONTROL = dict.fromkeys(range(32), "?")


class Counters:
    """Whole numbers by name, this worker's own; read together with those of the others.

    Attributes:
        values: The numbers by slot, to be added to in place.
    """

    def __init__(self, folder: Path, owner: str, boot_id: str) -> None:
        """Create this worker's file, and remove those of other owners.

        Without a disk to put it on, the counts are this worker's alone.

        Args:
            folder: Where the workers of one gateway keep their counts.
            owner: Names the supervisor; the files of one owner are added up.
            boot_id: Names this process.
        """
        self._folder, self._owner, self._boot_id = folder, owner, boot_id
        self._slots: dict[Series, int] = {}
        self._file: int | None = None
        try:
            self._map = self._create()
        except (OSError, ValueError) as error:
            log.warning("counters are not shared between workers: %s", error)
            self._map = mmap.mmap(-1, _BYTES)
        self.values = memoryview(self._map).cast("q")

    def slot(self, series: Series) -> int:
        """Return where a counter stands in `values`, creating it when absent; it never moves."""
        found = self._slots.get(series)
        return self._name(series) if found is None else found

    def row(self, names: Sequence[Series]) -> Row:
        """Return new counters that are written together; nothing else may write them."""
        slots = list(map(self.slot, names))
        first, length = slots[0], len(slots)
        named = slots == list(range(first, first + length))
        return Row(self._map if named else bytearray(_BYTES), first, length)

    def add(self, series: Series, amount: int = 1) -> None:
        """Add to a counter, creating it when absent; 0 makes it visible."""
        self.values[self.slot(series)] += amount

    def put(self, series: Series, value: int) -> None:
        """Set a gauge of this process."""
        self.values[self.slot(series)] = value

    def own(self) -> Mapping[Series, int]:
        """Return this process's values."""
        return {series: self.values[slot] for series, slot in self._slots.items() if slot}

    def by_process(self) -> Mapping[str, Mapping[Series, int]]:
        """Return the values of each process of this owner, by boot id."""
        return {self._boot_id: self.own(), **dict(self._others())}

    def close(self) -> None:
        """Release the memory; the file stays, its counts are still part of the sums."""
        self.values.release()
        self._map.close()
        if self._file is not None:
            os.close(self._file)

    def _create(self) -> mmap.mmap:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._folder.glob("*.counters"):
            if path.name.partition("-")[0] != self._owner:
                path.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        file = os.open(self._folder / f"{self._owner}-{self._boot_id}.counters", flags, 0o600)
        try:
            # Written, not only declared: a mapped hole on a full disk ends the process.
            os.write(file, bytes(_BYTES))
            found = mmap.mmap(file, _BYTES)  # ValueError when only a part could be written
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return found

    def _name(self, series: Series) -> int:
        """Give a series a place, and write its name where the others look for it."""
        slot = len(self._slots) + 1
        line = _SEPARATOR.join(part.translate(_CONTROL) for part in series) + "\n"
        if slot >= MAX_SERIES or not self._append(line.encode(errors="replace")):
            # Remembered too, but only so many: names come from outside.
            if len(self._slots) < 2 * MAX_SERIES:
                self._slots[series] = _UNSEEN
            return _UNSEEN
        self._slots[series] = slot
        return slot

    def _append(self, line: bytes) -> bool:
        if self._file is None:
            return True
        try:
            whole = os.write(self._file, line) == len(line)
        except OSError:
            whole = False
        if not whole:  # half a line must stay the last one
            os.close(self._file)
            self._file = None
            log.warning("new counters are not shared between workers: the disk is full")
        return whole

    def _others(self) -> Iterator[tuple[str, Mapping[Series, int]]]:
        for path in sorted(self._folder.glob(f"{self._owner}-*.counters")):
            boot_id = path.name.removeprefix(f"{self._owner}-").removesuffix(".counters")
            if boot_id != self._boot_id:
                with contextlib.suppress(OSError, ValueError):  # just removed, or just begun
                    yield boot_id, _read(path)


class Row:
    """Counters side by side: one copy of memory writes them all."""

    __slots__ = ("_memory", "_pack", "_place")

    def __init__(self, memory: mmap.mmap | bytearray, first: int, length: int) -> None:
        self._memory, self._place = memory, slice(first * _WORD, (first + length) * _WORD)
        self._pack = Struct(f"{length}q").pack

    def put(self, values: tuple[int, ...]) -> None:
        """Set each of them, in the order of their names."""
        # By whole words: another process may be reading one right now.
        self._memory[self._place] = self._pack(*values)


def _read(path: Path) -> Mapping[Series, int]:
    with path.open("rb") as file:
        file.seek(_BYTES)
        *lines, _ = file.read().decode(errors="replace").split("\n")
        names = [tuple(line.split(_SEPARATOR)) for line in lines]
        # Read by words: another process may be adding to one right now.
        with (
            mmap.mmap(file.fileno(), _BYTES, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as data,
            data.cast("q") as values,
        ):
            return {name: values[slot] for slot, name in enumerate(names, 1)}
