"""Decide which model a request is for and who may be asked, in order. Pure.

What is decided for a request depends on what the audit record keeps of it and on nothing else, so
the same decision can be made again from recorded traffic. What depends on no more than the agent,
the model, who pays and the client's format is decided once and remembered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from gateway.agents.identity import Agent, AgentSource
from gateway.config.settings import Credentials, OnTargetDown, Settings
from gateway.links import Link
from gateway.overrides.accepted import Accepted, accepted
from gateway.overrides.adaptation import UNCHANGED, Adaptation, adapt
from gateway.overrides.capabilities import Capabilities, Capability
from gateway.overrides.rollout import ApplyTo, Left, Rollout
from gateway.overrides.rules import Overrides
from gateway.overrides.shape import Shape
from gateway.routing import RequestFacts, Router
from gateway.told import Told, tell
from gateway.wire.formats import Wire

MAX_KNOWN, MAX_KNOWN_CHARS = 1024, 200
"""How many decisions are kept, and the longest model name among them: clients choose the names."""

MAX_PLANS = 8
"""How many chosen models are kept of one decision: conversations may run on older targets."""

# Bound once: Python 3.11 asks an enum's metaclass for a member each time that it is named.
_MARKER, _NEW_SESSIONS = AgentSource.MARKER, ApplyTo.NEW_SESSIONS

Key = tuple[Agent, str, bool, Wire]
"""Agent, requested model, whether a subscriber pays, the client's format."""


class Asked(msgspec.Struct, frozen=True):
    """What is known of a request.

    Attributes:
        requested: The client's model.
        unit: What is drawn for a rollout: the session's id, else the request's.
        project: None when the request names none.
        subscription: Whether a subscriber's own token pays, where that makes a difference.
        wire: The client's format.
    """

    agent: Agent
    requested: str
    shape: Shape
    unit: str
    project: str | None = None
    subscription: bool = False
    wire: Wire = Wire.MESSAGES


class Candidate(msgspec.Struct, frozen=True):
    """One provider that may be asked, and for what.

    Attributes:
        model: Its own name of the model.
        chosen: The model before the provider's alias.
        reason: Why this provider.
        retries: Attempts after the first.
        adaptation: What is changed in the request so that the model accepts it.
        told: What is said about the choice.
    """

    link: Link
    model: str
    chosen: str
    reason: str
    retries: int
    adaptation: Adaptation = UNCHANGED
    told: Told = Told()


class Choice(msgspec.Struct, frozen=True):
    """What was decided for a request.

    Attributes:
        candidates: Whom to ask, first choice first; never empty.
        left: Why an override that matched is not applied; None when it is, or none matched.
    """

    candidates: tuple[Candidate, ...]
    left: str | None = None


class Plan(msgspec.Struct, frozen=True):
    """Who is asked for a chosen model, before anybody looks at what a request asks for.

    Attributes:
        accepted: What fits all of them as it is; None when it need not be looked at.
        choice: What is decided for a request that fits.
    """

    accepted: Accepted | None
    choice: Choice


class Known(msgspec.Struct, frozen=True):
    """What the rules say of the requests of one `Key`.

    Attributes:
        target: The model to send instead; None when no rule changes it.
        plans: By the model that is chosen in the end.
    """

    target: str | None
    plans: dict[str, Plan]


