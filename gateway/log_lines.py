"""Several lines of the log that one call writes: there are some for each request. Pure."""

from __future__ import annotations


class Lines(tuple[str, ...]):
    """The message of a log record that becomes several lines, each with its time and its level.

    What it holds is never split: text from outside has to be made fit for one line before.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(self)
