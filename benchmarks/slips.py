"""What an author's slips cost: how many reports one mistake gives, over every spec that is here.

Each slip is one mistake that people make: a word, a name or a setting misspelt by one letter, a brace or a quote left out, `:` for
`=`, a habit from Python, a unit left out or of another kind, half of a template's braces, arguments that changed places, the name
that another tool gives a setting. The whole of `check` runs on each, and what it says is counted, and whether it shows the line of
the slip. A slip that leaves a right spec (a name that nothing refers to, a column of the source) is no mistake that can be seen.

    python benchmarks/slips.py [--slips N] [--show] > benchmarks/results/slips.md
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.recovery import find_specs
from exgrpo_compiler.ast import SpecFile
from exgrpo_compiler.diagnostics import Diagnostic, Outcome
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.pipeline import check_spec
from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax.terminals import KINDS, NAMES, RESERVED, STATEMENT_WORDS
from exgrpo_compiler.syntax.tokens import is_first_on_line, read_tokens
from exgrpo_compiler.syntax.tree import Token
from exgrpo_dsl.loading import load_module

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md",)
"""Pages that hold a whole spec each."""

ELSEWHERE = {
    "lr": "learning_rate",
    "epochs": "num_epochs",
    "steps": "max_steps",
    "max_new": "max_tokens",
    "kl": "beta",
    "temperature": "temp",
    "max_tokens": "max_length",
    "base_url": "endpoint",
    "api_key": "key",
    "rank": "r",
    "alpha": "lora_alpha",
    "seed": "random_seed",
    "teacher": "model",
    "rules": "rule",
    "data": "dataset",
    "student": "model",
    "prompt": "template",
    "source": "path",
    "system": "system_prompt",
    "layers": "num_layers",
    "width": "hidden_size",
    "group": "groups",
    "reward": "rewards",
    "score": "metric",
    "on": "data",
    "scale": "normalize",
    "clip": "epsilon",
    "instruction": "instructions",
    "extract": "pattern",
    "text": "prompt",
}
"""Settings and arguments -> what other tools call them, or what comes to mind instead."""
OTHER_UNITS = {"tok": "usd", "usd": "tok", "s": "tok", "%": "tok", "GiB": "tok"}


class Slip(NamedTuple):
    """A spec with one mistake in it."""

    name: str
    """Of the spec."""
    kind: str
    text: str
    start: int
    """Offset of the mistake."""
    put: str
    """The line as it stands now."""


class Counted(NamedTuple):
    """What a slip gave."""

    slip: Slip
    reports: tuple[Diagnostic, ...]

    @property
    def is_placed(self) -> bool:
        """Whether a report shows the line of the slip, or names in its hint what stands there."""
        line = self.slip.text.count("\n", 0, self.slip.start)
        for item in self.reports:
            for span in (item.span, *(label.span for label in item.labels)):
                first, last = (span.source.text.count("\n", 0, at) for at in (span.start, span.end))
                if span.source.text == self.slip.text and first - 1 <= line <= last + 1:
                    return True
            shown = re.findall(r"`([^`]*)`", item.hint or "") if "did you mean" in (item.hint or "") else []
            if any(name.split(".")[-1] in self.slip.put for name in shown):
                return True
        return False


def read_specs() -> dict[str, str]:
    """The specs of the library, of the tests and of the pages in which nothing is wrong, by a name that resolves their imports."""
    specs = {str(path): path.read_text(encoding="utf-8") for path in find_specs()}
    specs = {name: text for text, name in {text: name for name, text in specs.items()}.items()}
    for page in PAGES:
        blocks = re.findall(r"```exg\n(exg 1.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
        specs.update({f"{page} {number}": block for number, block in enumerate(blocks, 1)})
    quiet = {name: _silence(name, text) for name, text in specs.items()}
    return {name: text for name, text in quiet.items() if not find_reports(name, text)}


def _silence(name: str, text: str) -> str:
    """The spec with its warnings silenced where they stand."""
    lines = text.split("\n")
    for item in find_reports(name, text):
        line = item.span.source.text.count("\n", 0, item.span.start)
        if item.severity == "warning" and item.span.source.text == text:
            lines[line] += f"  // allow: {item.id} -- a spec that tests something else"
    return "\n".join(lines)


def list_slips(name: str, text: str) -> Iterator[Slip]:
    """Every slip in a spec."""
    for make in (
        _misspell_words,
        _misspell_in_templates,
        _drop_signs,
        _swap_signs,
        _write_python,
        _change_units,
        _break_templates,
        _swap_arguments,
        _rename_settings,
    ):
        for kind, start, end, put in make(text):
            slipped = text[:start] + put + text[end:]
            if slipped != text:
                yield Slip(name, kind, slipped, start, _get_line(slipped, start))


PAIRED = (
    "misspelt setting",
    "misspelt function",
    "misspelt word in a template",
    "wrong unit",
    "misspelt unit",
    "missing ,",
)
"""Kinds of slips that are certain to be seen wherever they stand."""
_Change = tuple[str, int, int, str]
"""Kind, and the text that takes the place of a stretch."""


def _get_line(text: str, at: int) -> str:
    end = text.find("\n", at)
    return text[text.rfind("\n", 0, at) + 1 : end if end >= 0 else len(text)].strip()


def _read(text: str) -> Sequence[Token]:
    return read_tokens(Source("slip.exg", text, "spec")).tokens


def misspell(word: str) -> Iterator[str]:
    """The word with one letter left out, doubled, or two of them swapped.

    >>> list(misspell("split"))
    ['splt', 'spliit', 'splti']
    """
    at = max(1, len(word) - 2) if len(word) > 2 else 0
    yield word[:at] + word[at + 1 :] if len(word) > 1 else word + "x"
    yield word[: at + 1] + word[at:]
    if len(word) > 2 and word[at] != word[at + 1]:
        yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _misspell_words(text: str) -> Iterator[_Change]:
    tokens = _read(text)
    for at, token in enumerate(tokens):
        if token.type not in NAMES | RESERVED:
            continue
        kind = f"misspelt {_classify(tokens, at)}"
        for put in misspell(token.text):
            yield kind, token.start, token.end, put


def _classify(tokens: Sequence[Token], at: int) -> str:
    """What a word is: by what stands around it."""
    token = tokens[at]
    previous = tokens[at - 1].text if at else ""
    following = tokens[at + 1].text if at + 1 < len(tokens) else ""
    is_first = at == 0 or is_first_on_line(tokens, at)
    if token.type in RESERVED:
        return "reserved word"
    if is_first and token.type in KINDS | {"EXG", "USE"} and following not in ("=", ":", "."):
        return "declaration word"
    if previous.upper() in KINDS or previous in (
        "const",
        "field",
        "split",
        "scenario",
        "stage",
        "as",
        "keep",
        "variant",
    ):
        return "name where it is declared" if previous != "keep" else "word of a filter"
    if token.type in STATEMENT_WORDS and following not in ("=", ":", ".", ",", ")"):
        return "statement word"
    if following == "(" or previous == "|":
        return "function"
    if previous == ".":
        return "attribute"
    if following == "=":
        return "setting"
    if following == ":":
        return "key or argument"
    return "name"


def _find_templates(text: str) -> Iterator[tuple[int, str]]:
    """Offset and text of every `{{ … }}` and `{% … %}`."""
    for found in re.finditer(r"\{\{.*?\}\}|\{%.*?%\}", text, re.DOTALL):
        yield found.start(), found.group()


def _misspell_in_templates(text: str) -> Iterator[_Change]:
    for start, body in _find_templates(text):
        for word in re.finditer(r"(?<![\"'\w])[a-z_]+(?![\"'\w])", body):
            for put in misspell(word.group()):
                yield "misspelt word in a template", start + word.start(), start + word.end(), put


def _drop_signs(text: str) -> Iterator[_Change]:
    for token in _read(text):
        if token.text in ("{", "}", "(", ")", "[", "]"):
            yield f"missing {token.text}", token.start, token.end, ""
        elif token.text == ",":
            yield "missing ,", token.start, token.end, ""
        elif token.type == "STRING":
            yield "missing quote", token.start, token.start + 1, ""
            yield "missing quote", token.end - 1, token.end, ""
        elif token.type == "BLOCK_STRING":
            yield "missing quote", token.start, token.start + 3, '"'
            yield "missing quote", token.end - 3, token.end, ""


def _swap_signs(text: str) -> Iterator[_Change]:
    for token in _read(text):
        if token.text == "=":
            yield ": for =", token.start, token.end, ":"
        elif token.text == ":":
            yield "= for :", token.start, token.end, " ="


def _write_python(text: str) -> Iterator[_Change]:
    kind = "as in Python"
    tokens = _read(text)
    for at, token in enumerate(tokens):
        is_last = at + 1 == len(tokens) or tokens[at + 1].line > token.end_line
        if token.type in ("TRUE", "FALSE"):
            yield kind, token.start, token.end, token.text.capitalize()
        elif token.text == "=":
            yield kind, token.start, token.end, "=="
            yield kind, token.start, token.end, "+="
        elif token.text == "==":
            yield kind, token.start, token.end, "is"
        elif token.type == "STRING":
            yield kind, token.start, token.start, "f"
            if "'" not in token.text and "\\" not in token.text:
                yield kind, token.start, token.end, f"'{token.text[1:-1]}'"
        elif token.type == "ELSE":
            yield kind, token.start, token.end, "else:"
        elif token.type == "IF":
            yield kind, token.end, token.end, ":"
        elif token.type == "AND":
            yield kind, token.start, token.end, "&&"
        elif token.text == "use":
            yield kind, token.start, token.end, "import"
        elif (
            token.text in ("reward", "dialogue", "probes")
            and is_first_on_line(tokens, at)
            and at + 1 < len(tokens)
        ):
            yield kind, token.start, token.end, "def"
        elif token.text == "{" and is_last and at:
            yield kind, token.start, token.end, ":"
        if is_last and token.type in ("NUMBER", "STRING") and at + 1 < len(tokens):
            yield kind, token.end, token.end, ","
    for found in re.finditer(r"//", text):
        if text[max(0, found.start() - 1)] not in ":/" and text[found.end() : found.end() + 1] != "/":
            yield kind, found.start(), found.end(), "#"


def _change_units(text: str) -> Iterator[_Change]:
    for token in _read(text):
        found = (
            re.fullmatch(r"([\d_.eE+-]+?)(tok|usd|s|%|GiB)", token.text) if token.type == "NUMBER" else None
        )
        if found is None:
            if token.type == "NUMBER" and re.fullmatch(r"\d+(\.\d+)?", token.text):
                yield "unit where none is due", token.start, token.end, f"{token.text}tok"
            continue
        number, unit = found.groups()
        yield "missing unit", token.start, token.end, number
        yield "wrong unit", token.start, token.end, number + OTHER_UNITS[unit]
        yield "misspelt unit", token.start, token.end, number + {"%": "pct"}.get(unit, unit + "s")


def _break_templates(text: str) -> Iterator[_Change]:
    kind = "half of a template's braces"
    for start, body in _find_templates(text):
        end = start + len(body)
        yield kind, start, start + 2, ""
        yield kind, end - 2, end, ""
        yield kind, start, end, body[1:-1]
        yield kind, end - 1, end, ""


def _swap_arguments(text: str) -> Iterator[_Change]:
    """The first two arguments of a call, plain ones, change places."""
    for found in re.finditer(r"\b[a-z_.]+\(([^(),{}\"]+), ([^(),{}\"]+)([,)])", text):
        first, second = found.group(1), found.group(2)
        if ":" not in first and ":" not in second:
            yield "swapped arguments", found.start(1), found.end(2), f"{second}, {first}"


def _rename_settings(text: str) -> Iterator[_Change]:
    tokens = _read(text)
    for at, token in enumerate(tokens[:-1]):
        other = ELSEWHERE.get(token.text)
        if other is not None and tokens[at + 1].text in ("=", ":"):
            yield "setting by another name", token.start, token.end, other


# --- counting -----------------------------------------------------------------------------------------------

_PARSED: dict[tuple[str, str], Outcome[SpecFile]] = {}


def _parse_once(source: Source) -> Outcome[SpecFile]:
    """Imported files are parsed once."""
    if source.name.endswith("slip"):
        return parse_spec(source)
    key = (source.name, source.module)
    if key not in _PARSED:
        _PARSED[key] = parse_spec(source)
    return _PARSED[key]


def find_reports(name: str, text: str) -> tuple[Diagnostic, ...]:
    """What `check` says of a text that stands where the spec of this name does."""
    return check_spec(Source(f"{name}.slip", text, "spec"), load_module, parse=_parse_once).diagnostics


def count_reports(slip: Slip) -> Counted:
    """What is said of a slip."""
    return Counted(slip, find_reports(slip.name, slip.text))


def join_slips(specs: dict[str, str], count: int) -> Iterator[Slip]:
    """Two slips in one spec, far enough apart to be two mistakes: each alone gives one report, in another declaration."""
    for name, text in specs.items():
        chance = random.Random(f"{Path(name).name} pairs")
        slips = [slip for slip in list_slips(name, text) if slip.kind in PAIRED]
        starts = [found.start() for found in re.finditer(r"^\w", text, re.MULTILINE)]
        for _ in range(count if slips else 0):
            first, second = sorted(chance.sample(slips, 2), key=lambda slip: slip.start)
            places = [sum(start <= slip.start for start in starts) for slip in (first, second)]
            if places[0] == places[1] or any(
                len(find_reports(name, slip.text)) != 1 for slip in (first, second)
            ):
                continue
            head = first.text[: len(first.text) - (len(text) - second.start)]
            joined = head + second.text[second.start :]
            yield Slip(name, "two mistakes", joined, first.start, f"{first.put}  AND  {second.put}")


def draw_slips(specs: dict[str, str], most: int | None) -> Iterator[Slip]:
    """So many slips of each kind and spec, by a chance that is the same every time."""
    for name, text in specs.items():
        by_kind: dict[str, list[Slip]] = defaultdict(list)
        for slip in list_slips(name, text):
            by_kind[slip.kind].append(slip)
        for kind, slips in by_kind.items():
            random.Random(f"{Path(name).name} {kind}").shuffle(slips)
            yield from slips[:most]


def write_row(kind: str, found: Sequence[Counted]) -> str:
    """A row of the table: shares are of the slips that were seen."""
    counts = [len(each.reports) for each in found]
    seen = [count for count in counts if count]
    placed = sum(each.is_placed for each in found) / max(1, len(seen))
    total = max(1, len(seen))
    one, two = (sum(count == each for count in seen) / total for each in (1, 2))
    many = sum(count > 2 for count in seen)
    unseen = len(counts) - len(seen)
    return f"| {kind} | {len(counts):,} | {unseen:,} | {one:.1%} | {two:.1%} | {many} | {max(counts, default=0)} | {placed:.1%} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--slips", type=int, help="so many of each kind in each spec, by chance (default: all)"
    )
    parser.add_argument("--show", action="store_true", help="on stderr, every slip with more than one report")
    parser.add_argument("--kind", help="only kinds that contain this")
    parser.add_argument("--unseen", action="store_true", help="on stderr, the slips that nothing was said of")
    parser.add_argument(
        "--pairs", type=int, default=40, help="so many pairs of slips in each spec (default 40)"
    )
    options = parser.parse_args()
    specs = read_specs()
    counts: dict[str, list[Counted]] = defaultdict(list)
    for slip in draw_slips(specs, options.slips):
        if options.kind and options.kind not in slip.kind:
            continue
        counted = count_reports(slip)
        counts[slip.kind].append(counted)
        is_shown = options.show and (len(counted.reports) > 1 or (counted.reports and not counted.is_placed))
        if is_shown or (options.unseen and not counted.reports):
            print(f"{len(counted.reports)} {slip.kind}: {Path(slip.name).name}: {slip.put}", file=sys.stderr)
            for item in counted.reports:
                print(f"     [{item.id}] {item.message}", file=sys.stderr)
    extent = (
        "all of them" if options.slips is None else f"{options.slips:,} of each kind in each spec, by chance"
    )
    print("# Reports per slip\n")
    command = " ".join(["python -m benchmarks.slips", *sys.argv[1:]])
    print(
        f"Written by `{command}`: slips of {len(specs)} specs; {extent}. Shares are of the slips that are mistakes.\n"
    )
    print("| slip | slips | right specs | one report | two | three or more | most | shows the line |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for kind in sorted(counts):
        print(write_row(kind, counts[kind]))
    print(write_row("all", [count for each in counts.values() for count in each]))
    if not options.kind:
        pairs = [(slip, len(find_reports(slip.name, slip.text))) for slip in join_slips(specs, options.pairs)]
        two = sum(count == 2 for _, count in pairs)
        print(
            f"\nTwo slips in two declarations, each of which alone gives one report: {two} of {len(pairs)} pairs give two."
        )
        if options.show:
            for slip, count in pairs:
                if count != 2:
                    print(f"{count} two mistakes: {Path(slip.name).name}: {slip.put}", file=sys.stderr)


if __name__ == "__main__":
    main()
