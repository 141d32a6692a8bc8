"""Key figures are what gates and soaks measured; what nobody measured has no figure, but a why."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from cco_migrate import report
from cco_migrate.criteria import to_json
from cco_migrate.gates.phases import criteria_of
from cco_migrate.judge.gate import Sample, judge_gate, terms_of
from cco_migrate.judge.means import WindowMeans
from cco_migrate.judge.moments import Moments
from cco_migrate.judge.outages import Probe, watch
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.ratios import Arms, Ratio
from cco_migrate.judge.records import SentIds
from cco_migrate.judge.ruling import Conditions, Evidence
from cco_migrate.judge.terms import Form
from cco_migrate.model import Instance, JsonObject, Plan, Step
from cco_migrate.report import charts
from cco_migrate.report.kpis import KPIS, kpis
from cco_migrate.report.recomputation import recompute
from cco_migrate.runs.journal import RunState, Status
from cco_migrate.runs.store import Run
from cco_migrate.session import Session

Tell = Callable[..., None]
CRITERIA = criteria_of(2, {})
GATE = Step(11, "gate", "gate of phase 2", "gate.held",
            {"phase": 2, "criteria": {one.id: to_json(one) for one in CRITERIA}})  # fmt: skip
DAY_S = 86_400.0
OLD, NEW = Moments.of_logs([0.02, 0.03] * 30), Moments.of_logs([0.03, 0.04, 0.05] * 20)
STRATA = {"haiku, text": Arms(OLD, NEW), "opus, text": Arms(Moments(), Moments.of_logs([0.1] * 3))}


def all_day(down: range = range(0)) -> Evidence:
    probes = [Probe(at_s * 30.0, at_s not in down) for at_s in range(4 * 2880 + 1)]
    return watch(probes, 30.0, 0.0)


def ids(*, lost: int) -> SentIds:
    sent = tuple(f"id-{number}" for number in range(400))
    return SentIds(sent, sent[lost:])


def held(samples: Mapping[str, Evidence]) -> JsonObject:
    """What a gate of phase 2 journals of evidence; sound where nothing else is said."""
    sound = {"config-loaded", "evidence-integrity"}
    criteria = tuple(replace(one, depends_on=()) for one in CRITERIA if one.id not in sound)
    given = {name: Sample(one, Conditions(1.0)) for name, one in samples.items()}
    gate = judge_gate(criteria, given, terms_of(criteria, Form.ANYTIME))
    rows = [
        {"id": one.criterion.id, "verdict": one.verdict.value, "enforced": one.enforced,
         "summary": one.summary, "facts": one.judgement().facts}
        for one in gate.rulings
    ]  # fmt: skip
    return {"phase": 2, "gate": gate.verdict.value, "said": gate.summary, "approvals": "a",
            "criteria": rows, "verdict": gate.verdict.value}  # fmt: skip


@pytest.fixture
def cutover(session: Session, instance_at: Callable[[str], Instance]) -> Run:
    """A run of the cutover that has only begun."""
    at = instance_at("http://127.0.0.1:1")
    return session.store.create(Plan("gateway-cutover", at, (GATE,), (), (), "f0", "f1"))


def rows_of(run: Run) -> dict[str, JsonObject]:
    return {row["kpi"]: row for row in kpis(run.plan, run.state)}


Case = tuple[str, str, Evidence, str, float, tuple[float, float] | None]
MEASURED: dict[str, Case] = {
    "whole time up": ("availability", "availability", all_day(), "met", 100.0, (99.9, 100)),
    "an hour away": ("availability", "availability", all_day(range(120)), "missed", 98.958,
                     (98.9, 99.9)),
    "few failures": ("error-rate", "error-rate", Rate(0, 9000), "met", 0.0, (0, 0.1)),
    "many failures": ("error-rate", "error-rate", Rate(90, 9000), "missed", 1.0, (0.1, 2)),
    "thin traffic": ("error-rate", "error-rate", Rate(0, 200), "undecided", 0.0, (0, 100)),
    "quick": ("overhead", "latency-average", WindowMeans(Moments.of([2.0, 4.0] * 20)), "met", 3.0,
              (0, 500)),
    "slow": ("overhead", "latency-average", WindowMeans(Moments.of([800.0, 900.0] * 99)), "missed",
             850.0, (500, 1200)),
    "every id": ("logged", "audit-complete", ids(lost=0), "met", 100.0, None),
    "one lost": ("logged", "audit-complete", ids(lost=1), "missed", 99.75, None),
}  # fmt: skip


@pytest.mark.parametrize("case", MEASURED.values(), ids=MEASURED)
def test_figure_is_the_measured_one_with_the_interval_of_the_judge(
    cutover: Run, tell: Tell, case: Case
) -> None:
    kpi, criterion, evidence, standing, value, within = case
    tell(cutover, "gate", held({criterion: evidence}))
    row = rows_of(cutover)[kpi]
    assert (row["standing"], row["where"]) == (standing, "gate of phase 2")
    assert row["value"] == pytest.approx(value, abs=0.001)
    assert row["n"] > 0
    if within is None:
        assert (row["low"], row["high"]) == (None, None)
    else:
        assert within[0] - 1e-9 <= row["low"] <= row["high"] <= within[1] + 1e-9
        assert row["low"] - 1e-9 <= row["value"] <= row["high"] + 1e-9


def test_first_token_is_told_as_observed_and_drawn_beside_the_old_path(
    cutover: Run, tell: Tell
) -> None:
    tell(cutover, "gate", held({"latency-ratio": Ratio(STRATA)}))
    row = rows_of(cutover)["first-token"]
    assert (row["standing"], row["n"]) == ("observed", 63)
    assert row["value"] == pytest.approx(40.94, abs=0.01)  # 60 of 39.15 ms, 3 of 100 ms
    (drawn,) = report.build(cutover.plan, cutover.state, "0.1.0")["latency"]
    assert drawn["stratum"] == "haiku, text"
    assert [(arm["label"], arm["n"]) for arm in drawn["arms"]] == [("before", 60), ("after", 60)]
    assert [round(arm["mean_ms"], 1) for arm in drawn["arms"]] == [24.5, 39.1]
    for arm in drawn["arms"]:
        assert arm["low_ms"] < arm["mean_ms"] < arm["high_ms"]
    page = report.render(cutover.plan, cutover.state, "0.1.0")["report.html"]
    assert "before 24.5 ms (" in page
    assert page.count('class="series mean"') == 2


@pytest.mark.parametrize(
    "strata",
    [
        {},
        {
            "only new": {
                "old": {"n": 1, "mean": 0, "squares": 0},
                "new": {"n": 9, "mean": 0, "squares": 1},
            }
        },
    ],
)
def test_nothing_is_drawn_where_one_path_was_not_measured_twice(strata: JsonObject) -> None:
    assert charts.arms(strata) == []


def test_what_nobody_measured_has_no_figure_and_says_why(cutover: Run, tell: Tell) -> None:
    before = rows_of(cutover)
    assert {row["said"] for row in before.values()} == {"not reached: gate of phase 2"}
    tell(cutover, "gate", held({"error-rate": Rate(0, 0)}))
    rows = rows_of(cutover)
    assert set(rows) == {one.id for one in KPIS}
    assert {row["standing"] for row in rows.values()} == {"not measured"}
    assert {row["value"] for row in rows.values()} == {None}
    assert rows["error-rate"]["said"].endswith("there are no samples")
    assert rows["availability"]["said"] == "no probe reported"
    bare = replace(cutover.plan, steps=())
    (said,) = {row["said"] for row in kpis(bare, cutover.state)}
    assert said == "no gate or soak of this plan asks it"


def test_soak_and_gate_each_have_their_row(run: Run) -> None:
    rows = kpis(replace(run.plan, kind="gateway-cutover"), run.state)
    told = {row["kpi"]: row for row in rows}
    assert (told["error-rate"]["where"], told["error-rate"]["n"]) == ("soak", 200)
    assert told["availability"]["where"] == "soak"
    assert told["logged"]["standing"] == "not measured"
    assert kpis(run.plan, run.state) == []


def test_targets_are_those_of_the_criteria() -> None:
    assert [one.target for one in KPIS] == [
        "above 99.9 %", "below 500 ms", "below 500 ms", "below 0.1 %", "100 %", "100 %",
    ]  # fmt: skip


def test_key_figures_are_in_every_form_of_the_report(cutover: Run, tell: Tell) -> None:
    samples: dict[str, Evidence] = {"error-rate": Rate(0, 9000), "latency-ratio": Ratio(STRATA)}
    tell(cutover, "gate", held(samples))
    files = report.render(cutover.plan, cutover.state, "0.1.0")
    assert len(json.loads(files["report.json"])["kpis"]) == len(KPIS)
    assert "| below 0.1 % | 0 % | at least 0, at most 0." in files["report.md"]
    assert "| haiku, text | before | 60 | 24.5 |" in files["report.md"]
    page = files["report.html"]
    assert page.count('<th role="rowheader"') == len(KPIS)
    assert "<b>0 %</b>" in page
    assert 'aria-label="haiku, text: before 24.5 ms' in page


def test_journal_whose_figures_do_not_give_its_words_is_found(cutover: Run, tell: Tell) -> None:
    good = held({"error-rate": Rate(0, 9000), "audit-complete": ids(lost=0)})
    tell(cutover, "gate", good)
    changes: list[tuple[str, JsonObject, str]] = [
        ("error-rate", {"facts": figures(good, "error-rate", high=0.5)}, "called GO, its figures"),
        ("error-rate", {"enforced": False}, "counts otherwise than the plan says"),
        ("availability", {"verdict": "NO-GO"}, "is called NO-GO, its figures give"),
    ]
    for name, change, _ in changes:
        rows = [{**row, **change} if row["id"] == name else row for row in good["criteria"]]
        tell(cutover, "gate", {**good, "criteria": rows})
    tell(cutover, "gate", {**good, "gate": "GO", "verdict": "GO"})
    faults = [one.fault for one in recompute(cutover.plan, cutover.journal.entries)]
    assert faults[0] == ""
    for fault, (_, _, said) in zip(faults[1:], changes, strict=False):
        assert said in fault
    assert "the gate is called GO, its criterion " in faults[-1]


def figures(gate: JsonObject, name: str, **changed: float) -> JsonObject:
    row = next(one for one in gate["criteria"] if one["id"] == name)
    return {**row["facts"], **changed}


def test_empty_state_has_a_row_for_each_key_figure(cutover: Run) -> None:
    nothing = RunState("none", Status.OPEN, "", "", {}, {})
    assert [row["kpi"] for row in kpis(cutover.plan, nothing)] == [one.id for one in KPIS]
