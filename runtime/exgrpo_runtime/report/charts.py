"""Line charts as inline SVG, coloured by the page's CSS classes alone.

Charts have a fixed viewBox and are laid out in cells of about that width, so their text keeps its size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from exgrpo_runtime.report.formats import format_number, format_percent

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 30
MAX_POINTS = 400
"""Points of a raw line; longer series are averaged over equal runs of steps."""
MAX_BANDS = 48
"""Places along a chart that show their values when hovered over."""
NUM_COLOURS = 4


class Series(NamedTuple):
    """One line: (step, value) in order of steps, values finite."""

    name: str
    points: tuple[tuple[float, float], ...]


class LegendEntry(NamedTuple):
    """A line's name and where it began and ended, as text."""

    colour: int
    name: str
    first: str
    last: str


class Chart(NamedTuple):
    """A drawn chart and the words that go with it."""

    title: str
    note: str
    """What is drawn and in what unit."""
    svg: Markup
    legend: tuple[LegendEntry, ...]


Write = Callable[[float], str]
"""How a value is written on an axis."""


class _Axes(NamedTuple):
    x_low: float
    x_high: float
    y_ticks: tuple[float, ...]

    def place_x(self, x: float) -> float:
        span = self.x_high - self.x_low or 1.0
        return LEFT + (x - self.x_low) / span * (WIDTH - LEFT - RIGHT)

    def place_y(self, y: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def choose_window(num_points: int) -> int:
    """Steps that the moving average covers: a twelfth of the series, odd; 1 (none) under 24 points."""
    return num_points // 24 * 2 + 1


def smooth(values: Sequence[float], window: int) -> list[float]:
    """Mean of the `window` values around each place; near an end, of those of them that there are.

    >>> smooth([1.0, 3.0, 5.0, 7.0], 3)
    [2.0, 3.0, 5.0, 6.0]
    """
    half = window // 2
    parts = [values[max(0, i - half) : i + half + 1] for i in range(len(values))]
    return [math.fsum(part) / len(part) for part in parts]


def choose_ticks(low: float, high: float, goal: int = 4) -> tuple[float, ...]:
    """Round values at equal distances of 1, 2 or 5 times a power of ten that enclose `low`..`high`.

    >>> choose_ticks(0.0, 0.93)
    (0.0, 0.25, 0.5, 0.75, 1.0)
    """
    if high - low <= 1e-12 * max(1.0, abs(low), abs(high)):
        room = abs(high) * 0.1 or 1.0
        low, high = low - room, high + room
    raw = (high - low) / goal
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, 2 - math.floor(math.log10(step)))
    return tuple(round(i * step, digits) for i in range(first, last + 1))


def draw_lines(
    title: str,
    note: str,
    series: Sequence[Series],
    window: int,
    *,
    share: bool = False,
    from_zero: bool = False,
    raw: bool = True,
) -> Chart:
    """Lines over steps: each value faintly, and its moving average over it.

    Args:
        title: what the chart is called.
        note: what is drawn, in what unit.
        series: one to four lines, each with at least one point.
        window: steps that the moving average covers, odd; 1 draws the values alone.
        share: values are shares of 1, written in per cent.
        from_zero: the axis includes 0.
        raw: whether the values are drawn too; left out where several lines would hide each other.
    """
    smoothed = [smooth([y for _, y in line.points], window) for line in series]
    axes = _choose_axes(series, smoothed, raw=raw, from_zero=from_zero)
    write: Write = format_percent_short if share else format_number
    legend = tuple(
        LegendEntry(index, line.name, write(values[0]), write(values[-1]))
        for index, (line, values) in enumerate(zip(series, smoothed, strict=True))
    )
    marks = [_draw_grid(axes, write)]
    for index, (line, values) in enumerate(zip(series, smoothed, strict=True)):
        if window > 1 and raw:
            marks.append(_draw_path(axes, thin_points(line.points), f"raw c{index}"))
        averages = [(x, value) for (x, _), value in zip(line.points, values, strict=True)]
        marks.append(_draw_path(axes, averages, f"line c{index}"))
    marks.append(_draw_bands(axes, series, smoothed, window, write))
    summary = "; ".join(f"{entry.name} from {entry.first} to {entry.last}" for entry in legend)
    label = escape(f"{title}: {summary}")
    svg = f'<svg class="lines" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
    return Chart(title, note, Markup(svg + "".join(marks) + "</svg>"), legend)