@dataclass(frozen=True, slots=True)
class Policy:
    """The configured rules, ready to be asked.

    Attributes:
        reverts: Whether an overridden request goes back to its own model when the target is down.
        subscription_fallback: Whether subscribers may fall back to a key of the gateway's.
        known: What was decided before; the rules do not change while a worker lives.
        binds: Whether it may matter which model a conversation runs on.
    """

    links: Mapping[str, Link]
    router: Router
    overrides: Overrides
    rollout: Rollout = field(default_factory=Rollout)
    capabilities: Capabilities = field(default_factory=lambda: Capabilities({}))
    reverts: bool = True
    subscription_fallback: bool = False
    known: dict[Key, Known] = field(default_factory=dict, repr=False)
    binds: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "binds", self.rollout.apply_to is _NEW_SESSIONS)

    def asks_for_binding(self, asked: Asked) -> bool:
        """Return whether it matters which model the request's conversation runs on."""
        return self.binds and self.overrides.target(asked.requested, asked.agent.type) is not None

    def choose(self, asked: Asked, bound: str | None = None) -> Choice:
        """Return whom to ask for which model.

        Args:
            bound: The model the conversation runs on; None when it is new, or does not matter.
        """
        key = (asked.agent, asked.requested, asked.subscription, asked.wire)
        known = self.known.get(key) or self._know(key)
        chosen, left = known.target, None
        if chosen is None:
            chosen = asked.requested
        elif bound is not None or not self.rollout.everybody:
            chosen, left = self._reached(asked, chosen, bound)
        plan = known.plans.get(chosen) or self._plan(asked, chosen, known)
        if plan.accepted is not None and not plan.accepted.takes(asked.shape):
            return self._adapted(asked, plan, left, known)
        return plan.choice if left is None else Choice(plan.choice.candidates, left)

    def capability(self, candidate: Candidate) -> Capability | None:
        """Return what the model asked of a provider accepts; None when nobody knows."""
        found = self.capabilities.of(candidate.model)
        # A provider may call a model by a name of its own.
        return self.capabilities.of(candidate.chosen) if found is None else found

    def _know(self, key: Key) -> Known:
        """Return what the rules say, and note it."""
        agent, requested, _, _ = key
        found = Known(self.overrides.target(requested, agent.type), {})
        if len(self.known) >= MAX_KNOWN:
            self.known.clear()
        if len(requested) <= MAX_KNOWN_CHARS:
            self.known[key] = found
        return found

    def _reached(self, asked: Asked, target: str, bound: str | None) -> tuple[str, str | None]:
        """Return the model of a request that a rule matches, and why it keeps another than its."""
        left = self.rollout.leaves_out(asked.unit, asked.agent.type, asked.project)
        if left is not None:
            return asked.requested, left.value
        if bound is not None and bound != target:
            return bound, Left.LIVE.value
        return target, None

    def _plan(self, asked: Asked, chosen: str, known: Known) -> Plan:
        """Return whom to ask for a model, and note it."""
        candidates = self._decide(asked, chosen)
        foreign = [one for one in candidates if not _as_asked(asked, one)]
        limits = [self._limits(asked, one) for one in foreign]
        told = accepted(limit for limit in limits if limit is not None)
        plan = Plan(told if foreign else None, Choice(candidates))
        if len(known.plans) >= MAX_PLANS:
            known.plans.clear()
        known.plans[chosen] = plan
        return plan

    def _decide(self, asked: Asked, chosen: str) -> tuple[Candidate, ...]:
        agent, requested = asked.agent, asked.requested
        overridden = chosen != requested
        route = self.router.route(_facts(agent, chosen))
        back = overridden and self.reverts
        first = self._candidate(asked, route.provider, chosen, route.reason, retry=not back)
        found = [first]
        if back:
            own = self.router.route(_facts(agent, requested))
            found.append(self._candidate(asked, own.provider, requested, own.reason))
        reason = f"fallback:{route.provider}"
        found += (self._candidate(asked, name, chosen, reason) for name in route.chain)
        if asked.subscription and first.link.key is None and not self.subscription_fallback:
            found = [candidate for candidate in found if candidate.link.key is None]
        return tuple(found)

    def _candidate(
        self, asked: Asked, provider: str, chosen: str, reason: str, *, retry: bool = True
    ) -> Candidate:
        link = self.links[provider]
        model = link.names.name(chosen)
        retries = link.settings.max_retries if retry else 0
        told = tell(
            agent=asked.agent.type,
            provider=provider,
            reason=reason,
            model=model,
            chosen=chosen,
            requested=asked.requested,
        )
        return Candidate(link, model, chosen, reason, retries, told=told)

    def _adapted(self, asked: Asked, plan: Plan, left: str | None, known: Known) -> Choice:
        """Return the choice for a request that may not fit every candidate as it is."""
        candidates, requested = plan.choice.candidates, asked.requested
        chosen = candidates[0].chosen
        fitted = self._fitted(asked, candidates)
        if chosen == requested or (fitted and fitted[0].chosen == chosen):
            return Choice(fitted, left)
        left = self._adaptation(asked, candidates[0]).skipped
        own = known.plans.get(requested) or self._plan(asked, requested, known)
        return Choice(self._fitted(asked, own.choice.candidates), left)

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
        if _as_asked(asked, candidate):
            return UNCHANGED
        limits = self._limits(asked, candidate)
        return adapt(asked.shape, limits, self.capabilities.of(asked.requested))

    def _limits(self, asked: Asked, candidate: Candidate) -> Capability | None:
        """Return what a model accepts that may not fit the request; None when nobody knows."""
        own = candidate.chosen == asked.requested
        found = self.capabilities.of(candidate.model) if own else self.capability(candidate)
        if found is None or not (asked.wire is Wire.CHAT and candidate.link.wire is Wire.MESSAGES):
            return found
        # Its translation puts instructions of the middle into the user's turn, as any model takes.
        return dataclasses.replace(found, system_messages=None)


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


def _as_asked(asked: Asked, candidate: Candidate) -> bool:
    """Return whether the request goes as it came to the very model that the client asks for.

    Put into another format it does not: there it says what its client never had to know of the
    model, e.g. an effort where the client's API has one for all models.
    """
    return candidate.model == asked.requested and candidate.link.wire is asked.wire


def _facts(agent: Agent, model: str) -> RequestFacts:
    return RequestFacts(agent.type, agent.source is _MARKER, model)
