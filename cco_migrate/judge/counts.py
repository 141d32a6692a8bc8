"""How often something happened that had to happen. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.ruling import Estimate
from cco_migrate.judge.terms import Terms


@dataclass(frozen=True, slots=True)
class Count:
    """An exact number.

    Attributes:
        happened: How often it happened.
        opportunities: How often it could have: without any, its absence says nothing.
    """

    happened: int
    opportunities: int

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return the number itself."""
        said = f"{self.happened} of {self.opportunities} possible {criterion.unit}"
        return Estimate(self.opportunities, self.happened, self.happened, said, k=self.happened)
