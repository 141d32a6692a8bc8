"""The table: every bar is compared in its direction, and a missed one is said to be missed."""

from __future__ import annotations

import json

import pytest

from benchmarks.gateway.figures import FIGURES, Bar, Row, document, missed, table


@pytest.mark.parametrize(
    ("bar", "value", "met"),
    [
        (Bar(0.4), 0.4, True),
        (Bar(0.4), 0.41, False),
        (Bar(0), 0, True),
        (Bar(0), 1, False),
        (Bar(1000, at_least=True), 1000, True),
        (Bar(1000, at_least=True), 999, False),
    ],
)
def test_bar_is_met_in_its_direction(bar: Bar, value: float, met: bool) -> None:
    assert bar.met(value) is met


def test_table_shows_the_ratio_and_the_bars_missed() -> None:
    rows = (
        Row("json_1k", gateway=1.646, nginx=0.028),
        Row("paced_glued", gateway=0, nginx=0, direct=3),
        Row("busy_per_s", gateway=2754.2, nginx=29246.7),
        Row("json_rules", gateway=1.65),
    )
    head, ruler, *lines = table(rows).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert head.count("|") == ruler.count("|") == lines[0].count("|")
    assert [line[2:] for line in cells] == [
        ["1.65", "0.028", "58.8", "", "≤ 0.400", "**missed**"],
        ["0", "0", "", "3", "≤ 0", "met"],
        ["2,754", "29,247", "0.1", "", "≥ 1,000", "met"],
        ["1.65", "", "", "", "", ""],
    ]


def test_document_is_json_and_says_what_is_met() -> None:
    rows = (Row("json_1k", 1.5), Row("json_60k", 0.9), Row("json_rules", 1.5))
    found = json.loads(json.dumps(document(rows)))
    assert [row["met"] for row in found] == [False, True, None]
    assert found[0]["bar"] == "≤ 0.400"


@pytest.mark.parametrize(
    ("factor", "lines"),
    [
        (1, ["JSON, 1 KB", "200 paced streams: glued", "requests with 500"]),
        (1.1, ["200 paced streams: glued", "requests with 500"]),
        (2, ["200 paced streams: glued"]),
    ],
)
def test_check_names_what_misses_its_bar_by_more_than_it_may(
    factor: float, lines: list[str]
) -> None:
    found = (Row("json_1k", 0.43), Row("json_60k", 0.9), Row("json_rules", 9.0),
             Row("paced_glued", 1), Row("busy_per_s", 600))  # fmt: skip
    said = missed(document(found), factor)
    assert [line[: len(start)] for line, start in zip(said, lines, strict=True)] == lines


def test_every_figure_has_a_title_of_its_own_and_a_unit() -> None:
    titles = [figure.title for figure in FIGURES.values()]
    assert len(set(titles)) == len(titles)
    for key, figure in FIGURES.items():
        assert figure.unit, key
