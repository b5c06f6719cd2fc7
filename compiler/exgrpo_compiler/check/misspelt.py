"""A function's name that is one of the few due at its place, but for a slip of the pen.

Where an expression may be anything, `calls.py` says which functions there are. Elsewhere only a few calls may stand, and
what is due there is said in a sentence of its own; a misspelt name is told apart from that first.
"""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_compiler.ast import Call, Expr, Ref
from exgrpo_compiler.diagnostics import suggest_name
from exgrpo_compiler.problems import Problems, suggest_fix


def report_misspelt(problems: Problems, expr: Expr, calls: Sequence[str], names: Sequence[str] = ()) -> bool:
    """Whether this is a misspelt call of one of `calls`, or one of the bare `names`; then it is reported."""
    head, known = (expr.function, calls) if isinstance(expr, Call) else (expr, names)
    if not isinstance(head, Ref) or head.name in known:
        return False
    hint = suggest_name(head.name, known)
    if hint is None:
        return False
    id_, what = ("unknown-function", "function") if isinstance(expr, Call) else ("unknown-name", "name")
    fix = suggest_fix(head.span, head.name, known)
    problems.error(
        id_,
        head.span,
        f"There is no {what} `{head.name}`{'' if known is calls else ' here'}.",
        hint=hint,
        fix=fix,
    )
    return True
