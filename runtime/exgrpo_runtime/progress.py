"""Progress on a terminal: bars where one is attached, a line now and then where not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichBars

from exgrpo_runtime.context import Bar

LINE_INTERVAL_S = 10.0
"""Least time between two lines of one bar when output is not a terminal."""


def format_figures(figures: dict[str, object]) -> str:
    """`loss=0.123 right=12`: floats with three significant digits."""
    return " ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in figures.items()
    )


@dataclass(slots=True)
class _TerminalBar:
    bars: RichBars
    task: TaskID

    def advance(self, amount: int = 1, **figures: object) -> None:
        self.bars.update(self.task, advance=amount, figures=format_figures(figures))


@dataclass(slots=True)
class _LineBar:
    console: Console
    description: str
    total: int | None
    done: int = 0
    last: float = field(default_factory=time.monotonic)

    def advance(self, amount: int = 1, **figures: object) -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.last >= LINE_INTERVAL_S:
            self.last = now
            self.print_line(figures)

    def print_line(self, figures: dict[str, object]) -> None:
        of = f"/{self.total}" if self.total is not None else ""
        self.console.print(
            f"  {self.description} {self.done}{of} {format_figures(figures)}".rstrip(),
            highlight=False,
            markup=False,
        )


class TerminalProgress:
    """Bars through rich on a terminal, plain lines elsewhere (CI logs, files)."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)

    @contextmanager
    def track(self, description: str, total: int | None) -> Iterator[Bar]:
        """A bar that ends with the block, also when the block raises."""
        if not self.console.is_terminal:
            yield _LineBar(self.console, description, total)
            return
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[figures]}"),
        )
        with RichBars(*columns, console=self.console, transient=True) as bars:
            yield _TerminalBar(bars, bars.add_task(description, total=total, figures=""))
