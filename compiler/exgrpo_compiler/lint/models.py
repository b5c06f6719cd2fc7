"""Models and data that may change or cost without the spec changing."""

from __future__ import annotations

from collections.abc import Iterator

from exgrpo_compiler import ast
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.syntax.tree_shape import walk_tree

_LOCAL = ("http://localhost", "http://127.", "http://[::1]")


def lint_models(spec: ast.SpecFile, problems: Problems) -> None:
    """Finds repositories without a revision and endpoints without a budget."""
    for decl in spec.decls:
        if decl.kind == "dataset":
            for call in _list_calls(decl, "hf"):
                _lint_revision(call, f"The rows of `{decl.name.text}` are", problems)
        elif decl.kind == "model":
            for call in _list_calls(decl, "hf"):
                _lint_revision(call, f"The model `{decl.name.text}` is", problems)
            for call in _list_calls(decl, "openai"):
                _lint_budget(decl, call, problems)


def _list_calls(decl: ast.Decl, name: str) -> Iterator[ast.Call]:
    for node in walk_tree(decl):
        if isinstance(node, ast.Call) and isinstance(node.function, ast.Ref) and node.function.name == name:
            yield node


def _lint_revision(call: ast.Call, subject: str, problems: Problems) -> None:
    first = call.arguments[0].value if call.arguments else None
    is_local = isinstance(first, ast.Text) and first.value.startswith((".", "/", "~"))
    if is_local or _find_argument(call, "revision") is not None:
        return
    problems.warning(
        "unpinned-revision",
        call.span,
        f"{subject} whatever the repository holds on the day of the run.",
        hint='add the commit, `revision: "…"`: then a run can be repeated',
    )


def _lint_budget(decl: ast.Decl, call: ast.Call, problems: Problems) -> None:
    url = _find_argument(call, "base_url")
    urls = url.items if isinstance(url, ast.ListExpr) else (url,)
    is_local = all(isinstance(one, ast.Text) and one.value.startswith(_LOCAL) for one in urls)
    block = decl.value.block if isinstance(decl.value, ast.Configured) else None
    names = {
        statement.path[0].text
        for statement in (block.statements if block is not None else ())
        if isinstance(statement, ast.Assign)
    }
    if is_local or "budget" in names:
        return
    problems.warning(
        "no-budget",
        decl.name.span,
        f"Nothing limits what requests to `{decl.name.text}` may cost.",
        hint="write `budget = 20usd` in the model's braces: a run stops before it spends more",
    )


def _find_argument(call: ast.Call, name: str) -> ast.Expr | None:
    found = (each.value for each in call.arguments if each.name is not None and each.name.text == name)
    return next(found, None)
