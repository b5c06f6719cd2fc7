"""Rewards that no test looks at."""

from __future__ import annotations

from exgrpo_compiler import ast
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.syntax.tree_shape import walk_tree


def lint_tests(spec: ast.SpecFile, problems: Problems) -> None:
    """Finds rewards of the file whose name no `test` of it mentions."""
    named = {
        node.name
        for decl in spec.decls
        if decl.kind == "test"
        for node in walk_tree(decl)
        if isinstance(node, ast.Ref)
    }
    for decl in spec.decls:
        if decl.kind == "reward" and decl.name.text not in named:
            problems.warning(
                "no-test",
                decl.name.span,
                f"No test shows what the reward `{decl.name.text}` pays.",
                hint=f"a `test` block with rollouts and `expect {decl.name.text}.total == […]` runs offline in milliseconds",
            )
