"""One look at a gateway that soaks: health, configuration, counters, new audit records, canaries.

Whatever cannot be measured is named in the look; nothing raises for a sick gateway.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from cco_migrate.checks.client_requests import small_request
from cco_migrate.checks.sending import exchange, resolve_credential
from cco_migrate.client import GatewayClient, Health, NotAGateway, Unreachable, Workers
from cco_migrate.errors import InvalidInput
from cco_migrate.judge.charges import ChargeTotals
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.judge.integrity import CounterReading, Invariant, consistent, loaded
from cco_migrate.pricing.prices import PriceTable
from cco_migrate.probes.audited import LONGEST_REQUEST_S, Record, real
from cco_migrate.probes.counters import REQUESTS, STATISTICS, Counters, read_counters
from cco_migrate.probes.records import PAGE, read_newest
from cco_migrate.probes.sequences import Followed, follow
from cco_migrate.probes.site import Site
from cco_migrate.probes.tallies import is_senders_fault
from cco_migrate.soak.counted import Numbered, charged
from cco_migrate.soak.evidence import OVERHEAD_S, OVERHEADS, OVERRIDDEN, Evidence
from cco_migrate.soak.looks import Look, Reading, Tally
from cco_migrate.soak.terms import CHARGED, GAPS, INTEGRITY, LOADED, OVERHEAD, SYNTHETIC, Soak

_RECORDED = ("error-rate", "streaming-failures")
_COUNTED = (REQUESTS, STATISTICS, OVERHEAD_S, OVERHEADS, OVERRIDDEN)
_CLIENT_LEFT = 499
_OF_THE_PROVIDER = frozenset({408, 409, 425, 429})  # it was busy or too slow
_OF_THE_CREDENTIAL = frozenset({401, 403})  # of the client's own: a key of the gateway ends in 503
_PAGES = 100


def look_at(
    site: Site, soak: Soak, evidence: Evidence, run: str, prices: PriceTable | Unmeasured
) -> Look:
    """Look once.

    Args:
        evidence: What was seen before.
        run: Names the sessions of our own requests.
        prices: By which the gateway bills.
    """
    at, told = site.world.clock.now(), _told(site)
    up = not isinstance(told, Unmeasured) and told[0].status == "ok"
    found = told if isinstance(told, Unmeasured) else _loaded(*told, soak.fingerprint)
    records = _newest_records(site, evidence)
    recorded = _recorded(records, evidence, at, prices)
    offered = _offer(site, soak, evidence, run) if up else Tally()
    if soak.offer.requests and isinstance(offered, Tally):
        recorded = replace(recorded, tallies={**recorded.tallies, SYNTHETIC: offered})
    boots = _boots(None if isinstance(told, Unmeasured) else told[1])
    counters, agree = _counters(site, boots, evidence.last)
    parts: dict[str, object] = {LOADED: found, INTEGRITY: agree, SYNTHETIC: offered}
    if OVERHEADS not in counters.values:
        parts[OVERHEAD] = Unmeasured("the gateway does not count its overhead")
    told_why = {name: one.why for name, one in parts.items() if isinstance(one, Unmeasured)}
    return replace(
        recorded,
        up=up,
        loaded=None if isinstance(found, Unmeasured) else found,
        integrity=None if isinstance(agree, Unmeasured) else agree,
        counters=counters,
        missing={**recorded.missing, **told_why},
    )


def count(records: Iterable[Record]) -> Mapping[str, Tally]:
    """Return what audit records say of real requests; those of the toolkit are left out."""
    theirs = real(records)
    streams = [row for row in theirs if row["stream"]]
    return dict(zip(_RECORDED, (_tally(theirs), _tally(streams)), strict=True))


def _recorded(
    records: tuple[Record, ...] | Unmeasured,
    evidence: Evidence,
    at: datetime,
    prices: PriceTable | Unmeasured,
) -> Look:
    """Return a look with what the audit says, and why it does not say more."""
    known = evidence.last.through if evidence.last else 0
    if isinstance(records, Unmeasured):
        missing = dict.fromkeys((*_RECORDED, CHARGED, GAPS), records.why)
        return Look(at, up=False, through=known, missing=missing)
    new = tuple(row for row in records if row["id"] > known)
    parts: dict[str, object] = {
        CHARGED: prices if isinstance(prices, Unmeasured) else charged(real(new), prices),
        GAPS: follow(records, at, evidence.numbered.through, lost_after_s=LONGEST_REQUEST_S),
    }
    charges, followed = parts[CHARGED], parts[GAPS]
    return Look(
        at,
        up=False,
        tallies=count(new),
        through=max((int(row["id"]) for row in new), default=known),
        charges=charges if isinstance(charges, ChargeTotals) else None,
        numbered=Numbered.of(followed) if isinstance(followed, Followed) else None,
        missing={name: one.why for name, one in parts.items() if isinstance(one, Unmeasured)},
    )


def _tally(rows: Sequence[Record]) -> Tally:
    told = [row for row in rows if row["status"] != _CLIENT_LEFT and not _own_fault(row)]
    failed = sum(not row["success"] for row in told)
    return Tally(failed, len(told), len(rows) - len(told))


def _own_fault(row: Record) -> bool:
    """Whether a request was refused for what its client sent, and would have been before.

    A change of models shows in refusals, too: the new one may not know what the old one did. What
    was sent on to another model than the one it names counts as a failure, whatever it lacked.
    """
    status = row["status"]
    unread = "requested_model" in row and row["requested_model"] is None
    if unread and is_senders_fault(status):
        return True  # nobody was asked: it was refused before it was read
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


def _newest_records(site: Site, evidence: Evidence) -> tuple[Record, ...] | Unmeasured:
    """Return the records that may have been written since the last look, in any order.

    Those of requests that arrived before it, and were recorded, are among them.
    """
    since = evidence.begun_at
    if evidence.last is not None:
        since = max(since, evidence.last.at - timedelta(seconds=LONGEST_REQUEST_S))
    rows = read_newest(site, since, _PAGES)
    if not isinstance(rows, Unmeasured) and len(rows) >= PAGE * _PAGES:
        return Unmeasured(f"more than {PAGE * _PAGES} audit records since the last look")
    return rows


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
    totals = {name: read.total(name) for name in _COUNTED}
    now = Reading({name: one for name, one in totals.items() if one is not None}, boots)
    return now, consistent([*_readings(before), *_readings(now)])


def _readings(of: Reading) -> list[CounterReading]:
    # Without a name of the process nobody can say that it is still the same one.
    boot = ",".join(of.boots) or f"unknown {id(of)}"
    return [CounterReading(name, boot, value) for name, value in of.values.items()]


def _boots(workers: Workers | None) -> tuple[str, ...]:
    return tuple(sorted(one.boot_id for one in workers.serving)) if workers else ()
