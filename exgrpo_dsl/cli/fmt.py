"""`exgrpo fmt`: specs in one style."""

from __future__ import annotations

import sys

import click


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPECS...")
@click.option(
    "--check", "is_check", is_flag=True, help="Write nothing; name the files that would change and exit 1."
)
@click.option("--diff", "is_diff", is_flag=True, help="Write nothing; print what would change.")
def fmt(specs: tuple[str, ...], is_check: bool, is_diff: bool) -> int:
    """Lay out SPECS in one style: files, directories, or - for standard input.

    Comments, templates and strings keep every byte, and what a spec means does not change. A file with syntax errors is left as it
    is. Files keep the line ends that their first line has.
    """
    from exgrpo_compiler.diagnostics import has_errors
    from exgrpo_compiler.format.formatting import format_source
    from exgrpo_dsl.cli.show import show_diagnostics
    from exgrpo_dsl.loading import UnreadableSpecError, find_specs
    from exgrpo_dsl.rewriting import (
        STDIN,
        encode_text,
        is_same,
        read_spec_text,
        render_diff,
        write_spec_text,
    )

    found, num_changed, num_files = [], 0, 0
    for path in find_specs(specs):
        num_files += 1
        try:
            spec = read_spec_text(path)
        except UnreadableSpecError as error:
            found.append(error.diagnostic)
            continue
        outcome = format_source(spec.source)
        if outcome.value is None:
            found.extend(problem for problem in outcome.diagnostics if problem.severity == "error")
            continue
        is_changed = not is_same(spec, outcome.value)
        num_changed += is_changed
        if is_diff:
            click.echo(render_diff(spec, outcome.value), nl=False)
        elif path == STDIN and not is_check:
            sys.stdout.buffer.write(encode_text(spec, outcome.value))
        elif is_changed:
            if not is_check:
                write_spec_text(spec, outcome.value)
            click.echo(f"{'would change' if is_check else 'changed'} {spec.source.name}")
    show_diagnostics(found)
    _tell_sum(num_files, num_changed, is_check or is_diff, has_errors(found))
    return 1 if has_errors(found) or (is_check and num_changed) else 0


def _tell_sum(num_files: int, num_changed: int, is_dry: bool, has_failed: bool) -> None:
    if has_failed:
        click.echo("A spec with syntax errors is not formatted.", err=True)
    elif num_changed == 0:
        click.echo(f"{num_files} {'spec is' if num_files == 1 else 'specs are'} formatted.", err=True)
    elif is_dry:
        click.echo(f"{num_changed} of {num_files} would change.", err=True)
