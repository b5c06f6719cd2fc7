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
def check(specs: tuple[Path, ...], format_: str, overrides: tuple[str, ...], no_cache: bool) -> int:
    """Check SPECS: syntax, names, kinds, types, units, templates.

    Needs no network, no model and no credentials. Formats for tools: json (a line for each diagnostic, shaped like the Language
    Server Protocol's), sarif (one SARIF 2.1.0 log), github (workflow commands). Warnings alone exit 0.
    """
    from exgrpo_dsl.check_cache import open_cache
    from exgrpo_dsl.cli.quick import check_paths
    from exgrpo_dsl.errors import UsageError
    from exgrpo_dsl.loading import find_specs

    paths = find_specs([str(spec) for spec in specs])
    if not paths:
        raise UsageError(f"There is no .exg file below {', '.join(str(spec) for spec in specs)}.")
    cache = None if no_cache or overrides else open_cache(paths)
    return check_paths(paths, cache, format_, overrides)
