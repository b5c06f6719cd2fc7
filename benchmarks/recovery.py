"""How well the parser goes on after one mistake, over every mistake of one token in every spec that is here.

Each token of each spec is deleted, doubled, and has each junk token put before it. Of the mutants that are real mistakes
(stock Lark refuses them, or the parser reports an error) it is counted how many reports one mistake gives, and how
much of the syntax tree is still there. Beside it stock Lark, which goes on by dropping the token that it refuses.

    python benchmarks/recovery.py [--mutants N] > benchmarks/results/recovery.md
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from exgrpo_artifact.record import Record, get_fields
from exgrpo_compiler.ast import Decl, SpecFile, Use
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.tokens import read_tokens

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("specs/exgrpo_specs", "tests/specs", "tests/compiler")
JUNK = ("}", "{", ")", "(", "]", "[", ",", ";", ":", "=", ".", "x", "7", "field")


class Mutant(NamedTuple):
    """A spec with one mistake."""

    path: Path
    kind: str
    """`delete`, `double` or `insert`."""
    text: str
    start: int
    """Where the text of the spec was changed."""
    end: int
    put: str
    """What took the place of what stood there."""


class Count(NamedTuple):
    """What one mutant gave."""

    kind: str
    reports: int
    kept: float
    """Share of the spec's nodes that are in the mutant's tree."""
    is_rest_whole: bool
    """Whether every declaration but the changed one, and the one beside it, is whole."""


def find_specs() -> list[Path]:
    """The specs of the library and of the tests."""
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.exg"))


def make_mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of a spec."""
    text = path.read_text(encoding="utf-8")
    for token in read_tokens(Source(path.name, text, "spec")).tokens:
        here = text[token.start : token.end]
        changes = [
            ("delete", ""),
            ("double", f"{here} {here}"),
            *(("insert", f"{junk} {here}") for junk in JUNK),
        ]
        for kind, put in changes:
            yield Mutant(
                path, kind, text[: token.start] + put + text[token.end :], token.start, token.end, put
            )


def count_mutant(mutant: Mutant, whole: SpecFile) -> Count | None:
    """What a mutant gives; None if it is no mistake."""
    outcome = parse_spec(Source(mutant.path.name, mutant.text, "spec"))
    reports = sum(problem.severity == "error" for problem in outcome.diagnostics)
    if reports == 0:
        return None
    assert outcome.value is not None
    kept = _count_kept(whole, outcome.value)
    return Count(mutant.kind, reports, kept, _is_rest_whole(whole, outcome.value, mutant))


def _count_kept(whole: SpecFile, damaged: SpecFile) -> float:
    before, after = Counter(_name_nodes(whole)), Counter(_name_nodes(damaged))
    return (before & after).total() / before.total()


def _name_nodes(value: Any) -> Iterator[str]:
    todo = [value]
    while todo:
        node = todo.pop()
        if isinstance(node, tuple):
            todo.extend(node)
        elif isinstance(node, Record) and not isinstance(node, Span):
            fields = [
                getattr(node, name) for name in get_fields(type(node)) if name not in ("source", "span")
            ]
            plain = [field for field in fields if isinstance(field, str | int | float)]
            yield f"{type(node).__name__} {plain}"
            todo.extend(fields)


def _is_rest_whole(whole: SpecFile, damaged: SpecFile, mutant: Mutant) -> bool:
    """A token at the seam of two declarations touches both."""
    items = sorted((*whole.uses, *whole.decls), key=lambda item: item.span.start)
    found = {_identify(item) for item in (*damaged.uses, *damaged.decls)}
    return all(
        _identify(item) in found
        for at, item in enumerate(items)
        if not item.span.start <= mutant.start <= item.span.end
        and not (at > 0 and items[at - 1].span.end <= mutant.start <= item.span.start)
    )


def _identify(item: Use | Decl) -> tuple[str, ...]:
    return tuple(sorted(_name_nodes(item)))


def count_with_lark(mutant: Mutant, lark: Any) -> int:
    """Errors of stock Lark, which drops each token that it refuses; 0 if it accepts the text."""
    errors: list[object] = []

    def note(error: object) -> bool:
        errors.append(error)
        return len(errors) < 200

    try:
        lark.parse(mutant.text, start="file", on_error=note)
    except Exception as error:  # what remains after the last token cannot be dropped
        if not errors or errors[-1] is not error:
            errors.append(error)
    return len(errors)


def load_lark() -> Any:
    """Stock Lark on the grammar of record."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from build_tables import GRAMMAR
    from build_tables import load_lark as load

    return load(GRAMMAR.read_text(encoding="utf-8"), is_trivia_dropped=True)


def write_table(title: str, rows: Sequence[tuple[str, Sequence[int]]]) -> None:
    """Reports per mistake, by kind of mistake."""
    print(f"\n## {title}\n")
    print("| mistake | mutants | one report | two | three or more | most |")
    print("|---|---:|---:|---:|---:|---:|")
    for kind, counts in rows:
        total = max(1, len(counts))
        shares = [sum(count == each for count in counts) / total for each in (1, 2)]
        many = sum(count > 2 for count in counts)
        print(
            f"| {kind} | {len(counts):,} | {shares[0]:.2%} | {shares[1]:.2%} | {many} | {max(counts, default=0)} |"
        )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutants", type=int, help="so many mutants of each spec, by chance (default: all)")
    parser.add_argument("--sample", type=int, help="the same for stock Lark (default 100)", default=100)
    options = parser.parse_args()
    sample = options.sample
    counts: list[Count] = []
    stock: list[tuple[str, int]] = []
    lark = load_lark()
    for path in find_specs():
        whole = parse_spec(Source(path.name, path.read_text(encoding="utf-8"), "spec")).value
        assert whole is not None
        mutants = list(make_mutants(path))
        random.Random(0).shuffle(mutants)
        counts.extend(found for each in mutants[: options.mutants] if (found := count_mutant(each, whole)))
        stock.extend(
            (each.kind, found) for each in mutants[:sample] if (found := count_with_lark(each, lark))
        )
    extent = (
        "all of it" if options.mutants is None else f"{options.mutants:,} mutants of each spec, by chance"
    )
    kinds = ("delete", "double", "insert")
    print("# Recovery from one mistake")
    print(
        f"\nWritten by `{' '.join(['python benchmarks/recovery.py', *sys.argv[1:]])}`: "
        f"each token of each spec deleted, doubled, and junk put before it; {extent}."
    )
    rows = [(kind, [count.reports for count in counts if count.kind == kind]) for kind in kinds]
    write_table("This parser", [*rows, ("all", [count.reports for count in counts])])
    kept = sum(count.kept >= 0.9 for count in counts) / len(counts)
    whole_share = sum(count.is_rest_whole for count in counts) / len(counts)
    mean = sum(count.kept for count in counts) / len(counts)
    print(
        f"\nNodes of the syntax tree kept: {mean:.1%} on average, at least 90 % in {kept:.2%} of the mutants."
    )
    print(f"Declarations that were not touched are whole in {whole_share:.2%} of the mutants.")
    rows = [(kind, [count for each, count in stock if each == kind]) for kind in kinds]
    write_table(
        f"Stock Lark, a sample of {sample} mutants of each spec",
        [*rows, ("all", [count for _, count in stock])],
    )


if __name__ == "__main__":
    main()
