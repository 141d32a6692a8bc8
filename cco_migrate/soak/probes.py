"""One look at a gateway that soaks: health, configuration, counters, new audit records, canaries.

Whatever cannot be measured is named in the look; nothing raises for a sick gateway.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from cco_migrate.checks.client_requests import small_request
from cco_migrate.checks.sending import exchange, resolve_credential
from cco_migrate.client import GatewayClient, Health, NotAGateway, Unreachable, Workers
from cco_migrate.errors import InvalidInput
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.judge.integrity import CounterReading, Invariant, consistent, loaded
from cco_migrate.probes.counters import REQUESTS, STATISTICS, Counters, read_counters
from cco_migrate.probes.site import Site, ask, object_in
from cco_migrate.soak.evidence import Evidence, Look, Reading, Tally
from cco_migrate.soak.terms import INTEGRITY, LOADED, SYNTHETIC, Soak

OWN_CLIENT = "cco-migrate verification"
"""What the user agent of every request of the toolkit says."""

LONGEST_REQUEST_S = 900.0
"""A record is written when its request ends: so long after its arrival one is still looked for."""

_RECORDED = ("error-rate", "streaming-failures")
_CLIENT_LEFT = 499
_OF_THE_PROVIDER = frozenset({408, 409, 425, 429})  # it was busy or too slow
_OF_THE_CREDENTIAL = frozenset({401, 403})  # of the client's own: a key of the gateway ends in 503
_PAGE, _PAGES = 1000, 100
_ASIDE = "count_tokens"  # it asks no model
_FIELDS = frozenset({"id", "success", "status", "stream"})

Row = Mapping[str, Any]  # Any: JSON


def look_at(site: Site, soak: Soak, evidence: Evidence, run: str) -> Look:
    """Look once.

    Args:
        evidence: What was seen before.
        run: Names the sessions of our own requests.
    """
    at, told = site.world.clock.now(), _told(site)
    up = not isinstance(told, Unmeasured) and told[0].status == "ok"
    found = told if isinstance(told, Unmeasured) else _loaded(*told, soak.fingerprint)
    records = _new_records(site, evidence)
    counted = {} if isinstance(records, Unmeasured) else count(records)
    offered = _offer(site, soak, evidence, run) if up else Tally()
    if soak.offer.requests and isinstance(offered, Tally):
        counted = {**counted, SYNTHETIC: offered}
    boots = _boots(None if isinstance(told, Unmeasured) else told[1])
    counters, agree = _counters(site, boots, evidence.last)
    parts: dict[str, object] = {LOADED: found, INTEGRITY: agree, SYNTHETIC: offered}
    parts |= dict.fromkeys(_RECORDED, records)
    return Look(
        at,
        up,
        counted,
        _newest(records, evidence.last),
        None if isinstance(found, Unmeasured) else found,
        None if isinstance(agree, Unmeasured) else agree,
        counters,
        {name: one.why for name, one in parts.items() if isinstance(one, Unmeasured)},
    )


def count(records: Iterable[Row]) -> Mapping[str, Tally]:
    """Return what audit records say of real requests; those of the toolkit are left out."""
    real = [
        row for row in records
        if row.get("endpoint") != _ASIDE and OWN_CLIENT not in str(row.get("client") or "")
    ]  # fmt: skip
    streams = [row for row in real if row["stream"]]
    return dict(zip(_RECORDED, (_tally(real), _tally(streams)), strict=True))


def _newest(records: list[Row] | Unmeasured, last: Look | None) -> int:
    known = last.through if last else 0
    if isinstance(records, Unmeasured):
        return known
    return max((int(row["id"]) for row in records), default=known)


def _tally(rows: list[Row]) -> Tally:
    told = [row for row in rows if row["status"] != _CLIENT_LEFT and not _own_fault(row)]
    failed = sum(not row["success"] for row in told)
    return Tally(failed, len(told), len(rows) - len(told))


def _own_fault(row: Row) -> bool:
    """Whether a request was refused for what its client sent, and would have been before.

    A change of models shows in refusals, too: the new one may not know what the old one did. What
    was sent on to another model than the one it names counts as a failure, whatever it lacked.
    """
    status = row["status"]
    if not 400 <= status < 500 or status in _OF_THE_PROVIDER:
        return False
    if status in _OF_THE_CREDENTIAL:
        return True
    return "requested_model" in row and row.get("model") == row["requested_model"]


def _told(site: Site) -> tuple[Health, Workers | None] | Unmeasured:
    client = GatewayClient(site.url, site.world.http)
    try:
        return client.health(), client.workers()
    except (Unreachable, NotAGateway) as error:
        return Unmeasured(str(error))


def _loaded(health: Health, workers: Workers | None, wanted: str) -> Invariant | Unmeasured:
    named = {f"worker {one.slot}": one.fingerprint for one in workers.serving} if workers else {}
    if not named and health.fingerprint is not None:
        named = {"/health": health.fingerprint}
    if named:
        return loaded(named, wanted)
    if health.overrides_enabled is None:
        return Unmeasured("/health does not say whether overrides are enabled")
    # A gateway without fingerprints: what /health says has to do.
    broken = () if health.overrides_enabled else ("/health says overrides_enabled: false",)
    return Invariant(1, broken=broken)


def _new_records(site: Site, evidence: Evidence) -> list[Row] | Unmeasured:
    """Return the audit records that were written since the last look, in any order."""
    since = evidence.begun_at
    if evidence.last is not None:
        since = max(since, evidence.last.at - timedelta(seconds=LONGEST_REQUEST_S))
    known = evidence.last.through if evidence.last else 0
    found: list[Row] = []
    for page in range(_PAGES):
        rows = _page(site, since, page * _PAGE)
        if isinstance(rows, Unmeasured):
            return rows
        found += [row for row in rows if row["id"] > known]
        if len(rows) < _PAGE:
            return _once_each(found)
    return Unmeasured(f"more than {_PAGE * _PAGES} audit records since the last look")


def _page(site: Site, since: datetime, offset: int) -> list[Row] | Unmeasured:
    path = "/gateway/audit"
    start = quote(since.isoformat())
    answer = ask(site, f"{path}?start_time={start}&limit={_PAGE}&offset={offset}")
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


def _once_each(rows: list[Row]) -> list[Row]:
    """Return each record once: those that came between two pages push others onto the next."""
    return list({row["id"]: row for row in rows}.values())


def _offer(site: Site, soak: Soak, evidence: Evidence, run: str) -> Tally | Unmeasured:
    """Send as many of our own requests as are due by now, for an interval at most."""
    if not soak.offer.requests:
        return Tally()
    offer, clock = soak.offer, site.world.clock
    rate, begun_s = evidence.rates.get(SYNTHETIC), clock.monotonic()
    sent = rate.n if rate else 0
    elapsed_s = (clock.now() - evidence.begun_at).total_seconds()
    due = min(offer.requests, math.ceil(offer.requests * (elapsed_s / soak.bake_s)))
    try:
        key, failed, made = resolve_credential(offer.credential), 0, 0
    except InvalidInput as error:  # resumed in a terminal that does not have it
        return Unmeasured(str(error))
    while sent + made < due and clock.monotonic() - begun_s < soak.interval_s:
        clock.pause(0)  # an operator who says abort is heard between two requests
        model = offer.models[(sent + made) % len(offer.models)]
        request = small_request(model, run=f"{run}-soak", stream=made % 2 == 0)
        failed += bool(exchange(site.url, request, key, site.world).faults)
        made += 1
    return Tally(failed, made)


def _counters(
    site: Site, boots: tuple[str, ...], last: Look | None
) -> tuple[Reading, Invariant | Unmeasured]:
    """Return what only grows, and whether it fits the look before."""
    read: Counters | Unmeasured = read_counters(site, boots)
    told = _told(site)
    if isinstance(told, Unmeasured) or _boots(told[1]) != boots:
        read = Unmeasured("workers were replaced while the counters were read")
    before = last.counters if last else Reading()
    if isinstance(read, Unmeasured):
        return before, read
    totals = {name: read.total(name) for name in (REQUESTS, STATISTICS)}
    now = Reading({name: one for name, one in totals.items() if one is not None}, boots)
    return now, consistent([*_readings(before), *_readings(now)])


def _readings(of: Reading) -> list[CounterReading]:
    # Without a name of the process nobody can say that it is still the same one.
    boot = ",".join(of.boots) or f"unknown {id(of)}"
    return [CounterReading(name, boot, value) for name, value in of.values.items()]


def _boots(workers: Workers | None) -> tuple[str, ...]:
    return tuple(sorted(one.boot_id for one in workers.serving)) if workers else ()
