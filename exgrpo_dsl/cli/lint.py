"""`exgrpo lint`: what is wrong with a spec, and what could be better."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from exgrpo_dsl.cli.options import format_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exgrpo_compiler.diagnostics import Diagnostic


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPECS...")
@format_option
def lint(specs: tuple[str, ...], format_: str) -> int:
    """Check SPECS, files or directories, and say what a team would want to know before a run.

    Lints are warnings: they do not change the exit code. Each has a page (`exgrpo explain ID`) and can be silenced in place.
    """
    from exgrpo_compiler.diagnostics import has_errors
    from exgrpo_dsl.cli.show import merge_reports, show_diagnostics
    from exgrpo_dsl.linting import lint_file
    from exgrpo_dsl.loading import find_specs

    paths = find_specs(specs)
    found = merge_reports([lint_file(path) for path in paths])
    show_diagnostics(found, format_)
    if format_ == "human":
        _list_fixes(found)
        if not found:
            click.echo(f"{len(paths)} {'spec is' if len(paths) == 1 else 'specs are'} fine.", err=True)
    return 1 if has_errors(found) else 0


def _list_fixes(found: Sequence[Diagnostic]) -> None:
    from exgrpo_compiler.fixes import describe_fix

    fixable = [(each, each.fix) for each in found if each.fix is not None]
    if not fixable:
        return
    click.echo("`exgrpo fix` can mend, and with --unsafe also what is marked so:", err=True)
    for each, fix in fixable:
        click.echo(f"  {each.span!r}: {describe_fix(fix)}", err=True)
