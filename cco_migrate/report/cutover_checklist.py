"""The checklists of the gateway cutover, phase by phase, and what answers each item. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cco_migrate.report.answers import (
    Answer,
    ChecklistItem,
    Found,
    Look,
    Proof,
    answered,
    criterion_met,
    facts_of,
    step_done,
    step_kept,
)
from cco_migrate.soak.terms import USES as SOAK

_GATE = "gate.held"
_RECORD, _IN_FORCE = "switches.state", "switches.in-force"
_REFERENCES, _COMMANDS = "removal.references", "removal.commands"


@dataclass(frozen=True, slots=True)
class Asked:
    """One item of a checklist.

    Attributes:
        looks: Where its proofs are; all of them must hold.
        only_with: Without a step of this use in the plan nobody asks the item; "" for always.
        outlives: As in `ChecklistItem`.
    """

    text: str
    looks: tuple[Look, ...]
    only_with: str = ""
    outlives: bool = False


def phase_of(found: Found) -> int:
    """Return the phase of the cutover: that of its last gate; 0 for a plan that holds none."""
    gates = (step for step in found.plan.steps if step.uses == _GATE)
    return max((int(step.params["phase"]) for step in gates), default=0)


def cutover(found: Found) -> tuple[ChecklistItem, ...]:
    """Answer the checklist of the phase that a plan carries out; empty for a plan of none."""
    uses = {step.uses for step in found.plan.steps}
    asked = (one for one in PHASES.get(phase_of(found), ()) if one.only_with in {"", *uses})
    return tuple(
        answered(one.text, tuple(look(found) for look in one.looks), outlives=one.outlives)
        for one in asked
    )


def _gateway_port(found: Found) -> Proof:
    """Look whether the daemon told the port of its gateway."""
    port = facts_of(found, _RECORD).get("gateway_port")
    if port is not None:
        return Proof(Answer.PROVEN, f"daemon.pid: gateway_port {port}")
    return Proof(Answer.OPEN, "daemon.pid names no gateway_port: phase 2 switches it on")


def _old_path_closed(found: Found) -> Proof:
    """Look whether the daemon serves no old proxy any more."""
    kept = [s.params["proxy"] for s in found.plan.steps if s.uses == _IN_FORCE][-1:] == [True]
    proof = step_done(_IN_FORCE)(found)
    if kept and proof.answer is Answer.PROVEN:
        return Proof(Answer.OPEN, "the old proxy stays as a warm standby, as was asked for")
    return proof


def _validated(found: Found) -> Proof:
    """Look for the gate of phase 1: in this run, or in one before it that the plan names."""
    gate = next((s for s in found.plan.steps if s.uses == _GATE and s.params["phase"] == 1), None)
    if gate is not None:
        known = found.state.steps.get(gate.id)
        good = known is not None and (known.evidence or {}).get("verdict") == "GO"
        said = known.reason if known and known.reason else "not reached"
        return Proof(Answer.PROVEN if good else Answer.NOT_PROVEN, said)
    told = next((one for one in found.plan.notes if one.startswith("the gate of phase 1")), "")
    return Proof(Answer.PROVEN if told else Answer.OPEN, told or "no gate of phase 1 was held")


def _documents_rewritten(found: Found) -> Proof:
    """Look for documents that still speak of what was removed."""
    facts = facts_of(found, _REFERENCES)
    if "documents_count" not in facts:
        return Proof(Answer.NOT_PROVEN, "not reached")
    left = facts["documents_count"]
    said = f"{left} places in documents still speak of it" if left else "no document speaks of it"
    return Proof(Answer.NOT_PROVEN if left else Answer.PROVEN, said)


def _met(*names: str) -> tuple[Look, ...]:
    return tuple(criterion_met(name) for name in names)


_SAVED = Asked(
    "Configuration saved, and the copies restored once", (step_kept("files.backup"),),
    outlives=True,
)  # fmt: skip
_WHOLE = Asked(
    "Streams arrive in order, paced, whole and unchanged",
    _met("stream-conformance", "canary-intact"),
)
_BILLED = Asked("Each request is billed as its tokens cost", _met("cost-accuracy"))
_RECORDED = Asked("Each request is in the audit, once", _met("audit-complete"))

_VALIDATION = (
    _SAVED,
    Asked("The daemon runs, and every worker serves the files as they are",
          (step_done(_RECORD), *_met("config-loaded"))),
    Asked("The daemon tells the gateway's port", (_gateway_port,)),
    Asked("A client that is launched goes where the switches say",
          (step_done("launcher.leads", "launcher.divides"),)),
    Asked("Gateway and providers call themselves healthy", _met("gateway-healthy")),
    Asked("What the gateway counts agrees with itself", _met("evidence-integrity")),
    _RECORDED,
    _WHOLE,
    _BILLED,
)  # fmt: skip

_SOFT = (
    _SAVED,
    Asked("Phase 1 was passed on the files before the change", (_validated,)),
    Asked("Every configuration file is valid after the edit",
          (step_done("files.edit-or-create", "config.valid"),)),
    Asked("Every worker serves the new configuration",
          (step_done("config.loaded"), *_met("config-loaded"))),
    Asked("The daemon runs without the old proxy", (_old_path_closed,)),
    Asked("Switches and launcher leave no other way than the gateway",
          (step_done("launcher.leads"), *_met("sole-route"))),
    Asked("The launcher refuses in plain words while the gateway is away",
          _met("launcher-refuses")),
    _WHOLE,
    _BILLED,
    _RECORDED,
    Asked("Real traffic holds: failures, time away and latency",
          _met("error-rate", "streaming-failures", "availability", "latency-average")),
    Asked("Each share of the canary was drawn as planned",
          (step_done("launcher.divides"),), only_with="launcher.divides"),
    Asked("The change held for its bake time", (step_done(SOAK),), only_with=SOAK),
    Asked("The way back by flag was rehearsed", _met("rollback-rehearsed")),
    Asked("No critical bug, content users and an approving team",
          _met("critical-bugs", "user-feedback", "team-approval")),
)  # fmt: skip

_HARD = (
    Asked("Tag and bundle of the last commit with the old proxy are made",
          (step_kept("git.tag"), step_kept("git.bundle")), outlives=True),
    Asked("The repository was restored from that bundle, and its tests passed there",
          (step_done("removal.restorable"),), outlives=True),
    Asked("The manifest fits: every removal applies", (step_done("removal.fits"),)),
    Asked("The old proxy is removed on a branch of its own",
          (step_done("git.branch"), step_done("git.remove"))),
    Asked("The code builds, and its tests pass without it", (step_done(_COMMANDS),)),
    Asked("Nothing refers to what was removed", (step_done(_REFERENCES),)),
    Asked("Documents are rewritten", (_documents_rewritten,)),
    Asked("A revert of the removal was rehearsed, tests included",
          (step_done("removal.revertible"),)),
    Asked("The daemon's record is valid and names no old proxy", _met("daemon-record")),
    Asked("The daemon runs, and its gateway serves as before",
          (step_done(_RECORD), *_met("config-loaded", "gateway-healthy", "stream-conformance"))),
    _BILLED,
    _RECORDED,
)  # fmt: skip

PHASES: Mapping[int, tuple[Asked, ...]] = {1: _VALIDATION, 2: _SOFT, 3: _HARD}
"""The items of each phase, in the order in which they are read."""
