"""What a plot shows is what it was given, to scale; it brings nothing that a page would fear."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cco_migrate.report import plots
from cco_migrate.report.plots import Bar, Line, Range

WORDS = st.text(st.characters(exclude_categories=["C"]), max_size=20)
VALUES = st.floats(0, 1e9) | st.sampled_from([0.0, 1e-9, 1e-4, 1 / 3, 1e12])
SIZES = st.floats(1e-6, 1e9)
BARS = st.lists(st.builds(Bar, WORDS, SIZES, WORDS, st.just("plain")), min_size=1, max_size=6)
RANGES = st.lists(
    st.builds(
        lambda label, one, other: Range(label, min(one, other), max(one, other), "good", (one,)),
        WORDS, VALUES, VALUES,
    ),
    min_size=1, max_size=4,
)  # fmt: skip
POINTS = st.lists(st.tuples(st.floats(0, 1e6), st.none() | VALUES), min_size=1, max_size=9)
LINES = st.lists(
    st.builds(Line, WORDS, POINTS.map(tuple).filter(lambda line: any(v for _, v in line))),
    min_size=1, max_size=8,
)  # fmt: skip
PLOTS = st.one_of(
    BARS.map(plots.bars_of),
    st.builds(plots.ranges, RANGES, st.lists(st.tuples(VALUES, st.just("bound")), max_size=2),
              WORDS, unit=st.just("ms")),
    st.builds(plots.over_time, LINES, st.floats(1e-3, 1e6), st.just("{:g}s".format), WORDS),
)  # fmt: skip


def nodes(svg: str, named: str) -> Iterator[ET.Element]:
    """The nodes of a class, in their order."""
    for node in ET.fromstring(svg).iter():
        if named in node.get("class", "").split():
            yield node


def words(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter("text")]


def paths(svg: str, named: str) -> list[str]:
    """Where the lines of a class go."""
    return [line.get("d", "") for one in nodes(svg, named) for line in one.iter("path")]


def ends(path: str) -> tuple[float, float]:
    """Where a line begins and ends, from left to right."""
    numbers = [float(one) for one in re.findall(r"[\d.]+", path)]
    return numbers[0], numbers[-2]


@given(PLOTS)
def test_plot_has_shapes_and_words_alone(svg: str) -> None:
    tree = ET.fromstring(svg)
    assert {node.tag for node in tree.iter()} <= {"svg", "g", "path", "rect", "text"}
    given_names = {name for node in tree.iter() for name in node.attrib}
    assert not given_names & {"id", "style", "href", "onclick"}
    assert tree.get("viewBox", "").startswith(f"0 0 {plots.WIDTH} ")
    assert not re.search(r"\b(nan|inf|None)\b", " ".join(
        value for node in tree.iter() for name, value in node.attrib.items()
        if name not in {"aria-label", "class"}
    ))  # fmt: skip


@given(BARS)
def test_bars_are_as_long_as_their_values(bars: list[Bar]) -> None:
    svg = plots.bars_of(bars)
    longest = max(bar.value for bar in bars)
    widths = [float(node.get("width", "nan")) for node in nodes(svg, "plain")][::-1]
    assert len(widths) == len(bars)
    for bar, width in zip(bars, widths, strict=True):
        assert width == pytest.approx(max(widths) * bar.value / longest, abs=0.11)
    assert {bar.label for bar in bars} <= {*words(svg), ""}


def test_same_figures_give_the_same_bytes_in_every_process() -> None:
    code = (
        "from cco_migrate.report.plots import *;"
        "print(bars_of([Bar('a', 1, '1', 'good'), Bar('b', 2, '2', 'bad')]));"
        "print(ranges([Range('a', 1, 2, 'good', (1.5,))], [(3, 'bound')], 'said'));"
        "print(over_time([Line('a', ((0, 1), (1, None), (2, 3)))], 2, str, 'said'))"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": n}
        ).stdout
        for n in ("1", "2")
    }
    assert len(made) == 1
    assert not re.search(rb"20\d\d-\d\d|pygal|[0-9a-f]{8}-", made.pop())


def test_words_cannot_become_markup() -> None:
    hostile = '"><script>alert(1)</script>'
    for svg in (
        plots.bars_of([Bar(hostile, 1, hostile, "good")]),
        plots.ranges([Range(hostile, 0, 1, "good")], (), hostile),
        plots.over_time([Line(hostile, ((0, 1), (1, 1)))] * 2, 1, lambda _: hostile, hostile),
    ):
        assert "<script" not in svg
        assert hostile in words(svg)
        assert hostile in (ET.fromstring(svg).get("aria-label") or "")


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1))
def test_range_lies_where_its_values_are_between_nought_and_the_end(
    one: float, other: float, bound: float
) -> None:
    low, high = sorted((one, other))
    svg = plots.ranges([Range("", low, high, "good")], [(bound, "bound")], "said", end=1.0)
    zero, _, end = (float(node.get("x", "nan")) for node in ET.fromstring(svg).iter("text"))
    begin, finish = ends(paths(svg, "range")[0])
    length = max(high - low, 0.006)
    assert begin == pytest.approx(zero + (end - zero) * low, abs=0.21)
    assert finish - begin == pytest.approx((end - zero) * length, abs=0.21)
    assert ends(paths(svg, "bound")[0])[0] == pytest.approx(zero + (end - zero) * bound, abs=0.21)


@pytest.mark.parametrize(
    ("high", "marks"),
    [(0.0, ["0", "0.5", "1"]), (0.04, ["0", "0.025", "0.05"]), (7, ["0", "5", "10 ms"]),
     (100, ["0", "50", "100 ms"]), (101, ["0", "100", "200 ms"])],
)  # fmt: skip
def test_axis_ends_at_the_next_round_number_with_its_unit(high: float, marks: list[str]) -> None:
    unit = "ms" if high > 1 else ""
    assert words(plots.ranges([Range("", 0, high, "good")], (), "said", unit=unit)) == marks


def test_line_breaks_where_nothing_was_measured_and_a_lone_point_is_a_dot() -> None:
    points = ((0.0, 0.0), (10.0, 0.0), (20.0, None), (30.0, 10.0))
    svg = plots.over_time([Line("", points)], 30.0, "{:g}s".format, "said")
    line, dot = paths(svg, "line-0")
    assert ends(line)[1] - ends(line)[0] == pytest.approx((ends(dot)[0] - ends(line)[0]) / 3, abs=1)
    assert ends(dot)[0] == ends(dot)[1]
    assert words(svg) == ["0", "5", "10", "0s", "15s", "30s"]


def test_each_of_many_lines_has_its_name_and_its_class() -> None:
    lines = [Line(f"canary of {n} %", ((n, 1.0), (n + 1.0, 2.0))) for n in range(8)]
    svg = plots.over_time(lines, 9.0, "{:g}s".format, "said")
    assert {line.label for line in lines} <= {*words(svg)}
    classes = [f"line-{n}" for n in range(6)]
    found = [name for name in classes if len(list(nodes(svg, name))) >= 2]  # line and legend
    assert found == classes
    (height,) = re.findall(r'viewBox="0 0 \d+ (\d+)"', svg)
    (shift,) = (one.get("transform", "") for one in nodes(svg, "legends"))
    lowest = max(float(text.get("y", "0")) for one in nodes(svg, "legend") for text in one)
    assert float(shift.split(",")[1].strip(" )")) + lowest < float(height)
    alone = plots.over_time(lines[:1], 9.0, "{:g}s".format, "said")
    assert list(nodes(alone, "legend")) == []


def test_library_is_loaded_for_a_report_alone_and_leaves_no_importer_that_warns() -> None:
    code = (
        "import sys, cco_migrate.cli, cco_migrate.tasks, cco_migrate.report as r;"
        "print('pygal' in sys.modules);"
        "import cco_migrate.report.plots;"
        "print('pygal' in sys.modules, all(hasattr(one, 'find_spec') for one in sys.meta_path))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True"]
