"""`exgrpo test`: does the reward pay what its author says it pays?"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILES|DIRS", type=click.Path(path_type=Path))
@click.option(
    "--mutate",
    is_flag=True,
    help="Also change the rewards, one slip at a time, and list what no test notices.",
)
@click.option(
    "--format", "format_", type=click.Choice(["human", "json", "junit"]), default="human", show_default=True
)
def test(paths: tuple[Path, ...], mutate: bool, format_: str) -> int:
    """Run the `test` blocks of FILES, and of every .exg file below DIRS.

    Tests are offline: rollouts and judgements stand in them, no model is asked. With --mutate every reward that a file declares is
    changed in one place at a time (weights, bounds, comparisons, branches, aggregates), and a change that pays otherwise
    without any test failing fails the command. Exits 0 if all is well, 1 if not, 2 if there is no test.
    """
    import json
    import sys
    import time

    from exgrpo_compiler.testing.formats import build_json, render_junit, render_text
    from exgrpo_compiler.testing.mutation_text import build_mutation_json, render_mutation
    from exgrpo_compiler.testing.outcome import count_results
    from exgrpo_dsl.cli.show import wants_color
    from exgrpo_dsl.errors import UsageError
    from exgrpo_dsl.testing import mutate_file, test_files

    if mutate and format_ == "junit":
        raise click.UsageError("--mutate has no JUnit form; use --format json.")
    start = time.perf_counter()
    outcomes = test_files(paths)
    totals = count_results(outcomes)
    if not totals.passed and not totals.failed and not totals.broken:
        raise UsageError(f"There is no test in {', '.join(map(str, paths))}.")
    mutations = []
    if mutate and totals.is_ok:
        mutations = [
            (outcome.name, mutate_file(Path(outcome.name))) for outcome in outcomes if not outcome.is_broken
        ]
        mutations = [(name, found) for name, found in mutations if found.judged or found.untested]
    if format_ == "json":
        shown = build_json(outcomes)
        if mutate and totals.is_ok:
            shown["mutation"] = build_mutation_json(mutations)
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    elif format_ == "junit":
        click.echo(render_junit(outcomes), nl=False)
    else:
        seconds = time.perf_counter() - start
        click.echo(render_text(outcomes, color=wants_color(sys.stdout), seconds=seconds))
        if mutate and totals.is_ok:
            click.echo("\n" + render_mutation(mutations))
        elif mutate:
            click.echo("mutants are made when all tests pass")
    return 0 if totals.is_ok and all(found.is_ok for _, found in mutations) else 1
