r"""Texts that a regular expression takes an answer from, with the answer left open: `Final: {0}!` for `Final: (\d+)!`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from exgrpo_artifact.regex_syntax import (
    Anchor,
    Choice,
    Group,
    Leaf,
    RegexError,
    Repeat,
    Sequence,
    Tree,
    parse_regex,
)

HOLE = "{0}"
MOST_FORMS = 6
MOST_REPEATS = 40
_CANDIDATES = " aA1:.-#*\n" + "".join(map(chr, range(33, 127)))
"""Characters that are tried where one of several may stand, the plainest first."""
_WIDE = frozenset({".", r"[\s\S]", r"[\S\s]", r"[\w\W]", r"[\d\D]"})
"""What takes any character: where such a gap is repeated, the answer can stand in it too."""


def write_forms(pattern: str) -> tuple[str, ...]:
    r"""Forms for `str.format`, the shortest first in each choice; none where the pattern has no group or is no pattern.

    >>> write_forms(r"(?:Answer|Final): \((?:option )?([A-D])\)")
    ('Answer: ({0})', 'Final: ({0})')
    """
    try:
        parsed = parse_regex(pattern)
    except RegexError:
        return ()
    if not parsed.has_group:
        return ()
    flags = re.IGNORECASE if "i" in parsed.flags else 0
    forms = (form for form in _write(parsed.tree, flags) if HOLE in form)
    return tuple(itertools.islice(dict.fromkeys(forms), MOST_FORMS))


def _write(tree: Tree, flags: int) -> Iterator[str]:
    """Texts that match the tree, few of them."""
    match tree:
        case Group():
            yield HOLE
        case Anchor():
            yield ""
        case Leaf():
            yield from _write_leaf(tree.text, flags)
        case Sequence():
            columns = [list(itertools.islice(_write(part, flags), MOST_FORMS)) for part in tree.parts]
            yield from map("".join, itertools.islice(itertools.product(*columns), MOST_FORMS * MOST_FORMS))
        case Choice():
            for option in tree.options:
                yield from itertools.islice(_write(option, flags), MOST_FORMS)
        case Repeat():
            yield from _write_repeat(tree, flags)


def _write_repeat(tree: Repeat, flags: int) -> Iterator[str]:
    if isinstance(tree.body, Leaf) and tree.body.text in _WIDE and tree.most is None:
        yield HOLE
        return
    holds_group = _has_group(tree.body)
    least = max(tree.least, int(holds_group))
    if least > MOST_REPEATS:
        return
    for text in itertools.islice(_write(tree.body, flags), MOST_FORMS):
        yield text * least


def _has_group(tree: Tree) -> bool:
    match tree:
        case Group():
            return True
        case Sequence():
            return any(map(_has_group, tree.parts))
        case Choice():
            return any(map(_has_group, tree.options))
        case Repeat():
            return _has_group(tree.body)
    return False


def _write_leaf(text: str, flags: int) -> Iterator[str]:
    """One character that the leaf allows, written for `str.format`."""
    leaf = re.compile(text, flags | re.DOTALL)
    plain = text.removeprefix("\\")
    candidates = (plain, *_CANDIDATES) if len(plain) == 1 else _CANDIDATES
    found = next((one for one in candidates if leaf.fullmatch(one)), None)
    if found is not None:
        yield found.replace("{", "{{").replace("}", "}}")
