"""What a gateway says of itself: health, the configuration of every worker, its providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cco_migrate.client import GatewayClient, NotAGateway, Unreachable
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.model import JsonObject
from cco_migrate.probes.site import Site, ask, object_in


@dataclass(frozen=True, slots=True)
class Health:
    """One look at `/health`; None where the gateway does not say.

    Attributes:
        workers: How many processes serve.
        uptime_s: Whole seconds, cut off.
        asked_s: Monotonic seconds when it was asked.
        answered_s: Monotonic seconds when the answer was there.
    """

    status: str
    fingerprint: str | None
    boot_id: str | None
    workers: int | None
    uptime_s: int | None
    asked_s: float
    answered_s: float


@dataclass(frozen=True, slots=True)
class Process:
    """One worker that serves, by the supervisor's word."""

    name: str
    boot_id: str
    fingerprint: str


def look_at_health(site: Site) -> Health | Unmeasured:
    """Ask `/health` once."""
    answer = ask(site, "/health")
    if isinstance(answer, Unmeasured):
        return answer
    row = object_in(answer, "/health")
    if isinstance(row, Unmeasured):
        return row
    if not isinstance(row.get("status"), str):
        return Unmeasured("/health answers JSON without a status")
    return Health(
        status=row["status"],
        fingerprint=_text(row, "config_fingerprint"),
        boot_id=_text(row, "boot_id"),
        workers=_whole(row, "workers"),
        uptime_s=_whole(row, "uptime_seconds", "uptime"),
        asked_s=answer.asked_s,
        answered_s=answer.answered_s,
    )


def processes(site: Site) -> tuple[Process, ...] | Unmeasured:
    """Ask for every worker that serves; only a supervisor can name them all."""
    try:
        found = GatewayClient(site.url, site.world.http).workers()
    except (Unreachable, NotAGateway) as error:
        return Unmeasured(str(error))
    if found is None:
        return Unmeasured("this gateway has no /gateway/workers")
    return tuple(
        Process(f"worker {one.slot} of generation {one.generation}", one.boot_id, one.fingerprint)
        for one in found.serving
    )


def providers(site: Site) -> Mapping[str, bool] | Unmeasured:
    """Ask which enabled providers are up."""
    answer = ask(site, "/gateway/health")
    if isinstance(answer, Unmeasured):
        return answer
    row = object_in(answer, "/gateway/health")
    if isinstance(row, Unmeasured):
        return row
    rows = row.get("providers")
    if not isinstance(rows, dict) or not all(isinstance(up, bool) for up in rows.values()):
        return Unmeasured("/gateway/health names no providers")
    return {str(name): up for name, up in rows.items()}


def _text(row: JsonObject, name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) and value else None


def _whole(row: JsonObject, *names: str) -> int | None:
    found = (row.get(name) for name in names)
    return next((one for one in found if isinstance(one, int) and not isinstance(one, bool)), None)
