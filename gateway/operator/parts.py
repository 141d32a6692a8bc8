"""Open what the operator API reports on: the ledger, the counters, the admin token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway import resources
from gateway.config import Settings
from gateway.counters import Counters
from gateway.links import Link
from gateway.metrics import Known, Metrics
from gateway.operator.admin import admin_token
from gateway.operator.answers import Parts
from gateway.store.ledger import Ledger
from gateway.wire.workers import WorkerDirectory, WorkerIdentity


def open_parts(
    settings: Settings,
    identity: WorkerIdentity,
    directory: WorkerDirectory,
    links: Mapping[str, Link],
) -> Parts:
    """Open them; blocks. Raises ConfigError and OSError."""
    audit = settings.audit
    token = admin_token(settings.home)
    counters = Counters(settings.home / "metrics", identity.supervisor, identity.boot_id)
    metrics = Metrics(counters, _known(settings))
    ledger = Ledger(audit.db_path, keep_entries=audit.enabled, keep_days=audit.retention_days)
    ledger.on_record, ledger.on_commit = metrics.observe, metrics.committed
    return Parts(settings, identity, directory, links, ledger, metrics, token)


async def close_parts(parts: Parts) -> None:
    """Write what is queued and close everything."""
    await parts.ledger.close()
    parts.metrics.close()


def _known(settings: Settings) -> Known:
    """Return the label values of the configuration, and the models there are prices for."""
    overrides = settings.overrides
    rules = overrides.rules if overrides.enabled else ()
    providers = tuple(one.name for one in settings.providers if one.enabled)
    return Known(providers, frozenset(_models(settings)), rules)


def _models(settings: Settings) -> Iterator[str]:
    yield from resources.prices()["models"]
    for pair in settings.overrides.rules:
        yield from pair
    for _, model in (*settings.overrides.agent_rules, *settings.agent_models):
        yield model
    for provider in settings.providers:
        yield from (target for _, target in provider.model_aliases)
        yield from filter(None, (provider.default_model, provider.deployment))
