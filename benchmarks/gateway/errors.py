"""Every error the benchmark raises on purpose. Pure.

BenchError
├── Missing         a program is not installed
├── NothingCounted  an instruction counter counted nothing, which would pass every bar
└── WrongAnswer     what was measured did not do its work, so its figures mean nothing
"""

from __future__ import annotations


class BenchError(Exception):
    """Base of all errors raised on purpose."""


class Missing(BenchError):
    """A program is not installed; the message says how to install it."""


class NothingCounted(BenchError):
    """A counter counted nothing; the message holds what it said."""


class WrongAnswer(BenchError):
    """An answer was refused, cut or not what was asked for."""
