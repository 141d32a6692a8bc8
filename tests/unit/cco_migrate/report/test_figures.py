"""What was measured is in all three forms of a report: charts, intervals, waivers, words of people.

A chart is drawn of evidence alone, and its lengths are those of its figures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from cco_migrate import report, resources
from cco_migrate.model import Basis, JsonObject, Plan
from cco_migrate.report import charts, context, drawing
from cco_migrate.runs.journal import Event
from cco_migrate.runs.store import Run

PRICED: JsonObject = {
    "method": "audit", "overridden": 20, "wrong": 0, "unpriced": [], "billed_usd": "0.0703",
    "computed_usd": "0.0703", "before_usd": "0.2109", "prices_as_of": "2026-11-02",
    "saved_percent": "66.7",
}  # fmt: skip
DEARER: JsonObject = {**PRICED, "billed_usd": "0.4218", "saved_percent": "-100.0"}
WRONG: JsonObject = {k: v for k, v in {**PRICED, "wrong": 3}.items() if k != "saved_percent"}
TOTALS: JsonObject = {"method": "totals", "targets": ["m"], "target_calls": 3}
THIRD = [("before", 100.0), ("good", 33.3)]
Drawn = list[tuple[str, float]]
COSTS: dict[str, tuple[JsonObject, Drawn, str]] = {
    "cheaper": (PRICED, THIRD, "−66.7 %"),
    "dearer": (DEARER, [("before", 50.0), ("bad", 100.0)], "+100.0 %"),
    "partly priced": ({**PRICED, "unpriced": ["mystery-9"]}, THIRD, "mystery-9"),
    "billed otherwise": (WRONG, THIRD, "3 requests were billed otherwise"),
    "no override": ({**PRICED, "overridden": 0}, [], "Nothing was priced"),
    "calls only": (TOTALS, [], "keeps no audit"),
    "unmeasured": ({}, [], "Nothing was priced"),
}
BEGUN = "2026-11-21T14:00:00+00:00"
Tell = Callable[..., None]


@dataclass(frozen=True)
class Forms:
    """A report in its three forms; the document as JSON values."""

    document: JsonObject
    markdown: str
    page: str


def forms(run: Run, plan: Plan | None = None, now: datetime | None = None) -> Forms:
    entries = run.journal.entries
    files = report.render(plan or run.plan, run.state, "0.1.0", now, entries)
    return Forms(json.loads(files["report.json"]), files["report.md"], files["report.html"])


def bars_in(page: str) -> Drawn:
    """The class of each bar, and its length in percent of the longest one's, from top to bottom."""
    found = re.findall(r'<rect class="(\w+)" x="[\d.]+" y="[\d.]+" width="([\d.]+)"', page)[::-1]
    longest = max((float(width) for _, width in found), default=1.0)
    return [(kind, 100 * float(width) / longest) for kind, width in found]


@pytest.mark.parametrize(("cost", "drawn", "said"), COSTS.values(), ids=COSTS)
def test_cost_chart_draws_what_was_priced(
    new_run: Run, tell: Tell, cost: JsonObject, drawn: Drawn, said: str
) -> None:
    tell(new_run, "cost", {**cost, "verdict": "GO"})
    page = forms(new_run).page
    bars = bars_in(page)
    assert [kind for kind, _ in bars] == [kind for kind, _ in drawn]
    assert [width for _, width in bars] == pytest.approx([width for _, width in drawn], abs=0.1)
    assert said in page


def test_overrides_are_drawn_by_who_counted_them(run: Run) -> None:
    made = forms(run)
    bars = [(bar["label"], bar["count"]) for bar in made.document["overrides"]]
    assert bars == [("expected", 20), ("counted", 20), ("in the audit", 20)]
    assert 'aria-label="expected: 20; counted: 20; in the audit: 20"' in made.page
    assert bars_in(drawing.overrides(made.document["overrides"])) == [("plain", 100)] * 3
    assert "| in the audit | 20 |" in made.markdown


@pytest.mark.parametrize(
    ("counts", "bars"),
    [
        ({}, []),
        ({"expected": 0, "counted": 0}, []),
        ({"expected": 4, "counted": 1, "audited_overrides": None}, [4, 1]),
    ],
)
def test_override_bars_leave_out_what_nobody_counted(counts: JsonObject, bars: list[int]) -> None:
    assert [bar["count"] for bar in charts.override_bars(counts)] == bars


