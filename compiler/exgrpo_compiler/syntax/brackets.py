"""Brackets among tokens: which closes which, where declarations begin, which tokens lead a line."""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.syntax.terminals import CLOSERS, KINDS, NAMES, OPENERS
from exgrpo_compiler.syntax.tokens import get_start, is_first_on_line
from exgrpo_compiler.syntax.tree import Token


class Brackets(NamedTuple):
    """Which bracket closes which, as far as it can be told in a text that may lack some."""

    enclosing: tuple[int | None, ...]
    """For each token the index of the innermost bracket open before it."""
    partner: dict[int, int]
    """Opening to closing index; a bracket that is never closed is absent."""


def match_brackets(tokens: Sequence[Token]) -> Brackets:
    """Pairs brackets, some of which may be missing.

    A `}` closes over unclosed `(` and `[`; a `)` or `]` reaches only over what its own line opened.
    """
    enclosing: list[int | None] = []
    partner: dict[int, int] = {}
    stack: list[int] = []
    depths: dict[str, list[int]] = {opener: [] for opener in OPENERS}
    for index, token in enumerate(tokens):
        enclosing.append(stack[-1] if stack else None)
        if token.type in OPENERS:
            depths[token.type].append(len(stack))
            stack.append(index)
        elif token.type in CLOSERS:
            depth = _find_opener(tokens, stack, depths, index)
            if depth is not None:
                partner[stack[depth]] = index
                enclosing[-1] = stack[depth]
                del stack[depth:]
                for each in depths.values():
                    while each and each[-1] >= depth:
                        each.pop()
    return Brackets(tuple(enclosing), partner)


def _find_opener(
    tokens: Sequence[Token], stack: Sequence[int], depths: dict[str, list[int]], index: int
) -> int | None:
    """Position in the stack of the bracket that the closing token `index` closes."""
    closer = tokens[index]
    candidates = depths[CLOSERS[closer.type]]
    if not candidates:
        return None
    depth = candidates[-1]
    is_innermost = depth + 1 == len(stack)
    if is_innermost or closer.type == "RIGHT_BRACE" or tokens[stack[depth + 1]].line == closer.line:
        return depth
    return None


def split_declarations(tokens: Sequence[Token]) -> list[tuple[Token, ...]]:
    """Pieces that each begin where only a declaration can begin; a mistake in one leaves the others whole.

    A kind and a name at the start of a line begin a declaration outside of brackets, and in the first column
    even inside of them: then a bracket before is not closed.
    """
    pieces: list[tuple[Token, ...]] = []
    start, depth = 0, 0
    for index, token in enumerate(tokens):
        if index > start and _is_declaration(tokens, index) and (depth == 0 or token.column == 1):
            pieces.append(tuple(tokens[start:index]))
            start, depth = index, 0
        if token.type in OPENERS:
            depth += 1
        elif token.type in CLOSERS:
            depth = max(0, depth - 1)
    pieces.append(tuple(tokens[start:]))
    return pieces


def _is_declaration(tokens: Sequence[Token], index: int) -> bool:
    token = tokens[index]
    if token.type not in KINDS | {"USE"} or index + 1 >= len(tokens) or not is_first_on_line(tokens, index):
        return False
    following = tokens[index + 1]
    return following.type in NAMES or (token.type in {"TEST", "USE"} and following.type == "STRING")


def find_line_leads(tokens: Sequence[Token]) -> frozenset[int]:
    """Offsets of tokens that begin a line where a statement could begin: not inside `( )` or `[ ]`."""
    leads: set[int] = set()
    stack: list[str] = []
    for index, token in enumerate(tokens):
        if is_first_on_line(tokens, index) and (not stack or stack[-1] == "LEFT_BRACE"):
            leads.add(get_start(token))
        if token.type in OPENERS:
            stack.append(token.type)
        elif token.type in CLOSERS and stack and stack[-1] == CLOSERS[token.type]:
            stack.pop()
    return frozenset(leads)
