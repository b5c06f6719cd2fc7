"""`exgrpo explain`: what a diagnostic means, offline."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from exgrpo_compiler.registry import Page


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--format", "format_", type=click.Choice(["human", "json"]), default="human", show_default=True)
def explain(ids: tuple[str, ...], format_: str) -> int:
    """Explain diagnostics by ID: what each means, why it is bad, an example and its fix.

    Without an ID every diagnostic is listed, one a line.
    """
    from exgrpo_compiler.registry import list_ids

    pages = [_get_page(id_) for id_ in ids or list_ids()]
    if format_ == "json":
        from exgrpo_compiler.registry import convert_page

        for page in pages:
            click.echo(json.dumps(convert_page(page), ensure_ascii=False))
    elif ids:
        _show_pages(pages)
    else:
        width = max(len(page.id) for page in pages)
        for page in pages:
            click.echo(f"{page.id:{width}}  {page.severity:7}  {page.summary}")
    return 0


def _get_page(id_: str) -> Page:
    """The page of an id, also where it is written as a report shows it: `error[ID]`."""
    from exgrpo_compiler.registry import find_page, suggest_id

    name = id_.removeprefix("error[").removeprefix("warning[").removesuffix("]")
    page = find_page(name)
    if page is None:
        closest = suggest_id(name)
        advice = f"did you mean `{closest}`?" if closest else "`exgrpo explain` lists them all."
        raise click.UsageError(f"There is no diagnostic `{name}`: {advice}")
    return page


def _show_pages(pages: Sequence[Page]) -> None:
    """Markdown as it is, or rendered where a person looks at it."""
    text = "\n".join(page.text for page in pages)
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))
