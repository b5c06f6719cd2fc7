from __future__ import annotations

import doctest
import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgrpo_artifact.graph import Node, RewardGraph
from exgrpo_runtime.report import bars, charts, formats, rollouts
from exgrpo_runtime.report.bars import Part
from exgrpo_runtime.report.charts import Series
from exgrpo_runtime.report.formulas import describe_terms

FINITE = st.floats(-1e9, 1e9)


@pytest.mark.parametrize("module", [charts, formats, rollouts])
def test_examples_in_docstrings_hold(module: object) -> None:
    results = doctest.testmod(module)  # type: ignore[arg-type]
    assert results.attempted > 0
    assert results.failed == 0


@given(FINITE, FINITE)
def test_ticks_enclose_the_values_in_few_equal_steps(a: float, b: float) -> None:
    low, high = sorted((a, b))
    ticks = charts.choose_ticks(low, high)
    room = (ticks[-1] - ticks[0]) * 1e-6
    assert ticks[0] <= low + room
    assert ticks[-1] >= high - room
    assert 2 <= len(ticks) <= 8
    steps = [later - earlier for earlier, later in pairwise(ticks)]
    assert min(steps) > 0
    assert max(steps) == pytest.approx(min(steps), rel=1e-3)


@given(st.lists(FINITE, min_size=1, max_size=60), st.integers(0, 9))
def test_the_average_stays_between_the_values_around_it(values: list[float], half: int) -> None:
    window = 2 * half + 1
    averages = charts.smooth(values, window)
    assert len(averages) == len(values)
    for i, average in enumerate(averages):
        around = values[max(0, i - half) : i + half + 1]
        assert min(around) - 1e-3 <= average <= max(around) + 1e-3
    assert charts.smooth(values, 1) == values


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=30))
def test_lines_stay_inside_their_axes(values: list[tuple[float, float]]) -> None:
    series = [
        Series("a", tuple((float(i), first) for i, (first, _) in enumerate(values))),
        Series("b", tuple((float(i), second) for i, (_, second) in enumerate(values))),
    ]
    svg = charts.draw_lines("t", "n", series, charts.choose_window(len(values)), from_zero=True).svg
    points = [
        tuple(map(float, pair.split(",")))
        for path in re.findall(r'points="([^"]+)"', svg)
        for pair in path.split()
    ]
    assert all(charts.LEFT - 0.1 <= x <= charts.WIDTH - charts.RIGHT + 0.1 for x, _ in points)
    assert all(charts.TOP - 0.1 <= y <= charts.HEIGHT - charts.BOTTOM + 0.1 for _, y in points)


def test_a_line_is_drawn_to_scale() -> None:
    svg = charts.draw_lines("t", "n", [Series("a", ((0.0, 0.0), (5.0, 0.5), (10.0, 1.0)))], 1).svg
    path = re.search(r'points="([^"]+)"', svg)
    assert path is not None
    bottom, middle = charts.HEIGHT - charts.BOTTOM, (charts.TOP + charts.HEIGHT - charts.BOTTOM) / 2
    xs, right = charts.LEFT, charts.WIDTH - charts.RIGHT
    assert (
        path[1] == f"{xs:.1f},{bottom:.1f} {(xs + right) / 2:.1f},{middle:.1f} {right:.1f},{charts.TOP:.1f}"
    )


def test_titles_say_the_step_and_the_value() -> None:
    svg = charts.draw_lines("t", "n", [Series("a<b", ((3.0, 0.25), (4.0, 0.5)))], 1).svg
    assert "<title>step 3\na&lt;b 0.25</title>" in svg
    assert "a<b" not in svg


def test_long_lines_are_thinned_by_means() -> None:
    points = [(float(i), float(i % 2)) for i in range(2000)]
    thin = charts.thin_points(points)
    assert len(thin) == charts.MAX_POINTS
    assert math.fsum(y for _, y in thin) / len(thin) == pytest.approx(0.6, abs=0.21)
    assert thin[0] == (2.0, 0.4)


def test_a_stack_has_the_lengths_of_its_parts() -> None:
    svg = bars.draw_stack(
        [Part("kept", 30, "part0"), Part("lost", 10, "reason0"), Part("none", 0, "reason1")], 40, 0.5
    )
    assert '<rect class="part0" x="0.000%" y="0" width="37.500%"' in svg
    assert '<rect class="reason0" x="37.500%" y="0" width="12.500%"' in svg
    assert "reason1" not in svg
    assert "kept: 30 of 40 (75.0\u202f%)" in svg
    assert "NaN" not in bars.draw_stack([], 0)


@pytest.mark.parametrize(("high", "top"), [(0.001, 0.02), (0.09, 0.1), (0.41, 1.0), (1.0, 1.0)])
def test_small_shares_get_an_axis_of_their_own(high: float, top: float) -> None:
    assert bars.choose_share_top(high) == top


def test_formulas_read_like_the_source() -> None:
    nodes = (
        Node(id="_0", op="turn", params={"name": "final"}),
        Node(
            id="_1", op="call", args=("_0",), params={"fn": "judge.score", "rubric": "faithful", "model": "m"}
        ),
        Node(id="clarity", op="aggregate", args=("_1",), params={"fn": "mean"}),
        Node(id="_2", op="const", params={"value": 0.7}),
        Node(id="_3", op="tokens"),
        Node(id="_4", op="add", args=("_3", "_2")),
        Node(id="_5", op="mul", args=("_2", "_4")),
        Node(id="_6", op="neg", args=("_5",)),
        Node(id="_7", op="default", args=("clarity", "_2")),
        Node(id="total", op="sub", args=("_7", "_6")),
    )
    reward = RewardGraph(
        name="r",
        dialogue="d",
        dataset="x",
        range=(0, 1),
        nodes=nodes,
        terms=("clarity", "total"),
        result="total",
    )
    assert describe_terms(reward) == {
        "clarity": "mean(judge.score(final, rubric: faithful, model: m))",
        "total": "(clarity else 0.7) \u2212 \u2212(0.7 \u00d7 (tokens + 0.7))",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        (-0.25, "\u22120.25"),
        (12.34, "12.3"),
        (0.000012, "1.20e-05"),
        (3e7, "3.00e+07"),
        (None, "\u2013"),
    ],
)
def test_numbers_have_three_significant_digits(value: float | None, text: str) -> None:
    assert formats.format_number(value) == text


@given(st.floats(-1e300, 1e300))
def test_a_written_number_is_the_number(value: float) -> None:
    text = formats.format_number(value).replace(formats.MINUS, "-").replace(",", "")
    assert float(text) == pytest.approx(value, rel=0.006, abs=1e-12)
