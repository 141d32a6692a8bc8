"""Which criteria the gate of a phase asks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cco_migrate.criteria import CRITERIA
from cco_migrate.errors import InvalidInput
from cco_migrate.gates.questions import QUESTIONS
from cco_migrate.judge.criterion import Criterion, Mode, Traffic

CAPTURE = 0
"""The phase that measures the old path, before anything is cut over."""
EARLIER = "earlier-findings"
OVERRIDES = "overrides-applied"
"""Asked in phases 2 and 3, of a configuration that overrides anything."""

_SYNTHETIC = frozenset({"audit-complete", "cost-accuracy", "latency-ratio"})
RECORDED = ("audit-gaps", "cache-hit-rate", OVERRIDES)
"""What the audit records of everybody's requests answer."""

_SOUND = ("config-loaded", "evidence-integrity", "gateway-healthy")
_VERIFIED = ("stream-conformance", "canary-intact", "audit-complete", "cost-accuracy")
_REAL = ("streaming-failures", "error-rate", "availability", "latency-ratio", "latency-average",
         "audit-gaps")  # fmt: skip
_SHOWN = ("cache-hit-rate", "process-restarts", "log-errors", "memory-growth", "disk-growth")
_SAID = ("complaints", "critical-bugs", "user-feedback", "team-approval")

PHASES: Mapping[int, tuple[str, ...]] = {
    CAPTURE: ("stream-conformance", "baseline-captured"),
    1: (*_SOUND, *_VERIFIED),
    2: (
        *_SOUND, "start-failures", "sole-route", *_VERIFIED, *_REAL, "throughput-ratio", *_SHOWN,
        "launcher-refuses", "rollback-rehearsed", *_SAID,
    ),
    3: (
        *_SOUND, "start-failures", "sole-route", "daemon-record", *_VERIFIED, *_REAL, *_SHOWN,
        "proxy-removed", *_SAID,
    ),
}  # fmt: skip
"""Ids of the criteria, by phase: what a probe measures, then what only a person can say.

1 asks what verification traffic of our own can prove; 2 and 3 ask real traffic, over days, too.
Phase 2 alone asks for the throughput: it is a reason to go back to a path that 3 no longer has.
"""

TABLE: Mapping[str, Criterion] = {**CRITERIA, **QUESTIONS}
"""Every criterion there is, by id; a file of criteria may change its figures."""

_REAL_TRAFFIC = frozenset({2, 3})
_GUARDS: Mapping[int, frozenset[str]] = {3: frozenset({"audit-gaps", "complaints"})}
"""What phase 2 has to show and phase 3 must not disprove."""
_DAYS: Mapping[int, float] = {3: 6.0}  # phase 2 has the four days of the table
_DAY_S = 86_400.0


def criteria_of(
    phase: int, known: Mapping[str, Criterion], *, carried: bool = False, overrides: bool = False
) -> tuple[Criterion, ...]:
    """Return the criteria of a phase.

    Args:
        known: What a file changes and adds to TABLE.
        carried: Whether evidence of earlier runs counts: then what they found does, too.
        overrides: Whether the planned configuration overrides any model.

    Raises:
        InvalidInput: There is no gate for the phase, or the file asks what nobody measures.
    """
    if phase not in PHASES:
        there = ", ".join(map(str, PHASES))
        raise InvalidInput(f"--phase {phase}: no gate measures it; there is: {there}")
    if strange := sorted(known.keys() - TABLE.keys()):
        raise InvalidInput(f"criteria nobody measures: {', '.join(strange)}")
    asked = (OVERRIDES,) if overrides and phase in _REAL_TRAFFIC else ()
    names = (*PHASES[phase], *asked, *((EARLIER,) if carried else ()))
    return tuple(_one({**TABLE, **known}[name], phase, names) for name in names)


def _one(found: Criterion, phase: int, names: tuple[str, ...]) -> Criterion:
    if found.id in _SYNTHETIC:
        found = replace(found, traffic=Traffic.SYNTHETIC)
    if found.id in _GUARDS.get(phase, ()) and found == CRITERIA.get(found.id):
        found = replace(found, mode=Mode.GUARD)
    if phase in _DAYS and found == CRITERIA.get("availability"):
        found = replace(found, window_s=_DAYS[phase] * _DAY_S)
    if phase == CAPTURE:  # the old path tells no fingerprint and counts nothing
        found = replace(found, depends_on=tuple(one for one in found.depends_on if one in names))
    return found
