"""One gate from its order to its verdict: measures, judges, keeps what later runs go on with."""

from __future__ import annotations

from cco_migrate.gates.baseline import Baseline, first_tokens
from cco_migrate.gates.evidence import observe
from cco_migrate.gates.evidence_file import open_evidence
from cco_migrate.gates.evidence_lock import evidence_locked
from cco_migrate.gates.kept import Run
from cco_migrate.gates.measured import Measured
from cco_migrate.gates.measuring import measure
from cco_migrate.gates.order import Order
from cco_migrate.gates.outcome import Judged, judge
from cco_migrate.gates.phases import CAPTURE
from cco_migrate.gates.verifying import Waiting, rate_of
from cco_migrate.probes.glances import time_text
from cco_migrate.probes.site import Site
from cco_migrate.verdict import Verdict
from cco_migrate.world import World

LASTING = frozenset({"canary-intact", "audit-complete", "cost-accuracy"})
"""What these find stays found: a lost record is lost, whatever later traffic looks like."""


def hold_gate(order: Order, world: World, waiting: Waiting) -> Judged:
    """Measure what an order asks and return what the evidence says.

    Raises:
        InvalidInput: The evidence file is none, or of another order; nothing was asked or sent.
        LockHeld: Another gate measures on it; nothing was asked or sent.
        OSError: A sample or the baseline cannot be written; what was kept before still holds.
    """
    with evidence_locked(order.evidence):
        return _held(order, world, waiting)


def _held(order: Order, world: World, waiting: Waiting) -> Judged:
    evidence = open_evidence(order, world)
    measured = measure(order, Site(order.url, world), waiting, evidence)
    judged = judge(order, observe(measured, order))
    if measured.sent:
        evidence.add(_run(measured, judged, order))
    if order.capture is not None and judged.verdict is Verdict.GO:
        world.files.replace(order.capture, _baseline(measured, order).encoded())
    return judged


def _baseline(measured: Measured, order: Order) -> Baseline:
    at, beside = time_text(measured.now.timestamp()), measured.beside
    new = None if beside is None or beside.why else beside.pace
    gateway = order.gateway if new else ""
    return Baseline(at, order.url, measured.pace, order.proxy, gateway, new)


def _run(measured: Measured, judged: Judged, order: Order) -> Run:
    rulings = {row.ruling.criterion.id: row.ruling for row in judged.rows}
    loaded = order.phase == CAPTURE or rulings["config-loaded"].verdict is Verdict.GO
    rate = rate_of(measured.sent)
    found = {
        name: rulings[name].summary
        for name in sorted(LASTING & rulings.keys())
        if rulings[name].verdict is Verdict.NO_GO
    }
    tokens, paced = first_tokens(measured.sent), measured.throughput
    return Run(measured.now.timestamp(), loaded, rate.n, rate.k, tokens, found, paced)
