"""Decide which model a request is for and who may be asked, in order. Pure.

What is decided for a request depends on what the audit record keeps of it and on nothing else, so
the same decision can be made again from recorded traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from gateway.agents.identity import Agent, AgentSource
from gateway.config.settings import Credentials, OnTargetDown, Settings
from gateway.links import Link
from gateway.overrides.adaptation import Adaptation, adapt
from gateway.overrides.capabilities import Capabilities, Capability
from gateway.overrides.rollout import ApplyTo, Left, Rollout
from gateway.overrides.rules import Overrides
from gateway.overrides.shape import Shape
from gateway.routing import RequestFacts, Router

MAX_KNOWN, MAX_KNOWN_CHARS = 1024, 200
"""How many decisions are kept, and the longest model name among them: clients choose the names."""

Key = tuple[str, bool, str, str, bool]
"""Agent type, whether it is inferred, requested and chosen model, whether a subscriber pays."""

_UNCHANGED = Adaptation()


class Asked(msgspec.Struct, frozen=True):
    """What is known of a request.

    Attributes:
        requested: The client's model.
        unit: What is drawn for a rollout: the session's id, else the request's.
        project: None when the request names none.
        subscription: Whether a subscriber's own token pays, where that makes a difference.
    """

    agent: Agent
    requested: str
    shape: Shape
    unit: str
    project: str | None = None
    subscription: bool = False


class Candidate(msgspec.Struct, frozen=True):
    """One provider that may be asked, and for what.

    Attributes:
        model: Its own name of the model.
        chosen: The model before the provider's alias.
        reason: Why this provider.
        retries: Attempts after the first.
        adaptation: What is changed in the request so that the model accepts it.
    """

    link: Link
    model: str
    chosen: str
    reason: str
    retries: int
    adaptation: Adaptation = _UNCHANGED


class Choice(msgspec.Struct, frozen=True):
    """What was decided for a request.

    Attributes:
        candidates: Whom to ask, first choice first; never empty.
        left: Why an override that matched is not applied; None when it is, or none matched.
    """

    candidates: tuple[Candidate, ...]
    left: str | None = None


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
    rollout: Rollout = field(default_factory=Rollout)
    capabilities: Capabilities = field(default_factory=lambda: Capabilities({}))
    reverts: bool = True
    subscription_fallback: bool = False
    known: dict[Key, tuple[Candidate, ...]] = field(default_factory=dict, repr=False)

    def asks_for_binding(self, asked: Asked) -> bool:
        """Return whether it matters which model the request's conversation runs on."""
        if self.rollout.apply_to is not ApplyTo.NEW_SESSIONS:
            return False
        return self.overrides.target(asked.requested, asked.agent.type) is not None

    def choose(self, asked: Asked, bound: str | None = None) -> Choice:
        """Return whom to ask for which model.

        Args:
            bound: The model the conversation runs on; None when it is new, or does not matter.
        """
        chosen, passed_over = self._model(asked, bound)
        left = None if passed_over is None else passed_over.value
        candidates = self._candidates(asked, chosen)
        if all(candidate.model == asked.requested for candidate in candidates):
            return Choice(candidates, left)  # nobody asks a model that the client did not ask for
        fitted = self._fitted(asked, candidates)
        if chosen == asked.requested or (fitted and fitted[0].chosen == chosen):
            return Choice(fitted, left)
        left = self._adaptation(asked, candidates[0]).skipped
        return Choice(self._fitted(asked, self._candidates(asked, asked.requested)), left)

    def capability(self, candidate: Candidate) -> Capability | None:
        """Return what the model asked of a provider accepts; None when nobody knows."""
        found = self.capabilities.of(candidate.model)
        # A provider may call a model by a name of its own.
        return self.capabilities.of(candidate.chosen) if found is None else found

    def _model(self, asked: Asked, bound: str | None) -> tuple[str, Left | None]:
        """Return the model the rules choose, and why a matching rule was passed over."""
        requested = asked.requested
        target = self.overrides.target(requested, asked.agent.type)
        if target is None:
            return requested, None
        left = self.rollout.leaves_out(asked.unit, asked.agent.type, asked.project)
        if left is not None:
            return requested, left
        if bound is not None and bound != target:
            return bound, Left.LIVE
        return target, None

    def _candidates(self, asked: Asked, chosen: str) -> tuple[Candidate, ...]:
        agent = asked.agent
        inferred = agent.source is AgentSource.MARKER
        key = (agent.type, inferred, asked.requested, chosen, asked.subscription)
        found = self.known.get(key)
        if found is None:
            found = self._decide(asked, chosen)
            if len(self.known) >= MAX_KNOWN:
                self.known.clear()
            if len(asked.requested) <= MAX_KNOWN_CHARS:
                self.known[key] = found
        return found

    def _decide(self, asked: Asked, chosen: str) -> tuple[Candidate, ...]:
        agent, requested = asked.agent, asked.requested
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
        if asked.subscription and first.link.key is None and not self.subscription_fallback:
            found = [candidate for candidate in found if candidate.link.key is None]
        return tuple(found)

    def _candidate(self, name: str, model: str, reason: str, *, retry: bool = True) -> Candidate:
        link = self.links[name]
        retries = link.settings.max_retries if retry else 0
        return Candidate(link, link.names.name(model), model, reason, retries)

    def _fitted(self, asked: Asked, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """Return the candidates with what each needs changed, without those that cannot serve.

        A request that no rule changed is never kept from its own model's providers.
        """
        found = []
        for candidate in candidates:
            adaptation = self._adaptation(asked, candidate)
            if adaptation.skipped is None:
                changed = bool(adaptation.changes)
                found.append(replace(candidate, adaptation=adaptation) if changed else candidate)
            elif candidate.chosen == asked.requested:
                found.append(candidate)
        return tuple(found)

    def _adaptation(self, asked: Asked, candidate: Candidate) -> Adaptation:
        if candidate.model == asked.requested:
            return _UNCHANGED
        own = candidate.chosen == asked.requested
        known = self.capabilities.of(candidate.model) if own else self.capability(candidate)
        return adapt(asked.shape, known, self.capabilities.of(asked.requested))


def open_policy(
    settings: Settings, links: Mapping[str, Link], capabilities: Capabilities
) -> Policy:
    """Return the rules of a configuration."""
    overrides, routing = settings.overrides, settings.routing
    return Policy(
        links=links,
        router=Router(routing),
        overrides=_overrides(settings),
        rollout=overrides.rollout,
        capabilities=capabilities,
        reverts=overrides.on_target_down is OnTargetDown.ORIGINAL,
        # Without a key of the gateway's there is nothing to guard, and nothing to look for.
        subscription_fallback=routing.subscription_fallback
        or settings.credentials is Credentials.GATEWAY
        or all(link.key is None for link in links.values()),
    )


def _overrides(settings: Settings) -> Overrides:
    """Return the rules in force; each of the two files has a switch of its own."""
    overrides = settings.overrides
    rules, agents = (overrides.rules, overrides.agent_rules) if overrides.enabled else ((), ())
    return Overrides(rules, (*agents, *settings.agent_models))


def _facts(agent: Agent, model: str) -> RequestFacts:
    return RequestFacts(agent.type, agent.source is AgentSource.MARKER, model)
