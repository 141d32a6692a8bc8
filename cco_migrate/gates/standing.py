"""What stands beside the traffic: planned switches, the daemon's record, approvals. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from cco_migrate.gates.measured import Measured
from cco_migrate.gates.observed import Observed
from cco_migrate.gates.order import Order
from cco_migrate.judge.attestations import Attestation, Attestations
from cco_migrate.judge.gate import Sample, Unmeasured
from cco_migrate.judge.integrity import Invariant
from cco_migrate.judge.populations import Population
from cco_migrate.judge.ruling import Conditions
from cco_migrate.recovery.standing import objection_to
from cco_migrate.verdict import Verdict

REHEARSED = "rollback-rehearsed"
_REHEARSAL = "the rehearsal on this machine"


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
            return Observed(Unmeasured(_unasked(f"--gate {name}")), note)
        ours = _in_scope(name, measured, order)
        said = Attestations(ours, order.scope, measured.now)
        age_s = _age_s(ours[-1], measured) if ours else None
        return Observed(Sample(said, Conditions(age_s)), note)

    return observed


def _complaints(measured: Measured, order: Order) -> Observed:
    note = (f"scope {order.scope}",)
    counts = [
        (one, one.counted)
        for one in _in_scope("complaints", measured, order)
        if one.counted and measured.now < one.expires
    ]
    if not counts:
        return Observed(Unmeasured(_unasked("--gate complaints --count N --of USERS")), note)
    word, (bad, of) = counts[-1]
    found = Population(of, bad, bad, only_reports=True)
    return Observed(
        Sample(found, Conditions(_age_s(word, measured))), (f"counted by {word.by}", *note)
    )


def _rehearsed(measured: Measured, order: Order) -> Observed:
    """Return what the last rehearsal on this machine proved; a person's word where none counts."""
    found = measured.rehearsal
    if isinstance(found, Unmeasured):
        said = _approved(REHEARSED)(measured, order)
        return Observed(said.sample, (found.why, *said.notes))
    oldest = timedelta(seconds=order.criterion(REHEARSED).staleness_s)
    at = found.origin.at
    failed = found.verdict is Verdict.NO_GO and measured.now - at <= oldest
    why = objection_to(found, order.fingerprint or "unknown", measured.now, oldest)
    if why and not failed:
        said = _approved(REHEARSED)(measured, order)
        return Observed(said.sample, (why, *said.notes))
    word = Attestation(_REHEARSAL, at, order.scope, at + oldest, approves=not failed)
    words = Attestations((*_in_scope(REHEARSED, measured, order), word), order.scope, measured.now)
    told = (f"by {one.way} {one.p95_s:.1f} s (p95 of {len(one.seconds)})" for one in found.timings)
    notes = (why,) if why else tuple(told)
    return Observed(Sample(words, Conditions(_age_s(word, measured))), notes)


_ATTESTED = (
    "launcher-refuses",
    "proxy-removed",
    "critical-bugs",
    "user-feedback",
    "team-approval",
)

EVIDENCE: Mapping[str, Callable[[Measured, Order], Observed]] = {
    "sole-route": _sole_route,
    "daemon-record": _record,
    "log-errors": _log,
    "complaints": _complaints,
    REHEARSED: _rehearsed,
    **{name: _approved(name) for name in _ATTESTED},
}
"""Who makes the evidence of a criterion from what is written."""


def _in_scope(name: str, measured: Measured, order: Order) -> tuple[Attestation, ...]:
    """Return what was said of this gate up to now, the newest last."""
    given = (order.approvals or {}).get(name, ())
    ours = (one for one in given if one.scope == order.scope and one.at <= measured.now)
    return tuple(sorted(ours, key=lambda one: one.at))


def _age_s(word: Attestation, measured: Measured) -> float:
    return (measured.now - word.at).total_seconds()


def _unasked(words: str) -> str:
    return f"nobody was asked: approve {words}"


def _fact(found: Invariant | Unmeasured, measured: Measured) -> Observed:
    if isinstance(found, Unmeasured):
        return Observed(found)
    return Observed(Sample(found, Conditions(measured.age_s)))
