"""One edit of one token that makes sense of a piece in which several things seem wrong.

A bracket too many makes the parser stumble twice: where it stands and where the piece ends. If leaving out one token, or
putting in one sign, gives a piece without any error, there was one mistake, and the tree of the mended piece is the
best that can be had. No name and no value is ever made up. The number of edits that are tried does not depend on
the length of the piece, so the time is linear in it.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.diagnostics import Diagnostic, find_closest, has_errors
from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax.build_ast import TreeBuilder
from exgrpo_compiler.syntax.foreign import find_foreign_range
from exgrpo_compiler.syntax.straight import parse_tokens
from exgrpo_compiler.syntax.terminals import (
    CLOSERS,
    KINDS,
    NAMES,
    OPENERS,
    PUNCTUATION,
    RESERVED,
    STATEMENT_WORDS,
    STRINGS,
)
from exgrpo_compiler.syntax.tokens import Doc, make_token, replace_token
from exgrpo_compiler.syntax.tree import Token

_NEAR = 4
"""How many tokens before the first stumble are tried."""
_FAR = 48
"""The same for brackets, whose effect shows late."""
_SIGNS = ("COMMA", "RIGHT_PAREN", "RIGHT_BRACE", "RIGHT_BRACKET", "LEFT_BRACE", "LEFT_PAREN", "LEFT_BRACKET")
_FARTHER = 400
"""The same for a `[` whose `]` stands at the end of a long list."""
_OPENERS_TRIED = 8
_MEANT = {"==": ("EQUALS",), ":": ("EQUALS", "LEFT_BRACE"), "=": ("COLON",)}
"""Signs, and those that they stand for in other languages."""
_WORDS = tuple(sorted(word.lower() for word in KINDS | STATEMENT_WORDS | RESERVED | {"USE"}))
_LESS_LIKELY_SIGNS = ("EQUALS", "COLON", "DOT", "ARROW", "PIPE", "SEMICOLON")


class Mended(NamedTuple):
    """What a piece is once one token is edited."""

    items: Any
    warnings: tuple[Diagnostic, ...]
    used_docs: frozenset[int]
    place: int
    """Offset of the edit."""
    opener: str = ""
    """The bracket that was put in there, if one was."""


class _Edit(NamedTuple):
    at: int
    sign: str | None
    """What is put in before the token `at`; None if that token is left out."""
    is_replaced: bool = False
    """Whether it takes the token's place."""


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
        if edit.is_replaced and edit.sign is not None:
            edited = [*tokens[:at], replace_token(tokens[at], edit.sign), *tokens[at + 1 :]]
        elif edit.sign is None:
            edited = tokens[:at] + tokens[at + 1 :]
        else:
            edited = [
                *tokens[:at],
                make_token(edit.sign, PUNCTUATION[edit.sign], tokens[at - 1]),
                *tokens[at:],
            ]
        mended = self._parse(edited, at)
        if mended is not None and edit.sign in OPENERS and not edit.is_replaced:
            return mended._replace(opener=PUNCTUATION[edit.sign])
        return mended

    def _parse(self, edited: Sequence[Token], at: int) -> Mended | None:
        tokens = self.tokens
        builder = self._make_builder()
        parsed = parse_tokens(edited, builder, "file")
        if isinstance(parsed, int) or has_errors(builder.diagnostics) or parsed[1] > self.max_depth:
            return None
        place = tokens[at].start if at < len(tokens) else tokens[-1].end
        return Mended(parsed[0], tuple(builder.diagnostics), frozenset(builder.used_docs), place)

    def _list_edits(self, stumble: int) -> Iterator[_Edit]:
        """What to try, likeliest first: mending a word or a sign, leaving out a sign, putting one in, leaving out a word."""
        last = min(stumble, len(self.tokens) - 1)
        near = [at for at in range(last + 1, last - _NEAR, -1) if 0 <= at < len(self.tokens)]
        yield from self._list_slips(near)
        yield from self._list_openers(stumble)
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

    def _list_slips(self, near: Sequence[int]) -> Iterator[_Edit]:
        """Words of the language but for a slip, and signs that another stands for."""
        for at in sorted(near):
            token = self.tokens[at]
            if token.type == "NAME":
                closest = find_closest(token.text, _WORDS)
                if closest is not None:
                    yield _Edit(at, closest.upper(), True)
            elif token.text in _MEANT:
                yield from (_Edit(at, sign, True) for sign in _MEANT[token.text])

    def _list_openers(self, stumble: int) -> Iterator[_Edit]:
        """The bracket that a `]` or `)` lacks, after a sign that a list or a group may follow."""
        if stumble >= len(self.tokens) or self.tokens[stumble].type not in ("RIGHT_BRACKET", "RIGHT_PAREN"):
            return
        signs = [
            at
            for at in range(stumble - 1, max(-1, stumble - _FARTHER), -1)
            if self.tokens[at].type in ("EQUALS", "COLON", "COMMA", "LEFT_PAREN")
        ]
        # The nearest `=` of the statement, then what stands closer.
        first = [at for at in signs if self.tokens[at].type == "EQUALS"][:1]
        opener = CLOSERS[self.tokens[stumble].type]
        yield from (_Edit(at + 1, opener) for at in [*first, *signs[:_OPENERS_TRIED]])
