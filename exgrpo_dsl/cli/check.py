"""`exgrpo check`: is the spec right?"""

from __future__ import annotations

from pathlib import Path

import click

from exgrpo_dsl.cli.options import format_option, set_option


@click.command()
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path))
@format_option
@set_option
def check(specs: tuple[Path, ...], format_: str, overrides: tuple[str, ...]) -> int:
    """Check SPECS: syntax, names, kinds, types, units, templates.

    Needs no network, no model and no credentials. Formats for tools: json (a line for each diagnostic, shaped like the Language
    Server Protocol's), sarif (one SARIF 2.1.0 log), github (workflow commands). Warnings alone exit 0.
    """
    from exgrpo_compiler.diagnostics import has_errors
    from exgrpo_dsl.api import check_file
    from exgrpo_dsl.cli.show import merge_reports, show_diagnostics

    found = merge_reports(check_file(spec, overrides=overrides) for spec in specs)
    show_diagnostics(found, format_)
    failed = has_errors(found)
    if format_ == "human" and not failed:
        click.echo(f"{len(specs)} {'spec is' if len(specs) == 1 else 'specs are'} fine.", err=True)
    return 1 if failed else 0
