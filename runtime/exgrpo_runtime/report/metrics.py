"""Figures of a stage's metrics.jsonl: one at a time, as a line over the steps, as a mean over them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exgrpo_runtime.report.charts import Series
from exgrpo_runtime.report.collect import as_mapping, as_number
from exgrpo_runtime.report.formats import format_count

Metrics = Sequence[Mapping[str, Any]]
Getter = Callable[[Mapping[str, Any]], float | None]


def read_figure(*keys: str) -> Getter:
    """Reads a number at a path of keys."""

    def get(line: Mapping[str, Any]) -> float | None:
        value: Any = line
        for key in keys:
            value = as_mapping(value).get(key)
        return as_number(value)

    return get


def trace(name: str, metrics: Metrics, get: Getter) -> Series:
    """One line over the steps at which `get` has a value."""
    points = []
    for i, line in enumerate(metrics):
        value, step = get(line), as_number(line.get("step"))
        if value is not None:
            points.append((float(i + 1) if step is None else step, value))
    return Series(name, tuple(points))


def average_figure(metrics: Metrics, get: Getter, weight: str) -> float | None:
    """Mean over all steps, each weighing as much as its number of `weight`."""
    pairs = [
        (value, as_number(line.get(weight)) or 1.0) for line in metrics if (value := get(line)) is not None
    ]
    total = sum(n for _, n in pairs)
    return sum(value * n for value, n in pairs) / total if total else None


def write_counts(counts: Mapping[str, int]) -> str:
    """`name count, name count`; `none` where there is nothing to count."""
    return ", ".join(f"{name} {format_count(count)}" for name, count in counts.items() if count) or "none"
