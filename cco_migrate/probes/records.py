"""Audit records: those of requests that were sent, and those of everybody, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from cco_migrate.client import GatewayClient, NotAGateway, Unreachable
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.probes.audited import Record
from cco_migrate.probes.site import Site, ask, object_in

SETTLE_S = 3.0
PAGE = 1000
_FIELDS = frozenset({"id", "success", "status", "stream"})


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


def read_newest(site: Site, since: datetime, pages: int) -> tuple[Record, ...] | Unmeasured:
    """Return the records of requests that arrived since a time, the latest arrivals first.

    Args:
        pages: Of PAGE records each, at most; older ones are left out.
    """
    found: dict[object, Record] = {}
    for number in range(pages):
        rows = _page(site, since, number * PAGE)
        if isinstance(rows, Unmeasured):
            return rows
        # Those that came between two pages push others onto the next, where they are again.
        found |= {row["id"]: row for row in rows}
        if len(rows) < PAGE:
            break
    return tuple(found.values())


def _page(site: Site, since: datetime, offset: int) -> list[Record] | Unmeasured:
    path = "/gateway/audit"
    start = quote(since.isoformat())
    answer = ask(site, f"{path}?start_time={start}&limit={PAGE}&offset={offset}")
    if isinstance(answer, Unmeasured):
        return answer
    row = object_in(answer, path)
    if isinstance(row, Unmeasured):
        return row
    entries = row.get("entries")
    if not isinstance(entries, list) or not all(
        isinstance(one, dict) and one.keys() >= _FIELDS for one in entries
    ):
        return Unmeasured(f"{path} keeps no records that say how each request ended")
    return entries
