"""Builtins of `keep probe`: `majority(model, n)`, `both(a, b)` and `duplicate(threshold: …)`.

`both(a, b)` is lowered as `majority(a, 1) and majority(b, 1)`: each of two models gives the probe's answer when it is asked once.
"""

from __future__ import annotations

from collections.abc import Mapping

from exgrpo_compiler.ast import Argument
from exgrpo_compiler.builtins import Setting
from exgrpo_compiler.check.arguments import bind_arguments
from exgrpo_compiler.check.constants import read_constant, read_number
from exgrpo_compiler.check.expressions import check_expression, verify_type
from exgrpo_compiler.check.external import find_teacher
from exgrpo_compiler.check.probe_settings import warn_same_answers
from exgrpo_compiler.check.scope import RecordName, Scope
from exgrpo_compiler.ir import AnswerOf, Typed
from exgrpo_compiler.program import Key
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import BOOL, TEXT, Type, list_of

_ANSWER = "answer"
"""Field of a probe that models are compared with, where none is named."""
_COUNT = Setting("n", "int", low=1, high=100)
_THRESHOLD = Setting("threshold", "number", 0.8, above=0, high=1)


def check_probe_filter(scope: Scope, name: str, arguments: tuple[Argument, ...], span: Span) -> Typed | None:
    """One of the three, where it stands about a probe."""
    probe = scope.names.get("probe")
    if not isinstance(probe, RecordName):
        scope.context.problems.error(
            "misplaced-function",
            span,
            f"`{name}` is about one probe, and `keep item` looks at all that are left.",
            hint=f"write `keep probe NAME where {'not ' if name == 'duplicate' else ''}{name}(…)`",
        )
        return None
    if name == "duplicate":
        return _check_duplicate(scope, probe, arguments, span)
    return _check_agreement(scope, name, probe, arguments, span)


def _check_duplicate(
    scope: Scope, probe: RecordName, arguments: tuple[Argument, ...], span: Span
) -> Typed | None:
    bound = bind_arguments(arguments, ("threshold",), (), "`duplicate`", span, scope.context.problems)
    if bound is None:
        return None
    threshold: float | None = float(_THRESHOLD.default)
    if "threshold" in bound:
        expr = bound["threshold"].value
        constant = read_constant(scope.context, expr)
        threshold = read_number(scope.context, expr, _THRESHOLD, constant) if constant is not None else None
    texts = _list_shown(scope, "duplicate", probe, span)
    if threshold is None or texts is None:
        return None
    return Typed("call", (texts,), {"fn": "duplicate", "threshold": threshold}, BOOL, "const", span)


def _check_agreement(
    scope: Scope, name: str, probe: RecordName, arguments: tuple[Argument, ...], span: Span
) -> Typed | None:
    names = ("model", "n", "texts", _ANSWER) if name == "majority" else ("a", "b", "texts", _ANSWER)
    bound = bind_arguments(
        arguments, names, names[:2], f"`{name}`", span, scope.context.problems, num_positional=2
    )
    if bound is None:
        return None
    texts = _read_texts(scope, name, probe, bound, span)
    answer = _read_answer(scope, name, probe, bound, span)
    models = [find_teacher(scope, bound[each].value, f"`{name}`") for each in _list_models(name)]
    count = _read_count(scope, bound["n"], models[0]) if name == "majority" else 1
    if name == "both" and models[0] is not None and models[0] == models[1]:
        scope.context.problems.error(
            "invalid-value",
            bound["b"].span,
            f"`both` asks two models, and `{models[0].name}` is one.",
            hint=f"name another model, or write majority({models[0].name}, 3)",
        )
        return None
    if texts is None or answer is None or count is None or None in models:
        return None
    calls = [
        Typed("call", (texts, answer), _describe(model, count, answer), BOOL, "const", span)
        for model in models
        if model is not None
    ]
    return calls[0] if len(calls) == 1 else Typed("and", tuple(calls), {}, BOOL, "const", span)


def _list_models(name: str) -> tuple[str, ...]:
    return ("model",) if name == "majority" else ("a", "b")


def _describe(model: Key, count: int, answer: Typed) -> dict[str, object]:
    return {
        "fn": "majority",
        "model": model,
        "count": count,
        "answer": AnswerOf(answer.type, is_of_probe=True),
    }


def _read_count(scope: Scope, argument: Argument, model: Key | None) -> int | None:
    constant = read_constant(scope.context, argument.value)
    count = read_number(scope.context, argument.value, _COUNT, constant) if constant is not None else None
    if count is not None:
        warn_same_answers(scope.context, model, int(count), argument.span, "`majority`")
    return int(count) if count is not None else None


def _read_texts(
    scope: Scope, name: str, probe: RecordName, bound: Mapping[str, Argument], span: Span
) -> Typed | None:
    if "texts" not in bound:
        return _list_shown(scope, name, probe, span)
    texts = check_expression(scope, bound["texts"].value)
    if texts is not None and texts.type.is_text:
        texts = Typed("list", (texts,), {}, list_of(TEXT), texts.level, texts.span)
    is_ok = texts is not None and verify_type(scope, texts, list_of(TEXT), f"`texts` of `{name}`")
    return texts if is_ok else None


def _list_shown(scope: Scope, name: str, probe: RecordName, span: Span) -> Typed | None:
    """The texts of the probe that the student may see."""
    types = dict(probe.type.fields)
    texts = [
        Typed("probe", (), {"field": field}, types[field], "const", span)
        for field in scope.shown
        if field in types and types[field].is_text
    ]
    if not texts and not probe.type.is_open:
        scope.context.problems.error(
            "missing-argument",
            span,
            f"`{name}` reads the texts of a probe that are `open`, and there are none.",
            hint="declare one in `yields`, as open question: text",
        )
    return Typed("list", tuple(texts), {}, list_of(TEXT), "const", span) if texts else None


def _read_answer(
    scope: Scope, name: str, probe: RecordName, bound: Mapping[str, Argument], span: Span
) -> Typed | None:
    if _ANSWER in bound:
        answer = check_expression(scope, bound[_ANSWER].value)
        if answer is None or _is_plain(answer.type):
            return answer
        verify_type(scope, answer, TEXT, f"`answer` of `{name}`")
        return None
    found = dict(probe.type.fields).get(_ANSWER)
    if found is not None and _is_plain(found):
        return Typed("probe", (), {"field": _ANSWER}, found, "const", span)
    if not probe.type.is_open:
        scope.context.problems.error(
            "missing-argument",
            span,
            f"`{name}` compares with the probe's field `{_ANSWER}`, which its `yields` does not have.",
            hint=f"name the field that answers the probe: {name}(…, answer: probe.FIELD)",
        )
    return None


def _is_plain(type_: Type) -> bool:
    return type_.kind not in ("list", "record")
