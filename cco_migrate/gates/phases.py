"""Which criteria the gate of a phase asks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cco_migrate.criteria import CRITERIA
from cco_migrate.errors import InvalidInput
from cco_migrate.judge.criterion import Bounds, Criterion, Kind, Traffic

_SOUND = ("config-loaded", "evidence-integrity")
_SUCCESS = "gateway cutover plan, phase 1 success criteria"

_OURS: Mapping[str, Criterion] = {
    one.id: one
    for one in (
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
    )
}  # fmt: skip

PHASES: Mapping[int, tuple[str, ...]] = {
    1: (
        "config-loaded",
        "evidence-integrity",
        "gateway-healthy",
        "stream-conformance",
        "canary-intact",
        "audit-complete",
        "cost-accuracy",
    ),
}
"""Ids of the criteria, by phase: what verification traffic of our own can prove."""


def criteria_of(phase: int, known: Mapping[str, Criterion]) -> tuple[Criterion, ...]:
    """Return the criteria of a phase.

    Args:
        known: The table of all criteria with what a file changes and adds.

    Raises:
        InvalidInput: There is no gate for the phase, or the file asks what nobody measures.
    """
    if phase not in PHASES:
        there = ", ".join(map(str, PHASES))
        raise InvalidInput(f"--phase {phase}: no gate measures it yet; there is: {there}")
    if strange := sorted(known.keys() - CRITERIA.keys() - _OURS.keys()):
        raise InvalidInput(f"criteria nobody measures: {', '.join(strange)}")
    return tuple(_one(name, known) for name in PHASES[phase])


def _one(name: str, known: Mapping[str, Criterion]) -> Criterion:
    ours = _OURS.get(name)
    if ours is None:
        return replace(known[name], traffic=Traffic.SYNTHETIC)
    given = known.get(name, ours)
    if given.kind is not ours.kind:
        raise InvalidInput(f"{name}.kind: is {ours.kind}, and cannot be changed")
    return given
