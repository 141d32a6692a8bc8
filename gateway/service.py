"""What every exchange of a worker shares; reads the price table and agent definitions once."""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import dataclass, field

from gateway import resources
from gateway.account import Books, Counts
from gateway.agent_links import AgentLinks
from gateway.agents import DefinitionIndex
from gateway.answer_cache import AnswerCache
from gateway.candidates import Policy
from gateway.clients import Clients
from gateway.config import Settings
from gateway.definitions import read_definitions
from gateway.dispatch import Dispatcher
from gateway.metrics import Metrics
from gateway.operator.answers import Parts
from gateway.overrides import Overrides
from gateway.pricing import Pricing
from gateway.routing import Router
from gateway.settings import OnTargetDown
from gateway.store.ledger import Ledger
from gateway.translate import TRANSLATORS


@dataclass(frozen=True, slots=True)
class Service:
    """What every exchange of a worker shares.

    Attributes:
        seq: Numbers the exchanges, from 1.
    """

    policy: Policy
    dispatcher: Dispatcher
    clients: Clients
    definitions: DefinitionIndex
    books: Books
    ledger: Ledger
    metrics: Metrics
    cache: AnswerCache
    log_overrides: bool = True
    agent_links: AgentLinks = field(default_factory=AgentLinks)
    counts: Counts = field(default_factory=Counts)
    seq: itertools.count[int] = field(default_factory=lambda: itertools.count(1))


def open_service(settings: Settings, parts: Parts) -> Service:
    """Return a worker's service. Blocks. Raises OSError when the price table is not installed."""
    overrides, routing = settings.overrides, settings.routing
    return Service(
        policy=Policy(
            links=parts.links,
            router=Router(routing),
            overrides=_overrides(settings),
            reverts=overrides.on_target_down is OnTargetDown.ORIGINAL,
            # Without a key of the gateway's there is nothing to guard, and nothing to look for.
            subscription_fallback=routing.subscription_fallback
            or all(link.key is None for link in parts.links.values()),
        ),
        dispatcher=Dispatcher(
            clock=time.monotonic,
            jitter=random.random,
            circuits=parts.circuits,
            translators=TRANSLATORS,
        ),
        clients=Clients(settings.clients),
        definitions=DefinitionIndex(read_definitions(settings.agent_folders)),
        books=Books(
            pricing=Pricing.parse(resources.prices()),
            boot_id=parts.identity.boot_id,
            default_provider=routing.default_provider,
            track_statistics=overrides.track_statistics,
            log_request_bodies=settings.audit.log_request_bodies,
            log_response_bodies=settings.audit.log_response_bodies,
        ),
        ledger=parts.ledger,
        metrics=parts.metrics,
        cache=AnswerCache(settings.cache, parts.metrics),
        log_overrides=overrides.log_overrides,
    )


def _overrides(settings: Settings) -> Overrides:
    """Return the rules in force; each of the two files has a switch of its own."""
    overrides = settings.overrides
    rules, agents = (overrides.rules, overrides.agent_rules) if overrides.enabled else ((), ())
    return Overrides(rules, (*agents, *settings.agent_models))
