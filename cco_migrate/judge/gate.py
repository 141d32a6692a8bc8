"""Judges all criteria of a gate together. Pure.

GO needs every enforced criterion. NO-GO is said by any one of them, so the statistical ones share
its error. Evidence that cannot be trusted is not judged: criteria that depend on the integrity of
others are INCONCLUSIVE until those are GO.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cco_migrate.judge import EVIDENCE
from cco_migrate.judge.criterion import Criterion, Mode
from cco_migrate.judge.ruling import Conditions, Evidence, Ruling, rule, unmeasured
from cco_migrate.judge.terms import Form, Terms
from cco_migrate.verdict import Verdict

# A person who has to decide decides when all evidence is in: INCONCLUSIVE goes before HOLD.
_WORST_FIRST = (Verdict.NO_GO, Verdict.INCONCLUSIVE, Verdict.HOLD)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured for one criterion."""

    evidence: Evidence
    conditions: Conditions


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """Nothing could be measured, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class GateRuling:
    """The verdict of a gate.

    Attributes:
        rulings: Of each criterion, in the order of the gate, observed ones included.
        summary: One sentence: what decided.
    """

    verdict: Verdict
    rulings: tuple[Ruling, ...]
    summary: str

    @property
    def restart(self) -> bool:
        """Whether the evidence of the window has to begin anew."""
        return any(ruling.restart for ruling in self.rulings)


def terms_of(criteria: Sequence[Criterion], form: Form, alpha: float = 0.05) -> Terms:
    """Return the terms of a gate: the statistical criteria that can stop it share that error."""
    family = sum(one.mode is not Mode.OBSERVE and one.kind.statistical for one in criteria)
    return Terms(form, alpha, max(family, 1))


def judge_gate(
    criteria: Sequence[Criterion], samples: Mapping[str, Sample | Unmeasured], terms: Terms
) -> GateRuling:
    """Return the verdict of a gate on what was measured.

    Args:
        samples: By id of the criterion; one that is not there was not measured.

    Raises:
        ValueError: Criteria and samples do not fit: a sample nobody declared, evidence of another
            kind, an id named twice or a dependency that is not in the gate.
    """
    _require_fit(criteria, samples)
    rulings: dict[str, Ruling] = {}
    for criterion in sorted(criteria, key=lambda one: bool(one.depends_on)):
        sample = samples.get(criterion.id, Unmeasured("no probe reported"))
        rulings[criterion.id] = _ruled(criterion, sample, rulings, terms)
    in_order = tuple(rulings[criterion.id] for criterion in criteria)
    enforced = [ruling for ruling in in_order if ruling.enforced]
    if not any(one.mode is Mode.ENFORCE and one.bounds.go is not None for one in criteria):
        return GateRuling(Verdict.INCONCLUSIVE, in_order, "no enforced criterion can say GO")
    in_the_way = [ruling.verdict for ruling in enforced if ruling.in_the_way]
    verdict = min(in_the_way, key=_WORST_FIRST.index, default=Verdict.GO)
    return GateRuling(verdict, in_order, _summary(verdict, enforced))


def _ruled(
    criterion: Criterion, sample: Sample | Unmeasured, rulings: Mapping[str, Ruling], terms: Terms
) -> Ruling:
    if isinstance(sample, Unmeasured):
        return unmeasured(criterion, terms, sample.why)
    conditions = sample.conditions
    doubtful = [one for one in criterion.depends_on if rulings[one].verdict is not Verdict.GO]
    if doubtful and not conditions.doubt:
        told = ", ".join(f"{one} is {rulings[one].verdict}" for one in doubtful)
        conditions = Conditions(conditions.age_s, conditions.coverage, f"{told}: no sound evidence")
    return rule(criterion, sample.evidence, conditions, terms)


def _require_fit(criteria: Sequence[Criterion], samples: Mapping[str, Sample | Unmeasured]) -> None:
    declared = {criterion.id: criterion for criterion in criteria}
    if len(declared) < len(criteria):
        raise ValueError("a gate names each criterion once")
    if strange := sorted(samples.keys() - declared.keys()):
        raise ValueError(f"samples of criteria the gate does not have: {', '.join(strange)}")
    for criterion in criteria:
        sample = samples.get(criterion.id)
        if isinstance(sample, Sample) and type(sample.evidence) not in EVIDENCE[criterion.kind]:
            found = type(sample.evidence).__name__
            raise ValueError(f"{criterion.id} is a {criterion.kind}, its sample a {found}")
        for one in criterion.depends_on:
            if one not in declared or declared[one].depends_on:
                raise ValueError(f"{criterion.id} depends on {one}: not an independent criterion")


def _summary(verdict: Verdict, enforced: Sequence[Ruling]) -> str:
    if verdict is Verdict.GO:
        return f"nothing stands in the way of {len(enforced)} enforced criteria"
    decided = [one for one in enforced if one.verdict is verdict and one.in_the_way]
    names = ", ".join(ruling.criterion.id for ruling in decided)
    return f"{len(decided)} of {len(enforced)} enforced criteria are {verdict}: {names}"
