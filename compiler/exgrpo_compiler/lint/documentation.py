"""Declarations that other files use should say what they are for."""

from __future__ import annotations

from exgrpo_compiler.ast import SpecFile
from exgrpo_compiler.problems import Problems


def lint_documentation(spec: SpecFile, problems: Problems) -> None:
    """Finds undocumented declarations of a library: a file without a task is there to be imported."""
    if any(decl.kind == "task" for decl in spec.decls):
        return
    for decl in spec.decls:
        if decl.kind not in {"test", "study"} and not decl.doc.strip():
            problems.warning(
                "missing-doc",
                decl.name.span,
                f"The {decl.kind} `{decl.name.text}` is offered to other files and says nothing about itself.",
                hint="write `/// …` on the line before it: `exgrpo doc` and editors show that text",
            )
