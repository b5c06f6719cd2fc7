"""`exgrpo eval`: how well does a model do on a task's rows?"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exgrpo_dsl.cli.options import set_option, task_option

if TYPE_CHECKING:
    from exgrpo_runtime.model_evaluation import Asked, Measured

SAMPLED_TEMPERATURE = 1.0
"""Where several answers are asked for and no temperature is given."""


@click.command("eval")
@click.argument("model", metavar="MODEL")
@click.option(
    "--spec",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="SPEC|ARTIFACT",
    help="The task whose evaluate stage asks and scores.",
)
@click.option("--on", metavar="DATASET.SPLIT", help="The rows. [default: those of the evaluate stage]")
@click.option("--stage", "name", metavar="NAME", help="The evaluate stage, where the task has several.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read at most N rows of the split.")
@click.option(
    "--samples", type=click.IntRange(min=1), default=1, show_default=True, help="Answers to each row."
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0, max=5, min_open=True),
    help="Of sampled answers. [default: greedy for one answer, 1.0 for several]",
)
@click.option("--top-p", type=click.FloatRange(min=0, max=1, min_open=True), default=1.0, show_default=True)
@click.option("--revision", metavar="REV", help="Branch, tag or commit of a model of the hub.")
@click.option(
    "--completions",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write every answer with its score here, as JSON Lines.",
)
@click.option("--format", "format_", type=click.Choice(("human", "json")), default="human", show_default=True)
@task_option
@set_option
def eval_(
    model: str,
    spec: Path,
    on: str | None,
    name: str | None,
    limit: int | None,
    samples: int,
    temperature: float | None,
    top_p: float,
    revision: str | None,
    completions: Path | None,
    format_: str,
    task: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Ask MODEL, a folder or a model of the hub, about a task's rows and score its answers by the task's reward.

    One answer to each row gives the greedy accuracy; several give mean@n, pass@k and the majority's accuracy. All come with
    95 % intervals over the rows.
    """
    from exgrpo_dsl.cli.artifacts import prepare_artifact

    with tempfile.TemporaryDirectory(prefix="exgrpo-") as scratch:
        directory = prepare_artifact(spec, Path(scratch), task, overrides)
        if directory is None:
            return 1
        from exgrpo_artifact.storage import read_artifact
        from exgrpo_runtime.environment import require_training

        artifact = read_artifact(directory)
        require_training()
        from exgrpo_runtime.evaluation import Decoding
        from exgrpo_runtime.model_evaluation import Asked, choose_stage, evaluate_model
        from exgrpo_runtime.progress import TerminalProgress

        chosen = temperature or (SAMPLED_TEMPERATURE if samples > 1 else 0.0)
        stage = choose_stage(artifact.manifest, name, on)
        asked = Asked(model, revision, stage, limit, Decoding(samples, chosen, top_p))
        rows = Path(scratch) / "rows"
        rows.mkdir()
        measured = evaluate_model(artifact, asked, rows, TerminalProgress())
    if completions is not None:
        _write_completions(completions, model, measured)
    found = describe_evaluation(asked, measured)
    click.echo(json.dumps(found, ensure_ascii=False) if format_ == "json" else _format(found))
    return 0


def describe_evaluation(asked: Asked, measured: Measured) -> dict[str, Any]:
    """What `--format json` prints."""
    stage = asked.stage
    return {
        "model": asked.model,
        "rows": f"{stage.dataset}.{stage.split}",
        "asked": f"{stage.dialogue}.{stage.scenario}",
        "term": f"{stage.reward}.{stage.term}",
        "num_rows": measured.rows,
        **asked.decoding._asdict(),
        "max_new": stage.max_new,
        "unscored": measured.unscored,
        "truncated": measured.truncated,
        "estimates": [each._asdict() for each in measured.estimates],
    }


def _format(found: dict[str, Any]) -> str:
    how = "greedy" if found["temperature"] == 0 else f"temperature {found['temperature']:g}"
    lines = [
        f"{found['model']} on {found['num_rows']} rows of {found['rows']}: {found['asked']} by {found['term']}, {how}",
        "",
    ]
    width = max(len(each["name"]) for each in found["estimates"])
    for each in found["estimates"]:
        mean, low, high = (100 * each[part] for part in ("mean", "low", "high"))
        lines.append(f"  {each['name']:{width}}  {mean:5.1f} %   {low:.1f} to {high:.1f} %   n = {each['n']}")
    lines.append("")
    lines.append(
        f"answers cut at {found['max_new']} tokens: {found['truncated']}; without a score: {found['unscored']}"
    )
    return "\n".join(lines)


def _write_completions(path: Path, model: str, measured: Measured) -> None:
    from exgrpo_runtime.run_dir import disk_boundary, write_lines

    lines = [
        {
            "after": model,
            "row": entry.row,
            "sample": entry.sample,
            "user": entry.user,
            "completion": entry.completion,
            "score": entry.score,
        }
        for entry in measured.completions
    ]
    with disk_boundary(path.parent, "Give another --completions."):
        write_lines(path, lines)
