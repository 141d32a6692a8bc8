"""Measures for a gate: looks before, verification traffic, looks after. Sends bounded requests."""

from __future__ import annotations

from datetime import timedelta

from cco_migrate.errors import InvalidInput
from cco_migrate.gates.baseline import throughput
from cco_migrate.gates.capturing import capture
from cco_migrate.gates.evidence_file import Evidence
from cco_migrate.gates.kept import Kept
from cco_migrate.gates.looking import Look, in_short, look_at
from cco_migrate.gates.measured import Daemon, Measured
from cco_migrate.gates.order import Order
from cco_migrate.gates.phases import CAPTURE, RECORDED
from cco_migrate.gates.verifying import Verified, Waiting, verify
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.judge.outages import DAY_S
from cco_migrate.probes.audited import Record
from cco_migrate.probes.counters import REQUESTS, Counters, read_counters
from cco_migrate.probes.footprint import log_errors, log_size, record_faults
from cco_migrate.probes.glances import glance
from cco_migrate.probes.instances import look_at_health
from cco_migrate.probes.records import read_newest, read_records
from cco_migrate.probes.site import Site
from cco_migrate.probes.windows import window_of
from cco_migrate.recovery.record import Record as Rehearsal
from cco_migrate.recovery.record import read_record

MIN_WATCH_S = 1.2  # a second of uptime has to pass in between
SETTLE_S = 3.0
AUDIT_PAGES = 10  # of the newest records, however many there are


def measure(
    order: Order, site: Site, waiting: Waiting, evidence: Evidence | None = None
) -> Measured:
    """Look, send what the criteria need and no more, and look again.

    Args:
        evidence: Where looks are kept as soon as they are made; None keeps them for this run.
    """
    clock, kept = site.world.clock, evidence or Evidence(Kept(), lambda _line: None)
    if order.phase == CAPTURE:
        return capture(order, site.world, waiting, kept.kept)
    log_begin = log_size(order.home)
    before = _watched(order, site, waiting, kept)
    began_s = clock.monotonic()
    unsent = _obstacle(order, before)
    done = Verified() if unsent else verify(order, site, waiting, kept.kept)
    waiting("audit and counters", SETTLE_S)
    ids = [one for exchange in done.sent for one in exchange.request_ids if one]
    records = read_records(site, ids) if ids else Unmeasured(unsent or "no answer named its id")
    _settle(site, before, len(ids))
    clock.wait_until(lambda: clock.monotonic() - began_s >= MIN_WATCH_S, MIN_WATCH_S)
    after = look_at(site)
    looked_s = clock.monotonic()
    kept.add(in_short(order, site, after, ours=bool(done.sent)))
    waiting("", 0)
    readings = (before.counters, *done.readings, after.counters)
    return Measured(
        before,
        after,
        tuple(one for one in readings if isinstance(one, Counters)),
        done.sent,
        unsent,
        records,
        Daemon(record_faults(site, order.home), log_errors(order.home, log_begin)),
        kept.kept,
        window_of(kept.kept.glances),
        clock.now(),
        {url: look_at_health(Site(url, site.world)) for url in order.systems},
        clock.monotonic() - looked_s,
        throughput(done.bursts),
        _audit(order, site),
        rehearsal=_rehearsal(order, site),
    )


def _watched(order: Order, site: Site, waiting: Waiting, kept: Evidence) -> Look:
    """Look for as long as the order says, and keep every look; return the last one."""
    clock, began_s = site.world.clock, site.world.clock.monotonic()
    look = look_at(site)
    kept.add(in_short(order, site, look))
    while (left_s := began_s + order.watch_s - clock.monotonic()) > 0:
        waiting("real traffic", left_s)
        clock.pause(min(order.every_s, left_s))
        if left_s > order.every_s:
            kept.add(glance(site, order.home))
        else:
            look = look_at(site)
            kept.add(in_short(order, site, look))
    return look


def _rehearsal(order: Order, site: Site) -> Rehearsal | Unmeasured:
    """Read the record of the last rehearsal of the ways back."""
    if order.home is None:
        return Unmeasured("the state root is not known: give --home to read its rehearsal")
    try:
        found = read_record(order.home / "migrate", site.world.files)
    except InvalidInput as error:
        return Unmeasured(str(error))
    return found or Unmeasured("never rehearsed on this machine: invoke rollback.rehearse")


def _obstacle(order: Order, look: Look) -> str:
    if not look.seen:
        return "the gateway does not answer, so nothing was sent"
    return "" if order.streams else "no verification traffic was asked for"


def _audit(order: Order, site: Site) -> tuple[Record, ...] | Unmeasured:
    """Read the newest records of a day, when a criterion asks for them."""
    if not any(order.asks(name) for name in RECORDED):
        return Unmeasured("no criterion of the gate asks for it")
    return read_newest(site, site.world.clock.now() - timedelta(seconds=DAY_S), AUDIT_PAGES)


def _settle(site: Site, before: Look, sent: int) -> None:
    """Wait until the counters, summed over workers, know of the last answer."""
    known = None if isinstance(before.counters, Unmeasured) else before.counters.total(REQUESTS)
    if known is None or not sent:
        return

    def counted() -> bool:
        now = read_counters(site, ())
        total = None if isinstance(now, Unmeasured) else now.total(REQUESTS)
        return total is None or total >= known + sent

    site.world.clock.wait_until(counted, SETTLE_S, every_s=0.2)
