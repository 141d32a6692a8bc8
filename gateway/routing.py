"""Decide which provider serves a request, which come next, and what each calls the model. Pure.

Order: a rule for the agent, the model's tier, a pattern of its name, a rule for an agent that was
only inferred from the prompt, the default provider.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config.settings import ProviderSettings, RoutingSettings

TIERS: Mapping[str, str] = {
    "opus": "opus",
    "sonnet": "sonnet",
    "haiku": "haiku",
    "gpt4": "gpt-4",
    "gpt35": "gpt-3.5",
    "deepseek": "deepseek",
}
"""What a model id contains when it is of a tier."""

_VENDORS = (
    (re.compile(r"claude", re.IGNORECASE), "anthropic"),
    (re.compile(r"(?:chatgpt|gpt-[3-9]|o[1-9](?:-|$))", re.IGNORECASE), "openai"),
    (re.compile(r"deepseek-(?:chat|reasoner|coder)", re.IGNORECASE), "deepseek"),
)


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What routing looks at.

    Attributes:
        inferred: Whether the agent type was only read out of the prompt.
        model: The model to ask for, overrides applied.
    """

    agent_type: str
    inferred: bool
    model: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes.

    Attributes:
        reason: `agent_rule:A`, `model_tier:T`, `model_pattern:P`, `inferred_agent:A` or `default`.
        chain: Providers to ask when this one fails, in order, without it.
    """

    provider: str
    reason: str
    chain: tuple[str, ...] = ()


class Router:
    """The routing rules, ready to be asked."""

    __slots__ = ("_agents", "_chain", "_default", "_patterns", "_tiers")

    def __init__(self, settings: RoutingSettings) -> None:
        self._agents = {name.casefold(): provider for name, provider in settings.agent_rules}
        tiers = dict(settings.tier_rules)
        known = [(tier, word) for tier, word in TIERS.items() if tier in tiers]
        other = [(tier, tier) for tier in tiers if tier not in TIERS]
        self._tiers = tuple((tier, word.casefold(), tiers[tier]) for tier, word in known + other)
        self._patterns = tuple((re.compile(text), name) for text, name in settings.patterns)
        self._default = settings.default_provider
        self._chain = settings.fallback_chain

    def route(self, facts: RequestFacts) -> Route:
        """Return where a request goes."""
        provider, reason = self._choose(facts)
        return Route(provider, reason, tuple(name for name in self._chain if name != provider))

    def _choose(self, facts: RequestFacts) -> tuple[str, str]:
        agent = self._agents.get(facts.agent_type.casefold()) if self._agents else None
        if agent is not None and not facts.inferred:
            return agent, f"agent_rule:{facts.agent_type}"
        if self._tiers:
            model = facts.model.casefold()
            for tier, word, provider in self._tiers:
                if word in model:
                    return provider, f"model_tier:{tier}"
        for pattern, provider in self._patterns:
            if pattern.search(facts.model):
                return provider, f"model_pattern:{pattern.pattern}"
        if agent is not None:
            return agent, f"inferred_agent:{facts.agent_type}"
        return self._default, "default"


class ModelNames:
    """What one provider calls the models that are asked of it."""

    __slots__ = ("_aliases", "_default", "_deployment", "_vendor")

    def __init__(
        self, settings: ProviderSettings, vendor: str | None, *, deploys: bool = False
    ) -> None:
        """Take the aliases of a provider.

        Args:
            vendor: Whose models it serves; None for a server of anybody's models.
            deploys: Whether its deployment, where one is named, is all it serves.
        """
        self._deployment = settings.deployment if deploys else None
        self._aliases = dict(settings.model_aliases)
        self._default = settings.default_model
        self._vendor = vendor

    def name(self, model: str) -> str:
        """Return the deployment, its alias, its tier's, a foreign model's default, or itself."""
        if self._deployment is not None:
            return self._deployment
        found = self._aliases.get(model)
        if found is not None:
            return found
        if self._aliases:
            lower = model.casefold()
            for tier, word in TIERS.items():
                if word in lower and tier in self._aliases:
                    return self._aliases[tier]
        return self._default if self._default is not None and self._foreign(model) else model

    def _foreign(self, model: str) -> bool:
        vendor = next((name for pattern, name in _VENDORS if pattern.match(model)), None)
        if vendor is None or vendor == self._vendor:
            return False
        return self._vendor is not None or vendor in ("anthropic", "openai")
