"""What only people can say: who, when, for what, and until when. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.ruling import Estimate
from cco_migrate.judge.terms import Terms


@dataclass(frozen=True, slots=True)
class Attestation:
    """One person's word.

    Attributes:
        by: Who says it.
        at: When, aware.
        scope: What it is for, e.g. the digest of the plan; it holds for nothing else.
        expires: Until when it holds, aware.
        approves: False refuses.
        counted: What they counted: how many, of how many; None for a word without figures.
    """

    by: str
    at: datetime
    scope: str
    expires: datetime
    approves: bool = True
    counted: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Attestations:
    """What was said about a scope, as of a time."""

    given: tuple[Attestation, ...]
    scope: str
    now: datetime

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return how many people approve; one who refuses decides, silence leaves it open."""
        latest: dict[str, Attestation] = {}
        for one in sorted(self.given, key=lambda one: one.at):
            if one.scope == self.scope and one.at <= self.now:
                latest[one.by] = one
        valid = [one for one in latest.values() if self.now < one.expires]
        refused = sorted(one.by for one in valid if not one.approves)
        approved = sorted(one.by for one in valid if one.approves)
        said = f"approved by {', '.join(approved) or 'nobody'}"
        said += f", refused by {', '.join(refused)}" if refused else ""
        expired = len(latest) - len(valid)
        said += f", {expired} expired" if expired else ""
        low, high = (0.0, 0.0) if refused else (len(approved), math.inf)
        facts = {"approved": approved, "refused": refused, "scope": self.scope}
        return Estimate(len(valid), low, high, said, k=len(refused), facts=facts)
