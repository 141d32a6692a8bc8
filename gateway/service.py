"""What every exchange of a worker shares; reads agent definitions once."""

from __future__ import annotations

import itertools
import logging
import random
import time
from dataclasses import dataclass, field

from gateway.access.clients import Clients
from gateway.access.limits import RateLimiter, Share, cells_needed
from gateway.access.pages import own_names
from gateway.access.shared_cells import open_cells
from gateway.account import Books
from gateway.agents.definitions import read_definitions
from gateway.agents.identity import DefinitionIndex
from gateway.cache.answers import AnswerCache
from gateway.candidates import Policy, open_policy
from gateway.config.settings import LimitSettings, Settings
from gateway.dispatch import Dispatcher
from gateway.log_lines import writer
from gateway.metrics.meters import Metrics
from gateway.operator.answers import Parts
from gateway.sessions import Sessions
from gateway.store.ledger import Ledger
from gateway.sub_agents import SubAgents
from gateway.translate import TRANSLATORS

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """What this worker has done since it started."""

    overrides: int = 0
    doubled_v1: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """What every exchange of a worker shares.

    Attributes:
        annotates: Whether JSON answers say in their bodies what was found out about them.
        plain: Whether answers are neither kept nor annotated.
        seq: Numbers the exchanges, from 1.
    """

    policy: Policy
    dispatcher: Dispatcher
    clients: Clients
    limiter: RateLimiter
    sub_agents: SubAgents
    books: Books
    ledger: Ledger
    metrics: Metrics
    cache: AnswerCache
    sessions: Sessions
    annotates: bool = False
    plain: bool = True
    log_overrides: bool = True
    counts: Counts = field(default_factory=Counts)
    seq: itertools.count[int] = field(default_factory=lambda: itertools.count(1))


def open_service(settings: Settings, parts: Parts) -> Service:
    """Return a worker's service; blocks."""
    overrides, routing = settings.overrides, settings.routing
    return Service(
        policy=open_policy(settings, parts.links, parts.capabilities),
        dispatcher=Dispatcher(
            clock=time.monotonic,
            jitter=random.random,
            circuits=parts.circuits,
            translators=TRANSLATORS,
            say=writer(log),
        ),
        clients=Clients(settings.clients, own_names(settings.server)),
        limiter=_limiter(settings, parts),
        sub_agents=SubAgents(
            parts.ledger, DefinitionIndex(read_definitions(settings.agent_folders))
        ),
        books=Books(
            pricing=parts.pricing,
            boot_id=parts.identity.boot_id,
            default_provider=routing.default_provider,
            track_statistics=overrides.track_statistics,
            log_request_bodies=settings.audit.log_request_bodies,
            log_response_bodies=settings.audit.log_response_bodies,
            body_projects=frozenset(settings.body_projects),
        ),
        ledger=parts.ledger,
        metrics=parts.metrics,
        cache=parts.cache,
        sessions=Sessions(parts.ledger, overrides.rollout.idle_s),
        annotates=settings.response_annotations,
        plain=not (parts.cache.enabled or settings.response_annotations),
        log_overrides=overrides.log_overrides,
    )


def _limiter(settings: Settings, parts: Parts) -> RateLimiter:
    """Return what holds clients to their limits, all workers together where there are several."""
    limits: dict[str | None, LimitSettings] = {one.name: one.limits for one in settings.clients}
    limits = limits or {None: settings.limits}
    identity, workers = parts.identity, settings.server.workers
    count = cells_needed(len(limits), workers)
    shared = workers > 1 and any(entry != LimitSettings() for entry in limits.values())
    folder = settings.home / "limits"
    cells = open_cells(folder, identity, settings.fingerprint, count) if shared else [0] * count
    share = Share(cells, identity.slot, workers)
    return RateLimiter(limits, share, time.monotonic_ns, parts.metrics.limited)
