"""The terms of judging: how often somebody looks, and which errors are accepted. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Form(StrEnum):
    """How often the evidence is looked at: once, as declared beforehand, or at any time."""

    FIXED = "fixed"
    ANYTIME = "anytime"


@dataclass(frozen=True, slots=True)
class Terms:
    """Frozen in the plan before the first sample: changed terms need new evidence.

    Attributes:
        alpha: Probability of a false GO, and of any false NO-GO of the whole gate.
        family: Enforced statistical criteria of the gate, at least 1. GO needs all of them and no
            correction; NO-GO is said by any one, so each gets its share of alpha.
    """

    form: Form = Form.ANYTIME
    alpha: float = 0.05
    family: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5 or self.family < 1:
            raise ValueError(f"alpha {self.alpha}, family {self.family}: not terms to judge on")

    @property
    def alpha_no_go(self) -> float:
        """Probability of a false NO-GO that one criterion may have."""
        return self.alpha / self.family

    def sides(self, *, at_least: bool) -> tuple[float, float]:
        """Return the errors of the lower and the upper bound.

        Args:
            at_least: Whether more is better, so that the lower bound is the one that proves GO.
        """
        sides = (self.alpha, self.alpha_no_go)
        return sides if at_least else (sides[1], sides[0])