TIMED: dict[str, tuple[list[float | None], list[str]]] = {
    "nothing ran": ([None, None], []),
    "one took time": ([None, 3.0, 0.0], []),
    "the longest first": ([1.0, 90.0, 5.0], ["step 1", "step 2", "step 0"]),
    "six at most": ([1.0] * 9, [f"step {n}" for n in range(6)]),
    "trifles are left out": ([0.001, 2.0, 1.0], ["step 1", "step 2"]),
}


@pytest.mark.parametrize(("seconds", "wanted"), TIMED.values(), ids=TIMED)
def test_longest_steps_are_drawn(seconds: list[float | None], wanted: list[str]) -> None:
    steps = [{"title": f"step {n}", "seconds": one} for n, one in enumerate(seconds)]
    said = re.findall(r'aria-label="(.*?)"', drawing.durations(steps))
    assert [part.split(":")[0] for one in said for part in one.split("; ")] == wanted


def test_long_title_of_a_step_is_cut() -> None:
    steps = [{"title": "x" * 60, "seconds": 3.0}, {"title": "y", "seconds": 61.0}]
    assert f'aria-label="y: 1m1s; {"x" * 23}…: 3.0 s"' in drawing.durations(steps)


CRITERION: JsonObject = {"step": "soak", "criterion": "error-rate", "verdict": "GO",
                         "unit": "share"}  # fmt: skip
INTERVALS: dict[str, tuple[JsonObject, str | None]] = {
    "both bounds": ({"low": 0.0, "high": 0.05, "go": 0.05, "no_go": 0.1},
                    "between 0 and 0.05 share, GO up to 0.05, NO-GO above 0.1"),
    "bounded below": ({"low": 0.5, "high": 1.0, "go": 0.5, "no_go": None},
                      "between 0.5 and 1 share, GO up to 0.5"),
    "a point": ({"low": 0.1, "high": 0.1, "go": 0.2, "no_go": None},
                "between 0.1 and 0.1 share, GO up to 0.2"),
    "unbounded": ({"low": 0.0, "high": None, "go": 0.1, "no_go": None}, None),
    "no bound of GO": ({"low": 0.0, "high": 0.1, "go": None, "no_go": 0.1}, None),
    "nothing allowed": ({"low": 0.0, "high": 0.0, "go": 0.0, "no_go": 0.0}, None),
    "negative": ({"low": -1.0, "high": 1.0, "go": 1.0, "no_go": None}, None),
}  # fmt: skip


@pytest.mark.parametrize(("figures", "said"), INTERVALS.values(), ids=INTERVALS)
def test_interval_is_drawn_beside_its_bounds(figures: JsonObject, said: str | None) -> None:
    svg = drawing.interval({**CRITERION, **figures})
    assert bool(svg) is (said is not None)
    if said is not None:
        assert f'aria-label="error-rate: {said}"' in svg
        assert 'class="series range good"' in svg
        assert 'class="series bound"' in svg
        assert ('class="series bound-bad"' in svg) is ("NO-GO" in said)


def test_soak_is_shown_with_every_criterion_its_figures_and_who_waived_it(run: Run) -> None:
    made = forms(run)
    rows = {row["criterion"]: row for row in made.document["verdicts"] if row["step"] == "soak"}
    assert set(rows) >= {"", "availability", "error-rate", "streaming-failures"}
    streams = rows["streaming-failures"]
    assert (streams["k"], streams["n"], streams["go"]) == (4, 200, 0.1)
    assert 0 < streams["low"] < 0.02 < streams["high"] < 0.1
    assert streams["margin"] == pytest.approx(0.1 - streams["high"])
    assert not rows["error-rate"]["enforced"]
    assert "4 looks; every one of them is in `samples.jsonl`" in made.markdown
    assert "| GO | streaming-failures | 4 | 200 | real |" in made.markdown
    assert "| INCONCLUSIVE (observed only) | error-rate |" in made.markdown
    assert made.document["waived"] == [
        {"what": "error-rate", "by": "ops@host", "why": "no traffic | at night"}
    ]
    for text in (made.markdown.replace("\\|", "|"), made.page):
        assert "waived: error-rate, by ops@host: no traffic | at night" in text


def test_every_interval_of_the_soak_is_drawn(run: Run) -> None:
    drawn = re.findall(r'aria-label="([\w-]+): between', forms(run).page)
    assert drawn == ["availability", "error-rate", "streaming-failures"]


