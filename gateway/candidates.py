"""Decide who may be asked for a request, in order. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.agents import Agent, AgentSource
from gateway.dispatch import Candidate
from gateway.links import Link
from gateway.overrides import Overrides
from gateway.routing import RequestFacts, Router

MAX_KNOWN, MAX_KNOWN_CHARS = 1024, 200
"""How many decisions are kept, and the longest model name among them: clients choose the names."""

Key = tuple[str, bool, str, bool]
"""Agent type, whether it is inferred, requested model, whether a subscriber pays."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The configured rules, ready to be asked.

    Attributes:
        reverts: Whether an overridden request goes back to its own model when the target is down.
        subscription_fallback: Whether subscribers may fall back to a key of the gateway's.
        known: What was decided before; the rules do not change while a worker lives.
    """

    links: Mapping[str, Link]
    router: Router
    overrides: Overrides
    reverts: bool = True
    subscription_fallback: bool = False
    known: dict[Key, tuple[Candidate, ...]] = field(default_factory=dict, repr=False)

    def candidates(
        self, agent: Agent, requested: str, *, subscription: bool
    ) -> tuple[Candidate, ...]:
        """Return whom to ask, first choice first; never empty.

        Args:
            requested: The client's model.
            subscription: Whether a subscriber's own token pays.
        """
        key = (agent.type, agent.source is AgentSource.MARKER, requested, subscription)
        found = self.known.get(key)
        if found is None:
            found = self._decide(agent, requested, subscription=subscription)
            if len(self.known) >= MAX_KNOWN:
                self.known.clear()
            if len(requested) <= MAX_KNOWN_CHARS:
                self.known[key] = found
        return found

    def _decide(self, agent: Agent, requested: str, *, subscription: bool) -> tuple[Candidate, ...]:
        chosen = self.overrides.target(requested, agent.type) or requested
        overridden = chosen != requested
        route = self.router.route(_facts(agent, chosen))
        back = overridden and self.reverts
        first = self._candidate(route.provider, chosen, route.reason, retry=not back)
        found = [first]
        if back:
            own = self.router.route(_facts(agent, requested))
            found.append(self._candidate(own.provider, requested, own.reason))
        reason = f"fallback:{route.provider}"
        found += (self._candidate(name, chosen, reason) for name in route.chain)
        if subscription and first.link.key is None and not self.subscription_fallback:
            found = [candidate for candidate in found if candidate.link.key is None]
        return tuple(found)

    def _candidate(self, name: str, model: str, reason: str, *, retry: bool = True) -> Candidate:
        link = self.links[name]
        retries = link.settings.max_retries if retry else 0
        return Candidate(link, link.names.name(model), model, reason, retries)


def _facts(agent: Agent, model: str) -> RequestFacts:
    return RequestFacts(agent.type, agent.source is AgentSource.MARKER, model)
