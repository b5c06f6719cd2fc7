"""`exgrpo check`: is the spec right?"""

from __future__ import annotations

from pathlib import Path

import click

from exgrpo_dsl.cli.options import format_option, set_option


@click.command()
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path))
@format_option
@set_option
@click.option("--no-cache", is_flag=True, help="Compute every result, and store none.")
@click.option(
    "--tokenizer", type=click.Path(path_type=Path), help="Folder of the student's tokenizer; with --rows."
)
@click.option(
    "--rows", type=click.Path(path_type=Path), help="Raw rows of the data, JSON Lines; with --tokenizer."
)
@click.option("--probes", type=click.Path(path_type=Path), help="A run's probes.jsonl, to count probes too.")
def check(
    specs: tuple[Path, ...],
    format_: str,
    overrides: tuple[str, ...],
    no_cache: bool,
    tokenizer: Path | None,
    rows: Path | None,
    probes: Path | None,
) -> int:
    """Check SPECS: syntax, names, kinds, types, units, templates.

    Needs no network, no model and no credentials. Formats for tools: json (a line for each diagnostic, shaped like the Language
    Server Protocol's), sarif (one SARIF 2.1.0 log), github (workflow commands). Warnings alone exit 0.

    With --tokenizer and --rows it also measures whether dialogues fit the model's context (prompt-budget) and whether its chat
    template keeps earlier turns (template-drift).
    """
    if (tokenizer is None) != (rows is None):
        raise click.UsageError("--tokenizer and --rows belong together.")
    from exgrpo_dsl.check_cache import open_cache
    from exgrpo_dsl.cli.quick import check_paths
    from exgrpo_dsl.loading import find_specs

    paths = find_specs([str(spec) for spec in specs])
    cache = None if no_cache or overrides else open_cache(paths)
    if tokenizer is None or rows is None:
        return check_paths(paths, cache, format_, overrides)
    return _check_with_tokenizer(paths, tokenizer, rows, probes, format_, overrides)


def _check_with_tokenizer(
    paths: list[str],
    tokenizer: Path,
    rows: Path,
    probes: Path | None,
    format_: str,
    overrides: tuple[str, ...],
) -> int:
    from exgrpo_compiler.diagnostics import has_errors
    from exgrpo_dsl.checking import CheckSession
    from exgrpo_dsl.cli.quick import report_fine, show_notes
    from exgrpo_dsl.cli.show import merge_reports, show_diagnostics
    from exgrpo_dsl.notes import UNMEASURED
    from exgrpo_dsl.token_checks import check_tokens

    session = CheckSession()
    reports, notes = [], []
    for path in paths:
        checked = session.check(path, overrides)
        reports.append(checked.diagnostics)
        notes += [note for note in checked.notes if note != UNMEASURED]
        if not has_errors(checked.diagnostics):
            tokens = check_tokens(Path(path), tokenizer, rows, probes_path=probes, overrides=overrides)
            reports.append(tokens.diagnostics)
            notes += tokens.notes
    merged = merge_reports(reports)
    show_diagnostics(merged, format_)
    if format_ != "human":
        return 1 if has_errors(merged) else 0
    if has_errors(merged):
        show_notes(notes)
        return 1
    return report_fine(len(paths), notes)
