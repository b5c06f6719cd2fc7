"""`exgrpo rollouts`: the dialogues of a finished grpo stage, with what they scored."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from exgrpo_runtime.report.browsing import Wanted


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--stage", "name", metavar="NAME", help="The grpo stage. [default: the last finished one]")
@click.option("--step", type=click.IntRange(min=1), metavar="N", help="Only those of this step.")
@click.option(
    "--item", metavar="ROW", help="Only those of this row: its uid or the beginning, as in train:12."
)
@click.option("--scenario", metavar="NAME", help="Only those of this scenario.")
@click.option("--failed", is_flag=True, help="Only those that were left out of their group.")
@click.option("--wrong", is_flag=True, help="Only those whose answer is wrong.")
@click.option("--truncated", is_flag=True, help="Only those with a turn that ran out of tokens.")
@click.option("--format", "format_", type=click.Choice(("human", "json")), default="human", show_default=True)
def rollouts(
    run_dir: Path,
    name: str | None,
    step: int | None,
    item: str | None,
    scenario: str | None,
    failed: bool,
    wrong: bool,
    truncated: bool,
    format_: str,
) -> int:
    """Page through what a student said while it was trained: every turn, every term, right and wrong.

    All conditions that are given must hold. On a terminal the text goes through $PAGER.
    """
    from exgrpo_runtime.report.browsing import Wanted

    if not (run_dir / "run.json").is_file():
        raise click.UsageError(f"{run_dir} is not a run directory: it has no run.json.")
    wanted = Wanted(step, item, scenario, failed, wrong, truncated)
    return _show(run_dir, name, wanted, format_)


def _show(run_dir: Path, name: str | None, wanted: Wanted, format_: str) -> int:
    from exgrpo_runtime.report.browsing import find_grpo_stage, name_right_term, pick_wanted
    from exgrpo_runtime.report.collect import collect_run

    record = collect_run(run_dir)
    stage = find_grpo_stage(record, name)
    counted = _Counter(pick_wanted(record, stage, wanted))
    if format_ == "json":
        for line in counted:
            click.echo(json.dumps(line, ensure_ascii=False))
    elif sys.stdout.isatty():
        click.echo_via_pager(_write_texts(counted))
    else:
        for text in _write_texts(counted):
            click.echo(text, nl=False)
    noun = "rollout" if counted.number == 1 else "rollouts"
    right = name_right_term(record, stage)
    click.echo(
        f"{counted.number} {noun} of stage `{stage.name}`; right: `{right}` is at least a half", err=True
    )
    for note in record.reader.notes:
        click.echo(f"note: {note}", err=True)
    return 0


class _Counter:
    """Rollouts that pass by, counted: a pager may be left before the last."""

    def __init__(self, lines: Iterator[dict[str, Any]]) -> None:
        self._lines = lines
        self.number = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for line in self._lines:
            self.number += 1
            yield line


def _write_texts(lines: _Counter) -> Iterator[str]:
    from exgrpo_dsl.rollouts_text import write_rollout

    return (write_rollout(line) for line in lines)
