"""What is found to be wrong in the folder of a run, and where. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it was written.

    Attributes:
        file: Its path inside the run's folder.
        line: Where in it, counted from 1; None when only the whole file is known to differ.
        said: What is wrong.
    """

    file: str
    line: int | None
    said: str

    def __str__(self) -> str:
        """Return `file:line: what is wrong`."""
        return f"{self.file}{'' if self.line is None else f':{self.line}'}: {self.said}"
