"""Audit records of requests that were sent, once they are all there or the time is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cco_migrate.client import GatewayClient, NotAGateway, Unreachable
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.probes.site import Site

SETTLE_S = 3.0

Record = Mapping[str, Any]  # Any: JSON


def read_records(site: Site, request_ids: Sequence[str]) -> tuple[Record, ...] | Unmeasured:
    """Return the records of these requests, as often as they stand in the audit."""
    client = GatewayClient(site.url, site.world.http)
    found: tuple[Record, ...] = ()

    def complete() -> bool:
        nonlocal found
        rows = client.audit(request_ids=request_ids)
        if rows is None:
            raise NotAGateway("this gateway keeps no audit to compare with")
        found = tuple(rows)
        return {row["request_id"] for row in rows} >= set(request_ids)

    try:
        site.world.clock.wait_until(complete, SETTLE_S, every_s=0.2)
    except (Unreachable, NotAGateway) as error:
        return Unmeasured(str(error))
    return found
