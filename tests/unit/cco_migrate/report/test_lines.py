"""What a soak saw is drawn as it was: gaps stay gaps, and nothing is drawn of nothing."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from cco_migrate import report
from cco_migrate.judge.charges import ChargeTotals
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.model import JsonObject
from cco_migrate.report import drawing
from cco_migrate.report.lines import POINTS, Stage, over_time
from cco_migrate.report.samples import looks_of
from cco_migrate.runs.store import Run
from cco_migrate.soak.evidence import OVERHEAD_S, OVERHEADS, OVERRIDDEN
from cco_migrate.soak.looks import Look, Reading, Tally
from cco_migrate.world import Files

BEGUN = datetime.fromisoformat("2026-11-21T14:00:00+00:00")


def look(second: float, *, up: bool = True, failed: int = 0, made: int | None = 10) -> Look:
    tallies = {} if made is None else {"error-rate": Tally(failed, made)}
    return Look(BEGUN + timedelta(seconds=second), up=up, tallies=tallies)


def drawn(*looks: Look) -> dict[str, JsonObject]:
    return {one["title"]: one for one in over_time([Stage("", looks)])}


@pytest.mark.parametrize("looks", [(), (look(0),), (look(0), look(0)), (look(5), look(5), look(5))])
def test_one_moment_is_no_line(looks: tuple[Look, ...]) -> None:
    assert over_time([Stage("", looks)]) == []


def test_values_are_those_of_the_looks() -> None:
    found = drawn(look(0), look(10, failed=5), look(20, up=False, made=0), look(30, failed=1))
    errors = [point["value"] for point in found["Errors"]["points"]]
    assert errors == [0, 50, None, 10]
    assert [point["value"] for point in found["Requests"]["points"]] == [None, 60, 0, 60]
    assert [point["at_s"] for point in found["Requests"]["points"]] == [0, 10, 20, 30]
    health = found["Health endpoint answered"]
    assert [point["value"] for point in health["points"]] == [100, 100, 0, 100]
    assert "Broken streams" not in found
    said = "Errors (% of the requests) over 30s: between 0 and 50, at the end 10; 3 points"
    assert found["Errors"]["said"] == said


def counted(second: float, **values: float) -> Look:
    boot = "b" if second < 30 else "c"  # a new process counts from nought
    charges = ChargeTotals(known=1, billed_usd=Decimal("0.25"))
    names = {"spent": OVERHEAD_S, "made": OVERHEADS, "overridden": OVERRIDDEN}
    told = Reading({names[name]: value for name, value in values.items()}, (boot,))
    return replace(look(second), counters=told, charges=charges)


def test_growth_of_counters_is_drawn_and_a_new_process_is_a_gap() -> None:
    found = drawn(
        counted(0, spent=1.0, made=10, overridden=4),
        counted(10, spent=1.5, made=20, overridden=7),
        counted(20, spent=1.5, made=20, overridden=7),
        counted(30, spent=0.1, made=10, overridden=1),
        counted(40, spent=0.3, made=20, overridden=3),
    )
    overhead = [point["value"] for point in found["Overhead of the gateway"]["points"]]
    assert overhead == [None, 50.0, None, None, pytest.approx(20.0)]
    overridden = [point["value"] for point in found["Overrides"]["points"]]
    assert overridden == [None, 18.0, 0.0, None, 12.0]
    assert [point["value"] for point in found["Cost"]["points"]] == [None, *[90.0] * 4]


def test_stages_are_lines_of_their_own_on_one_axis_of_time() -> None:
    few = Stage("canary of 5 %", [look(0), look(10, failed=1), look(20)])
    one = Stage("canary of 25 %", [look(100)])
    rest = Stage("soak", [look(200, failed=2), look(210), look(220)])
    lines = [line for line in over_time([few, one, rest]) if line["title"] == "Errors"]
    assert [line["stage"] for line in lines] == ["canary of 5 %", "soak"]
    assert [point["at_s"] for line in lines for point in line["points"]] == [
        0, 10, 20, 200, 210, 220,
    ]  # fmt: skip
    assert [line["end_s"] for line in lines] == [220, 220]
    assert lines[1]["said"].startswith("soak: Errors (% of the requests) over 20s: between 0 and")
    requests = [line for line in over_time([few, rest]) if line["title"] == "Requests"]
    assert requests[1]["points"][0]["value"] is None  # nobody watched from the last stage on


def test_time_that_nobody_watched_is_a_gap() -> None:
    looks = [look(second) for second in (0, 1, 2, 3, 97, 98, 99, 100)]
    points = drawn(*looks)["Health endpoint answered"]["points"]
    assert [point["value"] for point in points] == [*[100] * 4, None, *[100] * 4]
    assert points[4]["at_s"] == 50


def test_looks_that_come_unevenly_leave_no_gap() -> None:
    looks = [look(second) for second in (0, 1, 2.9, 3, 5, 5.4, 7)]
    points = drawn(*looks)["Health endpoint answered"]["points"]
    assert [point["value"] for point in points] == [100] * 7


def test_many_looks_are_drawn_as_few_points_that_count_all_of_them() -> None:
    found = drawn(*(look(second, failed=second % 2) for second in range(10_001)))
    points = found["Requests"]["points"]
    assert len(points) == POINTS
    assert [round(point["value"], 6) for point in points[1:]] == [600] * (POINTS - 1)
    (figure,) = drawing.over_time([found["Requests"]])
    words = [node.text for node in ET.fromstring(figure.svg).iter("text")]
    assert words == ["0", "500", "1000", "0s", "1h23m", "2h46m"]
    errors = [point["value"] for point in found["Errors"]["points"]]
    assert all(4 < share < 6 for share in errors)


def test_clock_that_is_set_back_loses_no_look() -> None:
    points = drawn(look(10), look(0), look(20), look(30))["Errors"]["points"]
    assert [point["at_s"] for point in points] == [0, 0, 10, 20]


def test_lines_stand_in_every_form_with_a_sentence_each(run: Run) -> None:
    looks = looks_of(run.plan, run.directory, Files())
    files = report.render(run.plan, run.state, "0.1.0", stages=looks)
    lines = json.loads(files["report.json"])["lines"]
    assert [one["title"] for one in lines] == [
        "Health endpoint answered", "Requests", "Errors", "Broken streams",
    ]  # fmt: skip
    assert files["report.html"].count('class="series line-0"') == 4
    for one in lines:
        assert f'aria-label="{one["said"]}"' in files["report.html"]
        assert f"- {one['said']}" in files["report.md"]
    assert "The soak over time" not in report.render(run.plan, run.state, "0.1.0")["report.html"]


def test_damaged_samples_are_not_drawn_and_the_report_says_so(run: Run) -> None:
    path = run.directory / "samples.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"up":true', b'"up":false', 1))
    looks = looks_of(run.plan, run.directory, Files())
    assert isinstance(looks, Unmeasured)
    files = report.render(run.plan, run.state, "0.1.0", stages=looks)
    for text in (files["report.md"], files["report.html"]):
        assert "Not drawn: " in text
        assert "samples.jsonl:3" in text


def test_every_soak_of_a_run_is_read_in_the_order_of_the_plan(run: Run) -> None:
    soaks = [step for step in run.plan.steps if step.id == "soak"]
    plan = replace(run.plan, steps=(*run.plan.steps, *(replace(s, id="again") for s in soaks)))
    path = run.directory / "samples.jsonl"
    (run.directory / "samples-again.jsonl").write_bytes(path.read_bytes())
    found = looks_of(plan, run.directory, Files())
    once = looks_of(run.plan, run.directory, Files())
    assert not isinstance(found, Unmeasured)
    assert not isinstance(once, Unmeasured)
    assert [stage.looks for stage in found] == [stage.looks for stage in once * 2]
    assert [stage.name for stage in found + once] == ["soak", "soak", ""]
    cut = path.read_bytes().index(b"\n", path.read_bytes().index(b'"kind":"look"')) + 1
    shorter = looks_of(run.plan, run.directory, Files(), {"samples.jsonl": cut})
    assert not isinstance(shorter, Unmeasured)
    assert [stage.looks for stage in shorter] == [once[0].looks[:1]]
