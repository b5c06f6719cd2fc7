"""`similarity(a, b)`: how close two texts are in meaning, as the cosine of their embeddings, from -1 to 1."""

from __future__ import annotations

from exgrpo_compiler.ast import Argument, Expr
from exgrpo_compiler.builtins import DEFAULT_EMBEDDER
from exgrpo_compiler.check.arguments import bind_arguments
from exgrpo_compiler.check.context import find_declaration
from exgrpo_compiler.check.expressions import check_expression, combine_levels, verify_type
from exgrpo_compiler.check.scope import Scope
from exgrpo_compiler.ir import CheckedModel, Typed
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import NUMBER, TEXT


def check_similarity(scope: Scope, arguments: tuple[Argument, ...], span: Span) -> Typed | None:
    """`similarity(a, b, by: model)`; without `by` the embeddings are those of `DEFAULT_EMBEDDER`."""
    bound = bind_arguments(
        arguments,
        ("a", "b", "by"),
        ("a", "b"),
        "`similarity`",
        span,
        scope.context.problems,
        num_positional=2,
    )
    if bound is None:
        return None
    texts = [check_expression(scope, bound[name].value) for name in ("a", "b")]
    params = _read_embedder(scope, bound["by"].value) if "by" in bound else {"id": DEFAULT_EMBEDDER}
    checked = [text for text in texts if text is not None]
    if len(checked) < len(texts) or params is None:
        return None
    if not all(verify_type(scope, text, TEXT, "What `similarity` reads") for text in checked):
        return None
    level = combine_levels(*checked)
    if scope.place == "reward" and level in ("const", "group"):
        level = "rollout"  # as for judges: what is told from outside is told for each rollout
    return Typed("call", tuple(checked), {"fn": "similarity", **params}, NUMBER, level, span)


def _read_embedder(scope: Scope, expr: Expr) -> dict[str, object] | None:
    key = find_declaration(scope.context, expr, ("model",), "`similarity`")
    checked = scope.context.known.get(key) if key is not None else None
    if not isinstance(checked, CheckedModel):
        return None
    model = checked.model
    if model.kind != "hf":
        scope.context.problems.error(
            "kind-mismatch",
            expr.span,
            f"`{model.name}` is a model of kind `{model.kind}`, and embeddings come from weights on this machine.",
            hint=f'declare it as hf("{DEFAULT_EMBEDDER}")',
        )
        return None
    return {"by": key, "id": model.id, "revision": model.revision}
