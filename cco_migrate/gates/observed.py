"""Evidence of one criterion with what a person should see of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cco_migrate.judge.gate import Sample, Unmeasured

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Observed:
    """Evidence of one criterion.

    Attributes:
        notes: What else a person should see, most telling first.
    """

    sample: Sample | Unmeasured
    notes: tuple[str, ...] = ()


def few(faults: Sequence[str]) -> tuple[str, ...]:
    """Return the first faults, and the others as a number: one reset fells every counter."""
    rest = len(faults) - _SHOWN
    return tuple(faults) if rest <= 0 else (*faults[:_SHOWN], f"and {rest} more")
