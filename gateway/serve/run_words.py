"""The options that `run` was started with: as a command line asks, or as a process was told."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

_OPTIONS = ("config_dir", "host", "port", "workers")


def given(arguments: Namespace) -> tuple[str, ...]:
    """Return the options that were given; no path depends on the working folder."""
    words: list[str] = []
    for name in _OPTIONS:
        value = getattr(arguments, name)
        if value is not None:
            text = value.absolute() if isinstance(value, Path) else value
            words += [f"--{name.replace('_', '-')}", str(text)]
    return tuple(words)


def option(words: Sequence[str], name: str) -> str | None:
    """Return the value of an option, the last one when it is given twice; None without it."""
    found = [value for word, value in pairwise(words) if word == name]
    return found[-1] if found else None


def of_process(pid: int) -> tuple[str, ...]:
    """Return what follows `run` on its command line; empty when that cannot be read."""
    import psutil  # noqa: PLC0415 - slow to load, and only a restart asks

    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        return ()
    return tuple(words[words.index("run") + 1 :]) if "run" in words else ()
