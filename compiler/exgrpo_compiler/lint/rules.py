"""Rules that say the same twice."""

from __future__ import annotations

from exgrpo_compiler import ast
from exgrpo_compiler.diagnostics import Label
from exgrpo_compiler.problems import Problems


def lint_rules(spec: ast.SpecFile, problems: Problems) -> None:
    """Finds rules with the same instruction: they give the same probes, paid for twice."""
    seen: dict[str, tuple[str, ast.Text]] = {}
    for decl in spec.decls:
        text = _find_instruction(decl) if decl.kind == "rule" else None
        if text is None:
            continue
        words = " ".join(text.value.split()).casefold()
        if words not in seen:
            seen[words] = decl.name.text, text
            continue
        name, first = seen[words]
        problems.warning(
            "duplicate-rule-text",
            text.span,
            f"The rule `{decl.name.text}` asks for the same as the rule `{name}`.",
            labels=(Label(first.span, "the same instruction"),),
            hint="say what sets it apart, or remove it: probes of both are alike, and each is paid for",
        )


def _find_instruction(decl: ast.Decl) -> ast.Text | None:
    for statement in decl.block.statements if decl.block is not None else ():
        if isinstance(statement, ast.Assign) and statement.path[0].text == "instruction":
            return statement.value if isinstance(statement.value, ast.Text) else None
    return None
