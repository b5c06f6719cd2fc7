"""One edit of one token that makes sense of a piece in which several things seem wrong.

A bracket too many makes the parser stumble twice: where it stands and where the piece ends. If leaving out one token, or
putting in one sign, gives a piece without any error, there was one mistake, and the tree of the mended piece is the
best that can be had. No name and no value is ever made up. The number of edits that are tried does not depend on
the length of the piece, so the time is linear in it.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from exgrpo_compiler.diagnostics import Diagnostic, has_errors
from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax.build_ast import TreeBuilder
from exgrpo_compiler.syntax.foreign import find_foreign_range
from exgrpo_compiler.syntax.straight import parse_tokens
from exgrpo_compiler.syntax.terminals import CLOSERS, NAMES, OPENERS, PUNCTUATION, STRINGS
from exgrpo_compiler.syntax.tokens import Doc, make_token
from exgrpo_compiler.syntax.tree import Token

_NEAR = 4
"""How many tokens before the first stumble are tried."""
_FAR = 48
"""The same for brackets, whose effect shows late."""
_SIGNS = ("COMMA", "RIGHT_PAREN", "RIGHT_BRACE", "RIGHT_BRACKET", "LEFT_BRACE", "LEFT_PAREN", "LEFT_BRACKET")
_LESS_LIKELY_SIGNS = ("EQUALS", "COLON", "DOT", "ARROW", "PIPE", "SEMICOLON")


class Mended(NamedTuple):
    """What a piece is once one token is edited."""

    items: Any
    warnings: tuple[Diagnostic, ...]
    used_docs: frozenset[int]
    place: int
    """Offset of the edit."""


class _Edit(NamedTuple):
    at: int
    sign: str | None
    """What is put in before the token `at`; None if that token is left out."""


class PieceMender:
    """Tries edits on the tokens of one piece."""

    def __init__(
        self,
        source: Source,
        tokens: Sequence[Token],
        line_leads: Container[int],
        docs: Mapping[int, Doc],
        max_depth: int,
    ) -> None:
        self.source = source
        self.tokens = list(tokens)
        self.line_leads = line_leads
        self.docs = docs
        self.max_depth = max_depth

    def mend(self) -> Mended | None:
        """The piece after the first edit that leaves nothing wrong, or None."""
        builder = self._make_builder()
        stumble = parse_tokens(self.tokens, builder, "file")
        if not isinstance(stumble, int):
            places = [problem.span.start for problem in builder.diagnostics if problem.severity == "error"]
            stumble = self._find_index(min(places, default=0))
        rewritten = self._rewrite_range(stumble)
        if rewritten is not None:
            return rewritten
        return next((mended for edit in self._list_edits(stumble) if (mended := self._try(edit))), None)

    def _rewrite_range(self, stumble: int) -> Mended | None:
        """The piece with a range in the notation of the language."""
        bounds = find_foreign_range(self.tokens, stumble)
        if bounds is None:
            return None
        low, high = bounds
        start = low - 1 if self.tokens[low - 1].type in OPENERS else low
        end = high + 1 if start == low else high + 2
        dots = make_token("RANGE", "..", self.tokens[low])
        return self._parse(
            [*self.tokens[:start], self.tokens[low], dots, self.tokens[high], *self.tokens[end:]], low
        )

    def _find_index(self, offset: int) -> int:
        return next((at for at, token in enumerate(self.tokens) if token.start >= offset), len(self.tokens))

    def _make_builder(self) -> TreeBuilder:
        return TreeBuilder(self.source, self.line_leads, self.docs)

    def _try(self, edit: _Edit) -> Mended | None:
        tokens, at = self.tokens, edit.at
        if edit.sign is None:
            edited = tokens[:at] + tokens[at + 1 :]
        else:
            edited = [
                *tokens[:at],
                make_token(edit.sign, PUNCTUATION[edit.sign], tokens[at - 1]),
                *tokens[at:],
            ]
        return self._parse(edited, at)

    def _parse(self, edited: Sequence[Token], at: int) -> Mended | None:
        tokens = self.tokens
        builder = self._make_builder()
        parsed = parse_tokens(edited, builder, "file")
        if isinstance(parsed, int) or has_errors(builder.diagnostics) or parsed[1] > self.max_depth:
            return None
        place = tokens[at].start if at < len(tokens) else tokens[-1].end
        return Mended(parsed[0], tuple(builder.diagnostics), frozenset(builder.used_docs), place)

    def _list_edits(self, stumble: int) -> Iterator[_Edit]:
        """What to try, likeliest first: leaving out a sign, putting one in, leaving out a word."""
        last = min(stumble, len(self.tokens) - 1)
        near = [at for at in range(last + 1, last - _NEAR, -1) if 0 <= at < len(self.tokens)]
        far = range(last - _NEAR, max(-1, last - _FAR), -1)
        is_sign = {at: self.tokens[at].type not in NAMES | STRINGS | {"NUMBER"} for at in near}
        yield from (_Edit(at, None) for at in near if is_sign[at])
        yield from (_Edit(at, None) for at in far if self.tokens[at].type in OPENERS.keys() | CLOSERS.keys())
        places = [at for at in range(stumble, stumble - _NEAR, -1) if 0 < at <= len(self.tokens)]
        yield from (_Edit(at, sign) for at in places for sign in _SIGNS)
        yield from (_Edit(at, None) for at in near if not is_sign[at])
        yield from (
            _Edit(at, sign)
            for at in places[:2]
            for sign in _LESS_LIKELY_SIGNS
            if not (sign == "COLON" and self.tokens[at - 1].type in ("OPEN", "SECRET"))
        )
