"""`exgrpo fix`: edits that mend what is wrong with a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from exgrpo_compiler.diagnostics import Diagnostic


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPECS...")
@click.option("--unsafe", "is_unsafe", is_flag=True, help="Apply also edits that may not be what you meant.")
@click.option("--diff", "is_diff", is_flag=True, help="Write nothing; print what would change.")
def fix(specs: tuple[str, ...], is_unsafe: bool, is_diff: bool) -> int:
    """Mend SPECS, files or directories, with the edits that diagnostics carry.

    Safe edits are applied: they say what the spec said or can only have meant. A file is written once, when nothing is left to apply,
    and never with more errors than it had. Exits 1 where errors remain.
    """
    from exgrpo_compiler.diagnostics import has_errors
    from exgrpo_compiler.fixes import describe_fix, list_fixable
    from exgrpo_dsl.cli.show import merge_reports, show_diagnostics
    from exgrpo_dsl.fixing import fix_spec
    from exgrpo_dsl.loading import UnreadableSpecError, find_specs
    from exgrpo_dsl.rewriting import STDIN, read_spec_text, render_diff, write_spec_text

    remaining: list[tuple[Diagnostic, ...]] = []
    num_applied, num_refused, num_unsafe = 0, 0, 0
    for path in find_specs(specs):
        if path == STDIN:
            raise click.UsageError("fix works on files; `-` has none to write.")
        try:
            spec = read_spec_text(path)
            fixed = fix_spec(spec, is_unsafe=is_unsafe)
        except UnreadableSpecError as error:
            remaining.append((error.diagnostic,))
            continue
        remaining.append(fixed.remaining)
        num_applied += len(fixed.applied)
        after = spec._replace(source=fixed.source)
        num_refused += len(list_fixable(after.source, fixed.remaining, is_unsafe=is_unsafe))
        if not is_unsafe and list_fixable(after.source, fixed.remaining, is_unsafe=True):
            num_unsafe += len(fix_spec(after, is_unsafe=True).applied)
        if is_diff:
            click.echo(render_diff(spec, fixed.source.text), nl=False)
            continue
        for each in fixed.applied:
            if each.fix is not None:
                click.echo(f"{each.span!r}: {describe_fix(each.fix)} [{each.id}]")
        if fixed.applied:
            write_spec_text(spec, fixed.source.text)
    found = merge_reports(remaining)
    show_diagnostics(found)
    click.echo(_describe_sum(num_applied, num_refused, num_unsafe, is_diff), err=True)
    return 1 if has_errors(found) else 0


def _describe_sum(num_applied: int, num_refused: int, num_left: int, is_diff: bool) -> str:
    verb = "would be applied" if is_diff else "applied"
    text = f"{num_applied} {'edit' if num_applied == 1 else 'edits'} {verb}."
    if num_refused:
        text += f" {num_refused} left out, which would bring another mistake to light: make them by hand."
    if num_left:
        text += f" --unsafe has {num_left} more: look at them with --diff."
    return text
