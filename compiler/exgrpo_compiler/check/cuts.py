"""How many probes a scenario takes, as far as that is known: whole numbers, and no more of them than are sampled.

A count is made of numbers, `k` and `uniform(a, b)`. For each `k` it lies between two numbers; where the upper one is more than `k`
for every `k` that can be, the scenario asks for probes that are never there, and would quietly take fewer.
"""

from __future__ import annotations

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.check.context import Context
from exgrpo_compiler.diagnostics import Edit, Fix
from exgrpo_compiler.ir import Typed

_MANY = 64
"""Up to which `k` a loop over all probes is tried."""
_LEAST_TELLING = 3
"""From how many probes on it shows that the ends of a draw changed places: with two, `uniform(1, k - 1)` has one number."""


class _Ends(NamedTuple):
    low: float
    high: float


def verify_cut(context: Context, count: Typed, most: int | None) -> bool:
    """Reports a count of probes that is no whole number, or never within those sampled; `most` are at most sampled."""
    broken = _find_broken(count)
    if broken is not None:
        number = float(broken.params["value"])
        context.problems.error(
            "type-mismatch",
            broken.span,
            f"A number of probes is a whole number; this is {number:g}.",
            hint=f"write {int(number)} or {int(number) + 1}",
        )
        return False
    has_k = _has_k(count)
    upside_down = _find_upside_down(count, most or _MANY)
    if upside_down is not None:
        low, high = upside_down.args
        texts = [end.span.source.text[end.span.start : end.span.end] for end in (low, high)]
        context.problems.error(
            "invalid-value",
            upside_down.span,
            "`uniform` draws from its first number up to its second, and the first is the larger here.",
            hint=f"write uniform({texts[1]}, {texts[0]})",
            fix=Fix("swap the two", (Edit(low.span, texts[1]), Edit(high.span, texts[0]))),
        )
        return False
    if most is None and not has_k:
        return True
    ends = [(k, _bound(count, k)) for k in range(1, (most or _MANY) + 1)]
    if any(end is None or end.high <= k for k, end in ends):
        return True
    sampled = "the `k` probes that are sampled" if has_k else f"the {most} probes that are sampled at most"
    context.problems.error(
        "invalid-value",
        count.span,
        f"This goes beyond {sampled}.",
        hint="`all` takes all of them; as first(uniform(1, k - 1)), a scenario leaves at least one out",
    )
    return False


def _find_broken(tree: Typed) -> Typed | None:
    """A literal among the parts of a sum, or the ends of a draw, that is no whole number."""
    if tree.op == "const":
        value = tree.params["value"]
        is_broken = isinstance(value, float) and not value.is_integer()
        return tree if is_broken else None
    if tree.op in ("add", "sub") or (tree.op == "call" and tree.params.get("fn") == "uniform"):
        return next((found for part in tree.args if (found := _find_broken(part)) is not None), None)
    return None


def _find_upside_down(tree: Typed, most: int) -> Typed | None:
    """A draw whose first number is the larger one when as many probes are sampled as can be, and never the smaller."""
    is_draw = tree.op == "call" and tree.params.get("fn") == "uniform"
    if is_draw and most >= _LEAST_TELLING:
        ends = [[_bound(end, k) for end in tree.args] for k in range(1, most + 1)]
        pairs = [(low.low, high.high) for low, high in ends if low is not None and high is not None]
        least = next((k for k, (low, high) in enumerate(pairs, 1) if low > high), None)
        if len(pairs) == most and least is not None and all(low >= high for low, high in pairs[least - 1 :]):
            return tree if pairs[-1][0] > pairs[-1][1] and least <= _LEAST_TELLING else None
    return next((found for part in tree.args if (found := _find_upside_down(part, most))), None)


def _has_k(tree: Typed) -> bool:
    return tree.op == "k" or any(_has_k(part) for part in tree.args)


def _bound(tree: Typed, k: int) -> _Ends | None:
    """Between which numbers the count lies for this `k`, or None where that is not known."""
    if tree.op == "k":
        return _Ends(k, k)
    if tree.op == "const":
        value = tree.params["value"]
        return _Ends(value, value) if isinstance(value, int | float) else None
    parts = [_bound(part, k) for part in tree.args]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or len(known) != 2:
        return None
    (a, b), (c, d) = known
    if tree.op == "add":
        return _Ends(a + c, b + d)
    if tree.op == "sub":
        return _Ends(a - d, b - c)
    if tree.op == "mul":
        products = (a * c, a * d, b * c, b * d)
        return _Ends(min(products), max(products))
    if tree.op == "call" and tree.params.get("fn") == "uniform":
        return _Ends(a, max(a, d))
    return None
