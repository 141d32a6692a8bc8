"""What stands beside the traffic: planned switches, the daemon's record, approvals. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cco_migrate.gates.measuring import Measured
from cco_migrate.gates.observed import Observed
from cco_migrate.gates.order import Order
from cco_migrate.judge.attestations import Attestations
from cco_migrate.judge.gate import Sample, Unmeasured
from cco_migrate.judge.integrity import Invariant
from cco_migrate.judge.ruling import Conditions


def _sole_route(measured: Measured, order: Order) -> Observed:
    if order.switches is None:
        why = "the planned daemon-config.json is not known: give --config in place of a fingerprint"
        return Observed(Unmeasured(why))
    gateway, proxy = order.switches
    faults = [] if gateway else ["gatewayEnabled is false"]
    faults += ["proxyEnabled is true: clients may still take the old proxy"] if proxy else []
    return Observed(Sample(Invariant(2, tuple(faults)), Conditions(measured.age_s)))


def _record(measured: Measured, order: Order) -> Observed:
    return _fact(measured.daemon.record, measured)


def _log(measured: Measured, order: Order) -> Observed:
    return _fact(measured.daemon.log, measured)


def _approved(name: str) -> Callable[[Measured, Order], Observed]:
    def observed(measured: Measured, order: Order) -> Observed:
        note = (f"scope {order.scope}",)
        if order.approvals is None:
            why = f"nobody was asked: approve --gate {name} --out FILE, then give --approvals FILE"
            return Observed(Unmeasured(why), note)
        ours = [one for one in order.approvals.get(name, ()) if one.scope == order.scope]
        said = Attestations(tuple(ours), order.scope, measured.now)
        newest = max((one.at for one in ours if one.at <= measured.now), default=None)
        age_s = None if newest is None else (measured.now - newest).total_seconds()
        return Observed(Sample(said, Conditions(age_s)), note)

    return observed


_ATTESTED = (
    "launcher-refuses",
    "rollback-rehearsed",
    "proxy-removed",
    "critical-bugs",
    "user-feedback",
    "team-approval",
)

EVIDENCE: Mapping[str, Callable[[Measured, Order], Observed]] = {
    "sole-route": _sole_route,
    "daemon-record": _record,
    "log-errors": _log,
    **{name: _approved(name) for name in _ATTESTED},
}
"""Who makes the evidence of a criterion from what is written."""


def _fact(found: Invariant | Unmeasured, measured: Measured) -> Observed:
    if isinstance(found, Unmeasured):
        return Observed(found)
    return Observed(Sample(found, Conditions(measured.age_s)))
