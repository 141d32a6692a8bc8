"""Open what the operator API reports on: the ledger, the counters, the admin token."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from functools import partial

import apsw

from gateway import resources
from gateway.cache.answers import AnswerCache, open_answer_cache
from gateway.config.cache import URL_KEY
from gateway.config.documents import KINDS, ConfigName
from gateway.config.settings import Settings
from gateway.cost.pricing import Pricing
from gateway.errors import ConfigError
from gateway.links import Link
from gateway.metrics.counters import Counters
from gateway.metrics.meters import Known, Metrics
from gateway.operator.admin import admin_token
from gateway.operator.answers import Parts
from gateway.operator.override_report import override_report
from gateway.overrides.capabilities import Capabilities
from gateway.store import queries
from gateway.store.ledger import Ledger
from gateway.wire.workers import WorkerDirectory, WorkerIdentity

log = logging.getLogger(__name__)


def open_parts(
    settings: Settings,
    identity: WorkerIdentity,
    directory: WorkerDirectory,
    links: Mapping[str, Link],
    capabilities: Capabilities,
) -> Parts:
    """Open them; blocks. Raises ConfigError and OSError."""
    audit = settings.audit
    token = admin_token(settings.home)
    pricing = Pricing.parse(resources.prices(), settings.costs)
    counters = Counters(settings.home / "metrics", identity.supervisor, identity.boot_id)
    metrics = Metrics(counters, _known(settings))
    cache = _open_cache(settings, metrics)
    ledger = Ledger(audit.db_path, keep_entries=audit.enabled, keep_days=audit.retention_days)
    ledger.on_record, ledger.on_commit = metrics.observe, metrics.committed
    return Parts(
        settings, identity, directory, links, ledger, metrics, cache, pricing, capabilities, token
    )


async def close_parts(parts: Parts) -> None:
    """Report on the overrides, write what is queued and close everything."""
    await _report_overrides(parts)
    await parts.cache.close()
    await parts.ledger.close()
    parts.metrics.close()


async def _report_overrides(parts: Parts) -> None:
    """Log what the overrides did so far; once, not once a worker."""
    overrides = parts.settings.overrides
    if parts.identity.slot != 0 or not (overrides.enabled and overrides.track_statistics):
        return
    try:
        statistics = await parts.ledger.read(partial(queries.overrides, enabled=True))
    except apsw.Error as error:
        log.warning("no report on the overrides: %s", error)
        return
    report = override_report(statistics, overrides.report_format)
    if report is not None:
        log.info("Override report: %s", report)


def _open_cache(settings: Settings, metrics: Metrics) -> AnswerCache:
    try:
        return open_answer_cache(settings.cache, metrics, os.environ)
    except LookupError as error:
        path = settings.config_dir / KINDS[ConfigName.GATEWAY].file
        raise ConfigError(path, str(error.args[0]), key=URL_KEY) from error


def _known(settings: Settings) -> Known:
    """Return the label values of the configuration, and the models there are prices for."""
    overrides = settings.overrides
    rules = overrides.rules if overrides.enabled else ()
    providers = tuple(one.name for one in settings.providers if one.enabled)
    return Known(providers, frozenset(_models(settings)), rules)


def _models(settings: Settings) -> Iterator[str]:
    yield from resources.prices()["models"]
    yield from (model for model, _ in settings.costs.overrides)
    for pair in settings.overrides.rules:
        yield from pair
    for _, model in (*settings.overrides.agent_rules, *settings.agent_models):
        yield model
    for provider in settings.providers:
        yield from (target for _, target in provider.model_aliases)
        yield from filter(None, (provider.default_model, provider.deployment))
