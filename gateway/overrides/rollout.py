"""Decide which requests an override is rolled out to. Pure.

Sessions are drawn by a digest of their id: the same share is drawn by every worker and after every
restart, a larger percentage keeps everybody who was in a smaller one, and a sub-agent goes with its
session.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256


class ApplyTo(StrEnum):
    """Whom a changed rule reaches."""

    ALL = "all"
    NEW_SESSIONS = "new_sessions"


class Left(StrEnum):
    """Why a request that matches a rule is not overridden."""

    HOLDOUT = "holdout"
    SHARE = "not_in_share"
    AGENT = "agent_not_selected"
    PROJECT = "project_not_selected"
    LIVE = "live_session"


@dataclass(frozen=True, slots=True)
class Rollout:
    """The part of the traffic that rules apply to.

    Attributes:
        percent: Share of sessions, 0 to 100.
        holdout_percent: Share of sessions that never are, for comparison; 0 to 100.
        agents: Only these agent types, in any case of letters; empty for all.
        projects: Only these; empty for all.
        idle_s: After so many seconds without a request a session counts as ended.
        everybody: Whether rules apply to all traffic, with nothing to draw; follows from the rest.
    """

    apply_to: ApplyTo = ApplyTo.ALL
    percent: float = 100
    holdout_percent: float = 0
    agents: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    idle_s: float = 3600
    everybody: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        drawn = self.percent != 100 or self.holdout_percent != 0
        object.__setattr__(self, "everybody", not (drawn or self.agents or self.projects))

    def leaves_out(self, unit: str, agent: str, project: str | None) -> Left | None:
        """Return why a request keeps its model; None when the rules apply to it.

        Args:
            unit: What is drawn: the session's id, or the request's when there is no session.
            agent: Agent type.
            project: None when the request names none.
        """
        if self.agents and agent.casefold() not in {name.casefold() for name in self.agents}:
            return Left.AGENT
        if self.projects and project not in self.projects:
            return Left.PROJECT
        if self.holdout_percent == 0 and self.percent == 100:
            return None
        position = _position(unit)
        # From the other end, so that a growing percentage meets the holdout last.
        if position >= 100 - self.holdout_percent:
            return Left.HOLDOUT
        return None if position < self.percent else Left.SHARE


def _position(unit: str) -> float:
    """Return a place from 0 to below 100, evenly spread over units."""
    digest = sha256(unit.encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48 * 100
