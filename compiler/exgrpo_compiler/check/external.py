"""Builtins that read answers or ask a model: `matches format agrees solved judge.score judge.same`."""

from __future__ import annotations

from collections.abc import Mapping

from exgrpo_compiler.ast import Argument, Attribute, Expr, Ref
from exgrpo_compiler.builtins import ASKABLE
from exgrpo_compiler.check.answer_fits import verify_answer_fits
from exgrpo_compiler.check.answers import get_answer_for, read_answer_expression
from exgrpo_compiler.check.arguments import bind_arguments, swap_places
from exgrpo_compiler.check.context import Context, find_declaration
from exgrpo_compiler.check.expressions import check_expression, combine_levels, verify_type
from exgrpo_compiler.check.scope import RolloutName, Scope
from exgrpo_compiler.ir import STUDENT, AnswerOf, CheckedExchange, CheckedModel, StudentRole, Typed
from exgrpo_compiler.program import Key
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import BOOL, INT, NUMBER, TEXT, list_of

_SIGNATURES: Mapping[str, tuple[tuple[str, ...], int, int]] = {
    "matches": (("turn", "gold"), 2, 2),
    "format": (("turn", "answer"), 1, 2),
    "agrees": (("model", "texts", "gold"), 3, 3),
    "solved": (("model", "probes"), 2, 2),
    "judge.score": (("text", "rubric", "by"), 3, 1),
    "judge.same": (("a", "b", "by"), 3, 2),
}
"""Parameters, how many are required, how many may stand without a name."""


def _bind(
    scope: Scope, name: str, arguments: tuple[Argument, ...], span: Span
) -> Mapping[str, Argument] | None:
    names, num_required, num_positional = _SIGNATURES[name]
    return bind_arguments(
        arguments,
        names,
        names[:num_required],
        f"`{name}`",
        span,
        scope.context.problems,
        num_positional=num_positional,
    )


def check_outcome(scope: Scope, name: str, arguments: tuple[Argument, ...], span: Span) -> Typed | None:
    """`matches(turn, gold)` and `format(turn)`, with the answer spec they read by."""
    bound = _bind(scope, name, arguments, span)
    if bound is None:
        return None
    turn_expr = bound["turn"].value
    turn = check_expression(scope, turn_expr)
    if turn is None or not verify_type(scope, turn, TEXT, f"`turn` of `{name}`"):
        return None
    exchange = _get_exchange(scope, turn_expr)
    declared = exchange.answer if exchange is not None else None
    if name == "format":
        answer = (
            read_answer_expression(scope.context, bound["answer"].value) if "answer" in bound else declared
        )
        if answer is None:
            if "answer" not in bound and not _is_open(scope, turn_expr):
                scope.context.problems.error(
                    "missing-argument",
                    span,
                    "`format` needs an answer type: this turn has none.",
                    hint="give the turn one (`assistant final: number.last`), or write format(turn, number.last)",
                )
            return None
        params = {"fn": name, "answer": answer}
        return Typed("call", (turn,), params, NUMBER, turn.level, span)
    gold = check_expression(scope, bound["gold"].value)
    if gold is None:
        return None
    if gold.op == "turn" and turn.op != "turn":
        scope.context.problems.error(
            "kind-mismatch",
            gold.span,
            f"`{name}` takes the turn first, and then what it is compared with.",
            hint="swap the two",
            fix=swap_places(turn_expr, bound["gold"].value),
        )
        return None
    if gold.type.kind in ("list", "record"):
        verify_type(scope, gold, TEXT, "`gold` of `matches`")
        return None
    if declared and exchange and not verify_answer_fits(scope, turn_expr, exchange, declared, gold):
        return None
    params = {"fn": name, "answer": declared or get_answer_for(gold.type)}
    return Typed("call", (turn, gold), params, NUMBER, combine_levels(turn, gold), span)


def _get_exchange(scope: Scope, expr: Expr) -> CheckedExchange | None:
    if not isinstance(expr, Attribute) or not isinstance(expr.value, Ref):
        return None
    meaning = scope.names.get(expr.value.name)
    if not isinstance(meaning, RolloutName):
        return None
    return meaning.dialogue.get_exchange(expr.name.text)


def _is_open(scope: Scope, expr: Expr) -> bool:
    """Whether the dialogue of a turn is broken, so that what the turn lacks may have been meant."""
    meaning = (
        scope.names.get(expr.value.name)
        if isinstance(expr, Attribute) and isinstance(expr.value, Ref)
        else None
    )
    return isinstance(meaning, RolloutName) and meaning.dialogue.is_open


