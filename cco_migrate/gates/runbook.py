"""The runbook of the gates, from the tables they are held by: Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cco_migrate.gates.by_hand import BY_HAND
from cco_migrate.gates.phases import CAPTURE, EARLIER, OVERRIDES, PHASES, TABLE, criteria_of
from cco_migrate.judge.binomial import trials_to_prove_below
from cco_migrate.judge.criterion import Criterion, Kind, Mode
from cco_migrate.judge.gate import terms_of
from cco_migrate.judge.terms import Form

_ABOUT = {
    CAPTURE: "before anything is cut over: how fast the old path answers",
    1: "what verification traffic of our own can prove",
    2: "both paths stand, clients take the gateway: real traffic over four days",
    3: "the old path is gone: real traffic over six days",
}
_HEAD = """\
# Runbook: hold a gate

Rendered from the criteria of the gates by `invoke runbook --kind gates`; a test fails when this
file is stale.

All of it at once: `invoke gate --phase N --url $GW --config PATH`. It changes nothing and ends with
GO 0, NO-GO 3, INCONCLUSIVE 4 or HOLD 5. With `--evidence FILE` a later run goes on with the samples
of the runs before; two gates on one file are kept apart (exit 11).

By hand: every criterion of the phase, as below. One that is proved to be bad is NO-GO, whatever the
others say. GO needs all of them; what was not looked at, or too seldom, is INCONCLUSIVE and never
GO. "Observed" ones are told beside the verdict and decide nothing.

`$GW` is the gateway's base URL, `$KEY` a verification credential, `$MODEL` a model, `$BEGAN` the
time of the first request (2026-01-31T12:00:00Z), `sent` a file of the x-gateway-request-id headers
that came back, `$FLEET` the URLs of all gateways, `$CCO_HOME` the gateway's state root.
"""


def render() -> str:
    """Return the page."""
    return "\n".join((_HEAD, *_phases(), *_criteria())).rstrip() + "\n"


def _phases() -> Iterator[str]:
    for phase in PHASES:
        names = [one.id for one in criteria_of(phase, TABLE, overrides=True)]
        asked = ", ".join(f"[{name}](#{name})" for name in names)
        yield f"## Phase {phase}: {_ABOUT[phase]}\n\n{asked}\n"


def _criteria() -> Iterator[str]:
    names = dict.fromkeys(name for asked in PHASES.values() for name in asked)
    for name in (*names, OVERRIDES, EARLIER):
        criterion, hand = TABLE[name], BY_HAND[name]
        do = f"```sh\n{hand.do}\n```" if hand.shell else hand.do
        yield f"## {name}\n\n{_question(criterion)}\n\n{do}\n\n* You see: {hand.see}"
        yield f"* Why: {criterion.source}.\n"


def _question(criterion: Criterion) -> str:
    said = f"{criterion.quantity[0].upper()}{criterion.quantity[1:]}: {_bounds(criterion)}"
    said += f"; {needed}" if (needed := _needed(criterion)) else ""
    return said + (". Observed." if criterion.mode is Mode.OBSERVE else ".")


def _bounds(criterion: Criterion) -> str:
    bounds, unit = criterion.bounds, criterion.unit
    if bounds.go == bounds.no_go == 0:
        return "none is GO, one is NO-GO"
    better, worse = ("at least", "less than") if bounds.at_least else ("below", "above")
    said = [] if bounds.go is None else [f"{better} {_amount(bounds.go, unit)} is GO"]
    said += [] if bounds.no_go is None else [f"{worse} {_amount(bounds.no_go, unit)} is NO-GO"]
    return ", ".join(said)


def _amount(value: float, unit: str) -> str:
    return f"{value * 100:g} %" if unit == "share" else f"{value:g} {unit}"


def _needed(criterion: Criterion) -> str:
    """Say how much evidence the criterion takes; empty when one look is enough."""
    if criterion.kind is Kind.RATE and criterion.bounds.go is not None:
        terms = terms_of(criteria_of(2, TABLE), Form.ANYTIME)
        clean = trials_to_prove_below(0, criterion.bounds.go, terms.alpha, terms.form)
        return f"{clean} without a failure are proof, each failure asks for more"
    if criterion.minimum_samples > 1:
        return f"{criterion.minimum_samples} samples at least"
    return ""
