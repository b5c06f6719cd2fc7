"""Jinja's parser, made to say where.

Jinja's nodes know lines only, and not columns. Here the lexer's tokens carry their offset in the template in the place of the
line number, so that every node's `lineno` is an offset. `_tokenize` and `tokeniter` are Jinja internals: the version is
pinned, and `tests/compiler/test_templates.py` compares offsets over random templates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import TokenStream


class _OffsetEnvironment(Environment):
    """An environment whose tokens carry offsets."""

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        tokens = self.lexer.wrap(
            _add_offsets(self.lexer.tokeniter(source, name, filename, state), source), name, filename
        )
        return TokenStream(tokens, name, filename)


def _add_offsets(tokens: Iterator[tuple[int, str, str]], source: str) -> Iterator[tuple[int, str, str]]:
    at = 0
    while True:
        try:
            _, kind, value = next(tokens)
        except StopIteration:
            return
        except TemplateSyntaxError as error:
            error.lineno = at
            raise
        # Whitespace control drops blanks that no token holds.
        while not source.startswith(value, at) and at < len(source):
            at += 1
        yield at, kind, value
        at += len(value)


_ENVIRONMENT = _OffsetEnvironment()
"""Only parses; filters and tests are looked up by the checker."""


def parse_template(text: str) -> nodes.Template:
    """The template's tree; `lineno` of each node is the offset of its first token (of the dot, for an attribute).

    Raises:
        TemplateSyntaxError: malformed; `lineno` is the offset.
    """
    return _ENVIRONMENT.parse(text)


def walk_children(node: Any) -> Iterator[nodes.Node]:
    """Child nodes in order."""
    yield from node.iter_child_nodes()