def check_filter_call(scope: Scope, name: str, arguments: tuple[Argument, ...], span: Span) -> Typed | None:
    """`agrees(model, texts, gold)` and `solved(model, probes)`."""
    bound = _bind(scope, name, arguments, span)
    if bound is None:
        return None
    other = bound["probes" if name == "solved" else "texts"].value
    if _names_model(scope, other) and not _names_model(scope, bound["model"].value):
        scope.context.problems.error(
            "kind-mismatch",
            other.span,
            f"`{name}` takes the model first.",
            hint="swap the two",
            fix=swap_places(bound["model"].value, other),
        )
        return None
    model = _find_model(scope, bound["model"].value, f"`{name}`", takes_student=name == "solved")
    if name == "solved":
        probes = check_expression(scope, bound["probes"].value)
        if model is None or probes is None:
            return None
        if probes.op != "probes":
            scope.context.problems.error(
                "type-mismatch",
                probes.span,
                "`solved` counts over `probes`.",
                hint="write solved(student, probes)",
            )
            return None
        return Typed("call", (probes,), {"fn": name, "model": model, "dialogue": None}, INT, "const", span)
    texts, gold = check_expression(scope, bound["texts"].value), check_expression(scope, bound["gold"].value)
    if model is None or texts is None or gold is None:
        return None
    if texts.type.is_text:
        texts = Typed("list", (texts,), {}, list_of(TEXT), texts.level, texts.span)
    if not verify_type(scope, texts, list_of(TEXT), "`texts` of `agrees`"):
        return None
    shown = next((text for text in texts.args if _is_same(text, gold)), None)
    if shown is not None:
        written = gold.span.source.text[gold.span.start : gold.span.end]
        scope.context.problems.error(
            "invalid-value",
            shown.span,
            f"`agrees` asks whether the model reaches `{written}`, and this shows it to the model.",
            hint="show it the probe, and the question: [probe.question, item.question]",
        )
        return None
    params = {"fn": name, "model": model, "answer": AnswerOf(gold.type)}
    return Typed("call", (texts, gold), params, BOOL, "const", span)


def _names_model(scope: Scope, expr: Expr) -> bool:
    """Whether this is the name of a model, or the student."""
    if not isinstance(expr, Ref):
        return False
    context = scope.context
    return expr.name == "student" or expr.name in context.program.names_of(context.module, "model")


def _is_same(left: Typed, right: Typed) -> bool:
    """Whether both are the same field."""
    return left.op == right.op and left.op in ("item", "probe") and left.params == right.params


def check_judge(scope: Scope, name: str, arguments: tuple[Argument, ...], span: Span) -> Typed | None:
    """`judge.score(text, rubric:, by:)` and `judge.same(a, b, by:)`."""
    bound = _bind(scope, name, arguments, span)
    if bound is None:
        return None
    model = _find_model(scope, bound["by"].value, f"`{name}`")
    rubric = None
    if name == "judge.score":
        rubric = find_declaration(scope.context, bound["rubric"].value, ("rubric",), f"`{name}`")
        if rubric is not None and scope.context.known.get(rubric) is None:
            return None  # its scale is not known, which was reported
    names = ("text",) if name == "judge.score" else ("a", "b")
    texts = [check_expression(scope, bound[item].value) for item in names]
    checked = [text for text in texts if text is not None]
    if model is None or len(checked) < len(names) or (name == "judge.score" and rubric is None):
        return None
    if not all(verify_type(scope, text, TEXT, f"What `{name}` reads") for text in checked):
        return None
    params: dict[str, object] = {"fn": name, "model": model}
    if rubric is not None:
        params["rubric"] = rubric
    result = NUMBER if name == "judge.score" else BOOL
    level = combine_levels(*checked)
    if scope.place == "reward" and level in ("const", "group"):
        level = "rollout"  # a judge is asked for every rollout
    return Typed("call", tuple(checked), params, result, level, span)


def find_teacher(scope: Scope, expr: Expr, what: str) -> Key | None:
    """A teacher or judge that is named in an expression, or None with a diagnostic."""
    found = _find_model(scope, expr, what)
    return found if isinstance(found, Key) else None


def _find_model(
    scope: Scope, expr: Expr, what: str, *, takes_student: bool = False
) -> Key | StudentRole | None:
    if scope.find_student and isinstance(expr, Ref) and expr.name == "student":
        if takes_student:
            return STUDENT
        scope.context.problems.error(
            "kind-mismatch", expr.span, f"{what} asks a teacher or a judge; the student is asked by `solved`."
        )
        return None
    return find_askable(scope.context, expr, what)


def find_askable(context: Context, expr: Expr, what: str) -> Key | None:
    """The model that requests can be sent to, or None with a diagnostic."""
    key = find_declaration(context, expr, ("model",), what)
    checked = context.known.get(key) if key is not None else None
    if isinstance(checked, CheckedModel) and checked.model.kind not in ASKABLE:
        context.problems.error(
            "kind-mismatch",
            expr.span,
            f"`{checked.model.name}` is a model of kind `{checked.model.kind}`, which requests cannot be sent to.",
            hint="a teacher or a judge is openai(…), hf(…), plugin(…) or replay(…)",
        )
        return None
    return key