RECORD: JsonObject = {
    "ways": [
        {"way": "flag", "promise_s": 30, "seconds": [2.0] * 9 + [6.0], "p50_s": 0, "p95_s": 0},
        {"way": "backup", "promise_s": 600, "seconds": [700.0], "p50_s": 0, "p95_s": 0},
    ]
}


def test_rehearsal_that_the_run_relied_on_is_drawn_with_its_times(run: Run) -> None:
    basis = Basis(BEGUN, "0.1.0", {}, (), rehearsal=RECORD)
    made = forms(run, replace(run.plan, basis=basis))
    assert made.document["rehearsal"] == [
        {"way": "flag", "n": 10, "p50_s": 2, "p95_s": 6, "promise_s": 30, "verdict": "GO"},
        {"way": "backup", "n": 1, "p50_s": 700, "p95_s": 700, "promise_s": 600,
         "verdict": "NO-GO"},
    ]  # fmt: skip
    assert "| by flag | 10 | 2.0 | 6.0 | 30 | GO |" in made.markdown
    told = "flag 2.0 s, mostly up to 6.0 s of 30 s; backup 700.0 s, mostly up to 700.0 s of 600 s"
    assert f'aria-label="{told}"' in made.page
    assert 'class="series range bad"' in made.page
    for without in (run.plan, replace(run.plan, basis=replace(basis, rehearsal=None))):
        assert forms(run, without).document["rehearsal"] == []
        assert "as rehearsed" not in forms(run, without).page


def test_timeline_tells_every_end_and_no_beginning(run: Run) -> None:
    run.journal.append(Event.ATTESTED, "team-notified", reason="Kim <kim@example.org>")
    made = forms(run)
    events = [moment["event"] for moment in made.document["timeline"]]
    assert events == ["planned", *["judged"] * 4, "finished", "attested"]
    assert "Kim &lt;kim@example.org&gt;" in made.page


def test_summary_says_what_is_not_go_and_how_to_go_back(run: Run, tell: Tell) -> None:
    tell(run, "counts", {"unmatched": 4, "verdict": "NO-GO"}, "12 of 20")
    said = " ".join(forms(run).document["summary"])
    assert "of those that count are not GO: counts, soak" in said
    assert said.endswith(report.rollback_command(run.plan, run.id))


def test_run_that_changes_no_file_does_not_claim_a_change(run: Run, tell: Tell) -> None:
    tell(run, "soak", {"verdict": "GO"})
    assert run.plan.changes == ()
    assert forms(run).document["headline"] == context.UNCHANGED
    assert "is applied" not in forms(run).page


def test_other_kind_of_migration_is_asked_for_each_of_its_steps(run: Run) -> None:
    made = forms(run, replace(run.plan, kind="gateway-cutover"))
    assert made.markdown.startswith("# Gateway cutover")
    asked = [item["text"] for item in made.document["checklist"]]
    assert asked[:5] == [step.title for step in run.plan.steps]
    assert asked[5:] == ["Migration report created", "Team notified of the change"]


def test_approvals_are_shown_and_an_expired_one_is_called_so(new_run: Run) -> None:
    word = {"gate": "soak", "by": "Kim", "at": "2026-11-21T14:00:00+00:00", "scope": "<b>4711</b>",
            "expires": "2026-11-21T15:00:00+00:00", "recorded_by": "ops@host"}  # fmt: skip
    assert "Approvals" not in forms(new_run).page
    new_run.journal.append(Event.APPROVED, "soak", reason="by Kim", data=word)
    hours = (datetime(2026, 11, 21, hour, 30, tzinfo=UTC) for hour in (14, 15))
    holds, expired = (forms(new_run, now=now) for now in hours)
    assert "soak approved by Kim for <b>4711</b>, until 2026-11-21T15:00" in holds.markdown
    assert "EXPIRED 2026-11-21T15:00" in expired.markdown
    assert "&lt;b&gt;4711" in expired.page


def test_everything_in_the_schema_is_described() -> None:
    def undescribed(row: object, path: str) -> Iterator[str]:
        if isinstance(row, dict):
            for name, one in row.get("properties", {}).items():
                if not {"description", "$ref"} & one.keys():
                    yield f"{path}.{name}"
            for name, one in row.items():
                yield from undescribed(one, f"{path}.{name}")

    assert list(undescribed(resources.schema("report"), "report")) == []
