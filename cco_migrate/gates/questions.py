"""What the gates ask beyond the table of criteria: the checklists of the cutover as data. Pure.

Enforced is what a document names as a reason to go back. What it says nobody goes back for, and
what it gives no figure for, is observed: shown beside the verdict, never part of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from cco_migrate.judge.criterion import Bounds, Criterion, Kind, Mode, Traffic
from cco_migrate.judge.outages import DAY_S

_SOUND = ("config-loaded", "evidence-integrity")
_PLAN = "gateway cutover plan"
_SUCCESS = f"{_PLAN}, phase 1 success criteria"
_SOFT = f"{_PLAN}, phase 2 testing checklist"
_HARD = f"{_PLAN}, phase 3 testing checklist"
_NO_REASON = f"{_PLAN}, do not roll back for: issues resolved by a restart"
_BUGS = f"{_PLAN}, rollback decision criteria: critical bugs; the figure is ours"

_TABLE = (
    Criterion(
        "gateway-healthy", Kind.INVARIANT, Bounds(0, 0),
        "parts that do not call themselves healthy: the gateway and its providers", "parts",
        _SUCCESS, staleness_s=60,
    ),
    Criterion(
        "stream-conformance", Kind.RATE, Bounds(0.10, 0.10),
        "verification streams that break the protocol: order, terminator, usage, pace",
        "share", _SUCCESS, traffic=Traffic.SYNTHETIC, depends_on=_SOUND,
    ),
    Criterion(
        "canary-intact", Kind.INVARIANT, Bounds(0, 0),
        "verification streams with less text, tool call or betas than went in or must come out",
        "streams", _SUCCESS, traffic=Traffic.SYNTHETIC, depends_on=_SOUND,
    ),
    Criterion(
        "baseline-captured", Kind.COUNT, Bounds(50, None, at_least=True),
        "whole streams over the old path whose time to the first token is known", "streams",
        f"{_PLAN}, rollback decision criteria: a degradation needs something to compare with",
        traffic=Traffic.SYNTHETIC,
    ),
    Criterion(
        "sole-route", Kind.INVARIANT, Bounds(0, 0),
        "switches of the planned daemon-config.json that leave another way than the gateway",
        "switches", _SOFT, depends_on=_SOUND,
    ),
    Criterion(
        "daemon-record", Kind.INVARIANT, Bounds(0, 0),
        "faults of daemon.pid: its form, its process, its gateway port, a port of the old proxy",
        "faults", _HARD, staleness_s=60,
    ),
    Criterion(
        "process-restarts", Kind.INVARIANT, Bounds(0, 0),
        "times at which new processes began to count from nought", "restarts", _NO_REASON,
        mode=Mode.OBSERVE,
    ),
    Criterion(
        "log-errors", Kind.INVARIANT, Bounds(0, 0),
        "lines of errors in the daemon's log since this run began", "lines", _NO_REASON,
        mode=Mode.OBSERVE,
    ),
    Criterion(
        "memory-growth", Kind.MEAN, Bounds(16, 64),
        "growth of the memory of the daemon and its workers, mean of windows of ten minutes",
        "MiB/h", _BUGS, mode=Mode.OBSERVE, minimum_samples=6,
    ),
    Criterion(
        "disk-growth", Kind.MEAN, Bounds(64, 1024),
        "growth of what the state root takes on the disk, mean of windows of ten minutes",
        "MiB/h", _BUGS, mode=Mode.OBSERVE, minimum_samples=6,
    ),
    Criterion(
        "launcher-refuses", Kind.ATTESTATION, Bounds(1, 1, at_least=True),
        "people who saw the launcher fail with a clear error while the gateway was away",
        "approvals", _SOFT, staleness_s=30 * DAY_S,
    ),
    Criterion(
        "rollback-rehearsed", Kind.ATTESTATION, Bounds(1, 1, at_least=True),
        "rehearsals of the ways back, or people who took the flag rollback and came back",
        "approvals", _SOFT, staleness_s=7 * DAY_S,
    ),
    Criterion(
        "proxy-removed", Kind.ATTESTATION, Bounds(1, 1, at_least=True),
        "people who saw that the code builds, its tests pass and nothing names the old proxy",
        "approvals", _HARD, staleness_s=30 * DAY_S,
    ),
    Criterion(
        "earlier-findings", Kind.INVARIANT, Bounds(0, 0),
        "facts against the gateway that earlier runs on this evidence established", "findings",
        "cco-migrate: what was lost once is not found again by asking once more",
        traffic=Traffic.SYNTHETIC, staleness_s=60,
    ),
)  # fmt: skip

QUESTIONS: Mapping[str, Criterion] = {criterion.id: criterion for criterion in _TABLE}
"""By id; a file of criteria may change their figures as those of the table."""
