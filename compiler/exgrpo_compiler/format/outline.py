"""What the syntax tree knows and tokens do not: where imports, declarations and statements begin."""

from __future__ import annotations

from exgrpo_compiler import ast
from exgrpo_compiler.syntax.tree_shape import walk_tree

Starts = dict[int, str]
"""Offset of a node's first token -> class of the node."""


def find_starts(spec: ast.SpecFile) -> Starts:
    """Where everything that separators may stand between begins, in a file without syntax errors."""
    starts: Starts = {}
    roots: tuple[ast.Use | ast.Decl, ...] = (*spec.uses, *spec.decls)
    for root in roots:
        starts[root.span.start] = type(root).__name__
        for node in walk_tree(root):
            if isinstance(node, ast.Block):
                starts.update({inner.span.start: type(inner).__name__ for inner in node.statements})
            elif isinstance(node, ast.YieldsStmt):
                starts.update({field.span.start: "YieldField" for field in node.fields})
    return starts
