"""How answers are read from texts: `answer` declarations, the types of assistant turns, and what a gold field implies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, cast

from exgrpo_artifact.manifest import AnswerKind, AnswerSpec, FieldType
from exgrpo_compiler.ast import Argument, Attribute, Call, Decl, Expr, Ref, Text, TypeExpr
from exgrpo_compiler.builtins import ANSWER_KINDS
from exgrpo_compiler.check.context import Context, find_declaration, find_type_name
from exgrpo_compiler.check.forms import sort_statements
from exgrpo_compiler.check.type_names import read_type
from exgrpo_compiler.diagnostics import suggest_name
from exgrpo_compiler.ir import CheckedAnswer
from exgrpo_compiler.problems import list_names, suggest_fix
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import Type, name_type, to_field_type

_BY_KIND: Mapping[str, AnswerKind] = {
    "number": "number.last",
    "int": "number.last",
    "bool": "yesno.last",
    "choice": "choice.letter",
}


def check_answer(context: Context, decl: Decl) -> CheckedAnswer | None:
    """A checked `answer` declaration."""
    assert decl.type is not None
    type_ = read_type(context, decl.type)
    if decl.block is None:
        context.problems.error(
            "missing-key",
            decl.name.span,
            f"Answer `{decl.name.text}` has no `extract`.",
            hint="add { extract = last(`…`) }",
        )
        return None
    block = sort_statements(
        decl.block,
        "answer",
        f"answer `{decl.name.text}`",
        decl.name.span,
        context.problems,
        is_damaged=decl.is_damaged,
    )
    extract = block.get("extract")
    if type_ is None or extract is None:
        return None
    if type_.kind in ("list", "record"):
        context.problems.error(
            "type-mismatch",
            decl.type.span,
            f"An answer is one value; this is {name_type(type_)}.",
            hint='its type is text, number, int, bool or choice("A", "B")',
        )
        return None
    spec = _read_extract(context, extract.value, to_field_type(type_))
    return CheckedAnswer(spec) if spec else None


def read_answer_type(context: Context, type_: TypeExpr) -> AnswerSpec | None:
    """The spec of an assistant turn's type: a builtin kind, `regex(…)`, or an `answer` declaration."""
    if type_.name in ANSWER_KINDS:
        if type_.arguments:
            context.problems.error("unknown-argument", type_.span, f"`{type_.name}` takes no arguments.")
            return None
        return AnswerSpec(kind=cast(AnswerKind, type_.name))
    if type_.name == "regex":
        return _read_regex(context, type_.arguments, type_.span, "last", None)
    return _find_answer(context, type_, type_.name, type_.span)


def read_answer_expression(context: Context, expr: Expr) -> AnswerSpec | None:
    """The same, written as an argument: `format(d.final, number.last)`."""
    if isinstance(expr, Attribute) and isinstance(expr.value, Ref):
        name = f"{expr.value.name}.{expr.name.text}"
        if name in ANSWER_KINDS:
            return AnswerSpec(kind=cast(AnswerKind, name))
    if isinstance(expr, Call) and isinstance(expr.function, Ref) and expr.function.name == "regex":
        return _read_regex(context, expr.arguments, expr.span, "last", None)
    key = find_declaration(context, expr, ("answer",), "how the answer is read")
    checked = context.known.get(key) if key is not None else None
    return checked.spec if isinstance(checked, CheckedAnswer) else None


def get_answer_for(type_: Type) -> AnswerSpec:
    """What a gold field of this type implies where nothing else is said."""
    return AnswerSpec(kind=_BY_KIND.get(type_.kind, "text.normalized"))


def _find_answer(context: Context, type_: TypeExpr, name: str, span: Span) -> AnswerSpec | None:
    if context.is_lost(name):
        return None
    if type_.fields is None and context.program.find(context.module, name.partition(".")[0]) is None:
        known = [*ANSWER_KINDS, "regex", *context.program.names_of(context.module, "answer")]
        own = [kind for kind in ANSWER_KINDS if kind.startswith(f"{name}.")]
        context.problems.error(
            "unknown-name",
            span,
            f"There is no answer type `{name}`.",
            hint=suggest_name(name, known)
            or (
                "write " + " or ".join(f"`{kind}`" for kind in own)
                if own
                else list_names(known, "the answer types are")
            ),
            fix=suggest_fix(span, name, known),
        )
        return None
    key = find_type_name(context, type_, ("answer",), "the type of an assistant turn")
    checked = context.known.get(key) if key is not None else None
    return checked.spec if isinstance(checked, CheckedAnswer) else None


