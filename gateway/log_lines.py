"""Several lines of the log that one call writes: there are some for each request."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, runtime_checkable


class Lines(tuple[str, ...]):
    """The message of a log record that becomes several lines, each with its time and its level.

    What it holds is never split: text from outside has to be made fit for one line before.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(self)


@runtime_checkable
class TakesLines(Protocol):
    """A handler that writes lines of level INFO without a record of `logging` around them."""

    def take(self, lines: Lines) -> None:
        """Write them."""


def writer(log: logging.Logger) -> Callable[[Lines], None]:
    """Return what writes lines as `log.info` does: the process's handler itself where it can."""
    direct = [handler.take for handler in log.root.handlers if isinstance(handler, TakesLines)]
    return direct[0] if direct else log.info
