"""What is INCONCLUSIVE does not become GO by waiting: only new samples can do that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cco_migrate.criteria import CRITERIA
from cco_migrate.judge.attestations import Attestation, Attestations
from cco_migrate.judge.charges import Charge, Charges
from cco_migrate.judge.counts import Count
from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.gate import Sample, Unmeasured, judge_gate, terms_of
from cco_migrate.judge.integrity import Invariant
from cco_migrate.judge.means import WindowMeans
from cco_migrate.judge.moments import Moments
from cco_migrate.judge.outages import Probe, watch
from cco_migrate.judge.populations import Population
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.ratios import Arms, Ratio
from cco_migrate.judge.records import SentIds
from cco_migrate.judge.ruling import Conditions, Evidence
from cco_migrate.judge.terms import Form
from cco_migrate.verdict import Verdict

BEGAN = datetime(2026, 1, 20, tzinfo=UTC)


def rates(most: int) -> st.SearchStrategy[Rate]:
    return st.tuples(st.integers(0, most), st.integers(0, 20)).map(
        lambda drawn: Rate(min(drawn[1], drawn[0]), drawn[0])
    )


def moments(low: float, high: float) -> st.SearchStrategy[Moments]:
    return st.lists(st.floats(low, high), max_size=30).map(Moments.of)


def attestations(approves: Sequence[bool]) -> Attestations:
    expires = BEGAN + timedelta(days=9)
    given = tuple(
        Attestation(f"p{number}", BEGAN, "s", expires, word) for number, word in enumerate(approves)
    )
    return Attestations(given, "s", BEGAN)


EVIDENCE: Mapping[str, st.SearchStrategy[Evidence]] = {
    "evidence-integrity": st.integers(0, 3).map(Invariant),
    "config-loaded": st.builds(
        Invariant, st.integers(0, 3), st.sampled_from([(), ("stale",)]),
        st.sampled_from([(), ("a reload goes on",)]),
    ),
    "error-rate": rates(9000),
    "streaming-failures": rates(200),
    "start-failures": st.integers(1, 60).flatmap(
        lambda size: st.builds(Population, st.just(size), st.integers(2, 60).map(
            lambda seen: min(seen, size)), st.integers(0, 1))
    ),
    "availability": st.lists(st.booleans(), max_size=200).map(
        lambda ups: watch((Probe(60.0 * n, up) for n, up in enumerate(ups)), 60.0, 0.0)
    ),
    "latency-ratio": st.builds(
        lambda old, new: Ratio({"m": Arms(old, new)}), moments(-1, 1), moments(-1, 1)
    ),
    "latency-average": moments(100, 900).map(WindowMeans),
    "audit-complete": st.integers(0, 3).map(
        lambda flying: SentIds(("a", "b"), ("a", "b")[: flying + 1], in_flight=flying)
    ),
    "cost-accuracy": st.just(Charges((Charge("a", None, None, None),))),
    "overrides-applied": st.builds(Count, st.just(0), st.integers(0, 2)),
    "team-approval": st.lists(st.booleans(), max_size=3).map(attestations),
}  # fmt: skip


def aged(sample: Sample | Unmeasured, by_s: float) -> Sample | Unmeasured:
    """Return the same samples, looked at later."""
    if isinstance(sample, Unmeasured) or sample.conditions.age_s is None:
        return sample
    evidence = sample.evidence
    if isinstance(evidence, Attestations):
        evidence = replace(evidence, now=evidence.now + timedelta(seconds=by_s))
    age_s = sample.conditions.age_s + by_s
    return Sample(evidence, replace(sample.conditions, age_s=age_s))


@st.composite
def samples(draw: st.DrawFn) -> dict[str, Sample | Unmeasured]:
    found: dict[str, Sample | Unmeasured] = {}
    for name, evidence in EVIDENCE.items():
        age_s = draw(st.none() | st.floats(0, 400))
        coverage = draw(st.sampled_from([1.0, 0.98]))
        sample = Sample(draw(evidence), Conditions(age_s, coverage))
        measured = draw(st.integers(0, 3))
        found[name] = sample if measured else Unmeasured("nobody looked")
    return found


def criteria() -> tuple[Criterion, ...]:
    return tuple(CRITERIA[name] for name in EVIDENCE)


@given(samples(), st.floats(0, 1e7))
def test_nothing_that_was_inconclusive_becomes_go_by_waiting(
    measured: dict[str, Sample | Unmeasured], later_s: float
) -> None:
    asked = criteria()
    terms = terms_of(asked, Form.ANYTIME)
    before = judge_gate(asked, measured, terms)
    after = judge_gate(
        asked, {name: aged(sample, later_s) for name, sample in measured.items()}, terms
    )
    for first, then in zip(before.rulings, after.rulings, strict=True):
        if first.verdict is Verdict.INCONCLUSIVE:
            assert then.verdict is not Verdict.GO, first.criterion.id
    if before.verdict is Verdict.INCONCLUSIVE:
        assert after.verdict is not Verdict.GO


@given(st.lists(st.floats(-3, 3), max_size=40), st.integers(0, 40))
def test_samples_kept_in_two_runs_say_what_they_say_in_one(values: list[float], cut: int) -> None:
    once, twice = Moments.of(values), Moments.of(values[:cut]) + Moments.of(values[cut:])
    assert once.n == twice.n
    assert abs(once.mean - twice.mean) < 1e-9
    assert abs(once.squares - twice.squares) < 1e-6
