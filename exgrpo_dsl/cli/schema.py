"""`exgrpo schema`: the JSON Schema of what exgrpo writes."""

from __future__ import annotations

import click


@click.command()
@click.argument("name", required=False)
def schema(name: str | None) -> int:
    """Print the JSON Schema NAME: of the artifact's files, or of an output for machines.

    Without a NAME the schemas are listed, one a line.
    """
    import json

    from exgrpo_dsl.schemas import SCHEMAS, describe_output

    if name is not None:
        click.echo(json.dumps(describe_output(name), ensure_ascii=False, indent=2))
        return 0
    width = max(map(len, SCHEMAS))
    for known, entry in SCHEMAS.items():
        click.echo(f"{known:{width}}  {entry.about}")
    return 0