def _read_extract(context: Context, expr: Expr, type_: FieldType) -> AnswerSpec | None:
    if isinstance(expr, Call) and isinstance(expr.function, Ref) and expr.function.name in ("first", "last"):
        which: Literal["first", "last"] = "first" if expr.function.name == "first" else "last"
        return _read_regex(context, expr.arguments, expr.span, which, type_)
    from exgrpo_compiler.check.misspelt import report_misspelt  # here: most names are right

    if report_misspelt(context.problems, expr, ("first", "last")):
        return None
    context.problems.error(
        "type-mismatch",
        expr.span,
        "`extract` is last(`…`) or first(`…`) of a regular expression.",
        hint=f"write last(`{expr.value}`)"
        if isinstance(expr, Text) and expr.value
        else r"as last(`\(([A-D])\)`)",
    )
    return None


def _find_pattern(context: Context, expr: Expr) -> Text | None:
    """A regular expression that is written out, or a const that is one."""
    if isinstance(expr, Ref | Attribute):
        key = find_declaration(context, expr, ("const",), "a regular expression")
        value = context.get_decl(key).value if key is not None else None
        return value if isinstance(value, Text) else None
    return expr if isinstance(expr, Text) else None


def _read_regex(
    context: Context,
    arguments: tuple[Argument, ...],
    span: Span,
    which: Literal["first", "last"],
    type_: FieldType | None,
) -> AnswerSpec | None:
    values = [argument.value for argument in arguments if argument.name is None]
    pattern = _find_pattern(context, values[0]) if len(arguments) == len(values) == 1 else None
    if pattern is None and len(values) == 1 and isinstance(values[0], Ref | Attribute):
        known = find_declaration(context, values[0], ("const",), "a regular expression")
        if known is None:
            return None
    if pattern is None:
        context.problems.error(
            "type-mismatch",
            span,
            "One regular expression is due here, in backticks.",
            hint=r"as `\(([A-D])\)`",
        )
        return None
    # Few specs hold a pattern, and all that do not are spared what reads one.
    from exgrpo_artifact.regex_syntax import RegexError, parse_extractor

    try:
        parse_extractor(pattern.value)
    except RegexError as error:
        start, end = pattern.offsets[error.start], pattern.offsets[error.end]
        place = Span(pattern.span.source, start, end) if start < end else pattern.span
        context.problems.error("bad-regex", place, error.message, hint=error.hint)
        return None
    if type_ is not None and type_.kind == "choice" and not _can_take(pattern.value, type_.options):
        context.problems.error(
            "type-mismatch",
            pattern.span,
            "What this pattern takes is never one of the options of the answer's type.",
            hint="let its group match the options: "
            + ", ".join(f"`{option}`" for option in type_.options[:6]),
        )
        return None
    return AnswerSpec(kind="regex", pattern=pattern.value, which=which, type=type_)


_GROUP = r"(?:[^\\\[(]|\\.|\[\^?\]?(?:[^\]\\]|\\.)*\]|\(\?)*\((?!\?)"
"""What stands before a pattern's group, and its bracket."""


def _can_take(pattern: str, options: Sequence[str]) -> bool:
    """Whether the group of the pattern, alone, matches any of the options as a whole, in any case."""
    from exgrpo_artifact.regex import compile_regex
    from exgrpo_artifact.regex_syntax import RegexError

    start = re.match(_GROUP, pattern)
    inner = pattern
    if start is not None:
        ends = [index for index in range(start.end(), len(pattern)) if pattern[index] == ")"]
        inner = next(
            (pattern[start.end() : end] for end in ends if _is_pattern(pattern[start.end() : end])), ""
        )
    try:
        regex = compile_regex(inner)
    except RegexError:
        return True  # not a pattern by itself: nothing is known
    for option in options:
        for text in {option, option.lower(), option.upper()}:
            match = regex.find_first(text)
            if match is not None and (match.start, match.end) == (0, len(text)):
                return True
    return False


def _is_pattern(text: str) -> bool:
    from exgrpo_artifact.regex_syntax import RegexError, parse_extractor

    try:
        parse_extractor(text)
    except RegexError:
        return False
    return True