def describe_lines(num_points: int, window: int) -> tuple[str, str]:
    """What the strong and the faint line of a chart are; both empty where there is no moving average."""
    if window <= 1:
        return "", ""
    run = math.ceil(num_points / MAX_POINTS)
    return f"moving average over {window} steps", "each step" if run == 1 else f"means of {run} steps"


def format_percent_short(share: float) -> str:
    """Per cent without decimals, for axes and legends."""
    decimals = 0 if abs(share) >= 0.0995 or share == 0 else 1
    return format_percent(share, decimals)


def thin_points(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most MAX_POINTS points: the means of equal runs."""
    run = math.ceil(len(points) / MAX_POINTS)
    if run <= 1:
        return list(points)
    runs = [points[i : i + run] for i in range(0, len(points), run)]
    return [
        (math.fsum(x for x, _ in part) / len(part), math.fsum(y for _, y in part) / len(part))
        for part in runs
    ]


def _choose_axes(
    series: Sequence[Series], smoothed: Sequence[Sequence[float]], *, raw: bool, from_zero: bool
) -> _Axes:
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in (thin_points(line.points) if raw else ())]
    ys += [y for values in smoothed for y in values]
    low, high = min(ys), max(ys)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    return _Axes(min(xs), max(xs), choose_ticks(low, high))


def _draw_grid(axes: _Axes, write: Write) -> str:
    marks = []
    for tick in axes.y_ticks:
        y = axes.place_y(tick)
        style = "base" if tick == axes.y_ticks[0] else "grid"
        marks.append(
            f'<line class="{style}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            + _write_tick(LEFT - 6, y + 3.5, "end", write(tick))
        )
    bottom = HEIGHT - BOTTOM
    for x, anchor in _choose_x_labels(axes):
        place = axes.place_x(x)
        marks.append(
            f'<line class="base" x1="{place:.1f}" x2="{place:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
            + _write_tick(place, bottom + 15, anchor, format_number(x))
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    marks.append(f'<text class="unit" x="{middle:.1f}" y="{HEIGHT - 3}" text-anchor="middle">step</text>')
    return "".join(marks)


def _write_tick(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _choose_x_labels(axes: _Axes) -> list[tuple[float, str]]:
    """The first and last step, and round ones between that keep clear of them."""
    low, high = axes.x_low, axes.x_high
    if low == high:
        return [(low, "middle")]
    room = (high - low) * 0.14
    inner = [x for x in choose_ticks(low, high) if low + room < x < high - room and x == int(x)]
    return [(low, "middle"), *((x, "middle") for x in inner), (high, "end")]


def _draw_path(axes: _Axes, points: Sequence[tuple[float, float]], style: str) -> str:
    if len(points) == 1:
        x, y = points[0]
        return f'<circle class="dot {style}" cx="{axes.place_x(x):.1f}" cy="{axes.place_y(y):.1f}" r="3"/>'
    path = " ".join(f"{axes.place_x(x):.1f},{axes.place_y(y):.1f}" for x, y in points)
    return f'<polyline class="{style}" points="{path}"/>'


def _draw_bands(
    axes: _Axes, series: Sequence[Series], smoothed: Sequence[Sequence[float]], window: int, write: Write
) -> str:
    """Invisible columns that say the values under them."""
    longest = max(series, key=lambda line: len(line.points)).points
    run = math.ceil(len(longest) / MAX_BANDS)
    width = (WIDTH - LEFT - RIGHT) / max(1, math.ceil(len(longest) / run))
    height = HEIGHT - TOP - BOTTOM
    marks = []
    for i in range(0, len(longest), run):
        x = longest[i][0]
        words = [f"step {format_number(x)}"]
        for line, values in zip(series, smoothed, strict=True):
            place = next((j for j, point in enumerate(line.points) if point[0] == x), None)
            if place is not None:
                mean = f" (average of {window}: {write(values[place])})" if window > 1 else ""
                words.append(f"{line.name} {write(line.points[place][1])}{mean}")
        left = min(max(LEFT, axes.place_x(x) - width / 2), WIDTH - RIGHT - width)
        marks.append(
            f'<rect class="band" x="{left:.1f}" y="{TOP}" width="{width:.1f}" height="{height}">'
            f"<title>{escape(chr(10).join(words))}</title></rect>"
        )
    return "".join(marks)
