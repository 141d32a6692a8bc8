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
from cco_migrate.model import JsonObject, Plan
from cco_migrate.report import charts, context
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
COSTS: dict[str, tuple[JsonObject, list[str], str]] = {
    "cheaper": (PRICED, ["100.0", "33.3"], "−66.7 %"),
    "dearer": (DEARER, ["50.0", "100.0"], "+100.0 %"),
    "partly priced": ({**PRICED, "unpriced": ["mystery-9"]}, ["100.0", "33.3"], "mystery-9"),
    "billed otherwise": (WRONG, ["100.0", "33.3"], "3 requests were billed otherwise"),
    "no override": ({**PRICED, "overridden": 0}, [], "Nothing was priced"),
    "calls only": (TOTALS, [], "keeps no audit"),
    "unmeasured": ({}, [], "Nothing was priced"),
}
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


@pytest.mark.parametrize(("cost", "widths", "said"), COSTS.values(), ids=COSTS)
def test_cost_chart_draws_what_was_priced(
    new_run: Run, tell: Tell, cost: JsonObject, widths: list[str], said: str
) -> None:
    tell(new_run, "cost", {**cost, "verdict": "GO"})
    page = forms(new_run).page
    drawn = re.findall(r'class="fill-(?:before|after|more)" y="\d+" width="([\d.]+)%"', page)
    assert drawn == widths
    assert said in page


def test_dearer_result_is_not_drawn_as_a_gain(new_run: Run, tell: Tell) -> None:
    tell(new_run, "cost", {**DEARER, "verdict": "NO-GO"})
    page = forms(new_run).page
    assert 'class="fill-more"' in page
    assert 'class="fill-after"' not in page


def test_overrides_are_drawn_by_who_counted_them(run: Run) -> None:
    made = forms(run)
    bars = [(bar["label"], bar["count"], bar["share"]) for bar in made.document["overrides"]]
    assert bars == [("expected", 20, 100), ("counted", 20, 100), ("in the audit", 20, 100)]
    assert len(re.findall(r'class="fill-count" y="\d+" width="100.0%"', made.page)) == 3
    assert "| in the audit | 20 |" in made.markdown


@pytest.mark.parametrize(
    ("counts", "bars"),
    [
        ({}, []),
        ({"expected": 0, "counted": 0}, []),
        ({"expected": 4, "counted": 1, "audited_overrides": None}, [100.0, 25.0]),
    ],
)
def test_override_bars_leave_out_what_nobody_counted(counts: JsonObject, bars: list[float]) -> None:
    assert [bar["share"] for bar in charts.override_bars(counts)] == bars


CRITERION: JsonObject = {"step": "soak", "criterion": "error-rate", "verdict": "GO",
                         "unit": "share"}  # fmt: skip
INTERVALS: dict[str, tuple[JsonObject, tuple[float, ...] | None]] = {
    "both bounds": ({"low": 0.0, "high": 0.05, "go": 0.05, "no_go": 0.1}, (0, 45.5, 45.5, 90.9)),
    "bounded below": ({"low": 0.5, "high": 1.0, "go": 0.5, "no_go": None}, (45.5, 45.4, 45.5)),
    "a point": ({"low": 0.1, "high": 0.1, "go": 0.2, "no_go": None}, (45.5, 0.6, 90.9)),
    "unbounded": ({"low": 0.0, "high": None, "go": 0.1, "no_go": None}, None),
    "no bound of GO": ({"low": 0.0, "high": 0.1, "go": None, "no_go": 0.1}, None),
    "nothing allowed": ({"low": 0.0, "high": 0.0, "go": 0.0, "no_go": 0.0}, None),
    "negative": ({"low": -1.0, "high": 1.0, "go": 1.0, "no_go": None}, None),
}


@pytest.mark.parametrize(("figures", "drawn"), INTERVALS.values(), ids=INTERVALS)
def test_interval_is_drawn_beside_its_bounds(
    figures: JsonObject, drawn: tuple[float, ...] | None
) -> None:
    found = charts.intervals([{**CRITERION, **figures}])
    names = ("begin_share", "width_share", "go_share", "no_go_share")
    shares = [tuple(one[name] for name in names if one[name] is not None) for one in found]
    assert shares == ([] if drawn is None else [pytest.approx(drawn)])


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
    made = forms(run)
    drawn = [one["criterion"] for one in made.document["intervals"]]
    assert drawn == ["availability", "error-rate", "streaming-failures"]
    assert made.page.count('<svg class="interval"') == 3


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
