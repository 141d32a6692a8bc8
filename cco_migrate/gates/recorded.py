"""What the audit records of everybody's requests make evidence of. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cco_migrate.gates.measured import Measured
from cco_migrate.gates.observed import Observed, few
from cco_migrate.gates.order import Order
from cco_migrate.judge.counts import Count
from cco_migrate.judge.gate import Sample, Unmeasured
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.records import Boot, Sequences
from cco_migrate.judge.ruling import Conditions
from cco_migrate.judge.ruling import Evidence as Statistics
from cco_migrate.probes.audited import Record, real
from cco_migrate.probes.sequences import follow

_PROMPT = ("input_tokens", "cache_write_tokens", "cache_read_tokens")


def _gaps(measured: Measured, order: Order) -> Observed:
    if isinstance(measured.audit, Unmeasured):
        return Observed(measured.audit)
    followed = follow(measured.audit, measured.now)
    if isinstance(followed, Unmeasured):
        return Observed(followed)
    notes = few(
        [_faults(one) for one in followed.boots if not one.expected == one.recorded == one.distinct]
    )
    if followed.later:
        notes += (f"{followed.later} records stand behind requests that may be in flight",)
    return _seen(Sequences(followed.boots), measured, notes)


def _hits(measured: Measured, order: Order) -> Observed:
    if isinstance(measured.audit, Unmeasured):
        return Observed(measured.audit)
    told = [row for row in real(measured.audit) if all(_known(row, name) for name in _PROMPT)]
    return _seen(Rate(sum(row["cache_read_tokens"] > 0 for row in told), len(told)), measured)


def _overridden(measured: Measured, order: Order) -> Observed:
    if isinstance(measured.audit, Unmeasured):
        return Observed(measured.audit)
    named = [row for row in real(measured.audit) if row.get("requested_model") in order.overridden]
    changed = sum(row.get("model") != row["requested_model"] for row in named)
    return _seen(Count(changed, len(named)), measured, (f"of {len(measured.audit)} records",))


EVIDENCE: Mapping[str, Callable[[Measured, Order], Observed]] = {
    "audit-gaps": _gaps,
    "cache-hit-rate": _hits,
    "overrides-applied": _overridden,
}
"""Who makes the evidence of a criterion from the audit."""


def _faults(boot: Boot) -> str:
    lost, twice = boot.expected - boot.distinct, boot.recorded - boot.distinct
    return f"process {boot.boot_id}: {lost} numbers without record, {twice} recorded twice"


def _known(row: Record, name: str) -> bool:
    return isinstance(row.get(name), int)


def _seen(found: Statistics, measured: Measured, notes: tuple[str, ...] = ()) -> Observed:
    return Observed(Sample(found, Conditions(measured.age_s)), notes)
