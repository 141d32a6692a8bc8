"""Several lines of the log that one call writes: there are some for each request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

Say = Callable[[Sequence[bytes]], None]
"""Writes lines of level INFO. Text from outside has to be made fit for one line before."""


def encoded(line: str) -> bytes:
    """Return a line as it is written; what UTF-8 cannot say is escaped."""
    return line.encode(errors="backslashreplace")


@runtime_checkable
class TakesLines(Protocol):
    """A handler that writes lines of level INFO without a record of `logging` around them."""

    def take(self, lines: Sequence[bytes]) -> None:
        """Write them, each with its time and its level."""


def writer(log: logging.Logger) -> Say:
    """Return what writes lines: the process's handler itself where it can, else `log.info`."""
    direct = [handler.take for handler in log.root.handlers if isinstance(handler, TakesLines)]
    return direct[0] if direct else lambda lines: log.info("%s", b"\n".join(lines).decode())
