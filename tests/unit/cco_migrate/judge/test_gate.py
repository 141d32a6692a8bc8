"""All criteria of a gate together: three worlds, integrity first, and who decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from cco_migrate.criteria import CRITERIA
from cco_migrate.judge import EVIDENCE
from cco_migrate.judge.attestations import Attestation, Attestations
from cco_migrate.judge.charges import Charge, Charges
from cco_migrate.judge.counts import Count
from cco_migrate.judge.criterion import Kind, Mode
from cco_migrate.judge.gate import Sample, Unmeasured, judge_gate, terms_of
from cco_migrate.judge.integrity import CounterReading, Invariant, Reload, consistent, loaded
from cco_migrate.judge.means import WindowMeans
from cco_migrate.judge.moments import Moments
from cco_migrate.judge.outages import DAY_S, Probe, watch
from cco_migrate.judge.populations import Population
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.ratios import Arms, Ratio
from cco_migrate.judge.records import Boot, SentIds, Sequences
from cco_migrate.judge.ruling import Conditions, Evidence
from cco_migrate.judge.terms import Form, Terms
from cco_migrate.verdict import Verdict

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
GATE = tuple(CRITERIA.values())
TERMS = terms_of(GATE, Form.ANYTIME)
FRESH = Conditions(age_s=1.0)
SAME = Moments(2000, 5.0, 2000 * 0.05)


def approval(*, yes: bool = True) -> Attestations:
    return Attestations((Attestation("ann", NOW, "p1", NOW + timedelta(days=7), yes),), "p1", NOW)


def healthy() -> dict[str, Evidence]:
    probes = (Probe(second, up=True) for second in range(0, round(4 * DAY_S) + 1, 30))
    return {
        "config-loaded": loaded({"w0": "f1", "w1": "f1"}, "f1"),
        "evidence-integrity": Invariant(10),
        "start-failures": Population(20, 20, 0),
        "streaming-failures": Rate(0, 500),
        "error-rate": Rate(0, 10_000),
        "availability": watch(probes, 30, 0.0),
        "latency-ratio": Ratio({"all": Arms(SAME, SAME)}),
        "latency-average": WindowMeans(Moments(500, 40.0, 500.0)),
        "audit-complete": SentIds(("a", "b"), ("a", "b")),
        "audit-gaps": Sequences((Boot.of("b", (1, 2, 3)),)),
        "throughput-ratio": Ratio({"all": Arms(SAME, SAME)}),
        "cost-accuracy": Charges((Charge("a", Decimal(1), Decimal(1), Decimal(1)),)),
        "overrides-applied": Count(3, 3),
        "cache-hit-rate": Rate(10, 500),
        "complaints": Population(50, 50, 0, only_reports=True),
        "critical-bugs": approval(),
        "team-approval": approval(),
        "user-feedback": approval(),
    }


def quiet() -> dict[str, Evidence]:
    return {
        **healthy(),
        "streaming-failures": Rate(),
        "error-rate": Rate(),
        "latency-ratio": Ratio({}),
        "latency-average": WindowMeans(Moments()),
        "audit-complete": SentIds((), ()),
        "audit-gaps": Sequences(()),
        "throughput-ratio": Ratio({}),
        "cost-accuracy": Charges(()),
        "overrides-applied": Count(0, 0),
        "cache-hit-rate": Rate(),
    }


def measured(evidence: Mapping[str, Evidence]) -> dict[str, Sample | Unmeasured]:
    return {name: Sample(one, FRESH) for name, one in evidence.items()}


def test_healthy_world_is_go() -> None:
    ruling = judge_gate(GATE, measured(healthy()), TERMS)
    assert ruling.verdict is Verdict.GO, ruling.summary
    assert ruling.summary == "nothing stands in the way of 17 enforced criteria"
    assert [one.criterion.id for one in ruling.rulings] == list(CRITERIA)


def test_quiet_world_is_inconclusive() -> None:
    ruling = judge_gate(GATE, measured(quiet()), TERMS)
    assert ruling.verdict is Verdict.INCONCLUSIVE
    assert all(one.verdict is not Verdict.NO_GO for one in ruling.rulings)
    assert "error-rate" in ruling.summary


@pytest.mark.parametrize(
    ("name", "lie", "said"),
    [
        ("config-loaded", loaded({"w0": "f1", "w1": "f0"}, "f1"), "w1 has f0, planned is f1"),
        (
            "evidence-integrity",
            consistent([CounterReading("requests", "b", 9), CounterReading("requests", "b", 2)]),
            "requests fell from 9 to 2 in the same process",
        ),
        ("streaming-failures", Rate(30, 60), "30 of 60 requests"),
        ("audit-complete", SentIds(("a", "b"), ("a", "a")), "1 not recorded, 1 recorded twice"),
        ("audit-gaps", Sequences((Boot.of("b", (1, 3)),)), "1 without record, 0 recorded twice"),
        ("cost-accuracy", Charges((Charge("a", Decimal(0), Decimal(1), Decimal(1)),)), "$0.0000"),
        ("overrides-applied", Count(0, 3), "0 of 3 possible overrides"),
        ("complaints", Population(50, 50, 9, only_reports=True), "9 of 50 reported it"),
        ("team-approval", approval(yes=False), "refused by ann"),
    ],
)
def test_lying_world_is_no_go_and_names_the_lie(name: str, lie: Evidence, said: str) -> None:
    ruling = judge_gate(GATE, measured({**healthy(), name: lie}), TERMS)
    assert ruling.verdict is Verdict.NO_GO
    assert ruling.summary == f"1 of 17 enforced criteria are NO-GO: {name}"
    (told,) = (one.summary for one in ruling.rulings if one.criterion.id == name)
    assert said in told


def test_evidence_of_another_configuration_is_not_judged() -> None:
    evidence = {**healthy(), "config-loaded": loaded({"w0": "f0"}, "f1"), "error-rate": Rate(9, 9)}
    ruling = judge_gate(GATE, measured(evidence), TERMS)
    verdicts = {one.criterion.id: one for one in ruling.rulings}
    assert verdicts["config-loaded"].verdict is Verdict.NO_GO
    assert verdicts["error-rate"].verdict is Verdict.INCONCLUSIVE
    assert "config-loaded is NO-GO: no sound evidence" in verdicts["error-rate"].summary


def test_reload_in_time_restarts_the_window_and_judges_nothing() -> None:
    reloading = loaded({"w0": "f0"}, "f1", Reload(5, 30))
    ruling = judge_gate(GATE, measured({**healthy(), "config-loaded": reloading}), TERMS)
    assert (ruling.verdict, ruling.restart) == (Verdict.INCONCLUSIVE, True)
    assert not judge_gate(GATE, measured(healthy()), TERMS).restart


def test_probe_that_could_not_measure_is_inconclusive_and_says_why() -> None:
    samples = {**measured(healthy()), "error-rate": Unmeasured("connection refused")}
    del samples["complaints"]
    ruling = judge_gate(GATE, samples, TERMS)
    assert ruling.verdict is Verdict.INCONCLUSIVE
    assert ruling.summary.endswith("INCONCLUSIVE: error-rate, complaints")
    told = {one.criterion.id: one.summary for one in ruling.rulings}
    assert told["error-rate"] == "error-rate: not measured: connection refused"
    assert told["complaints"] == "complaints: not measured: no probe reported"


def test_person_decides_when_all_else_is_known() -> None:
    slower = Moments(20_000, 5.0 + 0.31, 20_000 * 0.05)
    grey = {**healthy(), "latency-ratio": Ratio({"all": Arms(SAME, slower)})}
    assert judge_gate(GATE, measured(grey), TERMS).verdict is Verdict.HOLD
    open_still = measured({**grey, "error-rate": Rate(0, 100)})
    assert judge_gate(GATE, open_still, TERMS).verdict is Verdict.INCONCLUSIVE


def test_observed_criterion_decides_nothing() -> None:
    observed = replace(CRITERIA["config-loaded"], mode=Mode.OBSERVE)
    sample = {"config-loaded": Sample(Invariant(1, ("w0",)), FRESH)}
    ruling = judge_gate((observed,), sample, TERMS)
    assert ruling.verdict is Verdict.INCONCLUSIVE
    assert ruling.summary == "no enforced criterion can say GO"
    assert ruling.rulings[0].verdict is Verdict.NO_GO


def test_only_enforced_statistical_criteria_share_the_error_of_no_go() -> None:
    assert TERMS.family == 7
    assert Terms(family=8).alpha_no_go == 0.00625
    assert terms_of((), Form.FIXED) == Terms(Form.FIXED, 0.05, 1)
    assert TERMS.sides(at_least=False) == (0.05 / 7, 0.05)
    assert TERMS.sides(at_least=True) == (0.05, 0.05 / 7)


@pytest.mark.parametrize(("alpha", "family"), [(0.0, 1), (0.5, 1), (0.05, 0)])
def test_impossible_terms_are_refused(alpha: float, family: int) -> None:
    with pytest.raises(ValueError, match="not terms to judge on"):
        Terms(Form.FIXED, alpha, family)


def test_what_does_not_fit_is_refused() -> None:
    rate, sound = CRITERIA["error-rate"], CRITERIA["config-loaded"]
    with pytest.raises(ValueError, match="does not have: error-rate"):
        judge_gate((sound,), {"error-rate": Unmeasured("x")}, TERMS)
    with pytest.raises(ValueError, match="names each criterion once"):
        judge_gate((sound, sound), {}, TERMS)
    with pytest.raises(ValueError, match="error-rate depends on config-loaded"):
        judge_gate((rate,), {}, TERMS)
    with pytest.raises(ValueError, match="config-loaded is a invariant, its sample a Count"):
        judge_gate((sound,), {"config-loaded": Sample(Count(1, 1), FRESH)}, TERMS)


@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [((1, 3), Verdict.NO_GO), ((1, 2), Verdict.GO), ((), Verdict.GO)],
    ids=["harm is proved", "no harm", "nothing was seen"],
)
def test_guard_stops_a_gate_and_holds_none_up(gaps: tuple[int, ...], verdict: Verdict) -> None:
    guard = replace(CRITERIA["audit-gaps"], mode=Mode.GUARD)
    gate = tuple(guard if one.id == guard.id else one for one in GATE)
    evidence = {**healthy(), guard.id: Sequences((Boot.of("b", gaps),))}
    assert judge_gate(gate, measured(evidence), TERMS).verdict is verdict


def test_guards_alone_never_say_go_and_share_the_error_of_no_go() -> None:
    guard = replace(CRITERIA["error-rate"], mode=Mode.GUARD, depends_on=())
    ruling = judge_gate((guard,), measured({guard.id: Rate(0, 10_000)}), TERMS)
    assert (ruling.verdict, ruling.summary) == (
        Verdict.INCONCLUSIVE, "no enforced criterion can say GO",
    )  # fmt: skip
    assert terms_of((guard, replace(guard, id="other")), Form.ANYTIME).family == 2


def test_every_kind_has_its_evidence_and_every_criterion_a_kind() -> None:
    assert set(EVIDENCE) == set(Kind)
    assert {type(one) for one in healthy().values()} <= {
        one for row in EVIDENCE.values() for one in row
    }
