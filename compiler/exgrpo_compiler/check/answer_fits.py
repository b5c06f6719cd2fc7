"""Whether a way to read answers can ever give a gold one: `choice.letter` never gives a number.

A gold value of a type is tried in the very function that scores a run; a text or a column may hold anything and always fits.
"""

from __future__ import annotations

from exgrpo_artifact.manifest import AnswerSpec
from exgrpo_compiler.ast import AssistantStep, Attribute, Expr, ForStep, Stmt
from exgrpo_compiler.check.scope import RolloutName, Scope
from exgrpo_compiler.diagnostics import Label
from exgrpo_compiler.ir import CheckedExchange, Typed
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import Type, name_type

_LETTERS = frozenset("ABCDEFGHIJ")
_ANYTHING = ("text.exact", "text.normalized", "math.boxed")
_READS = {
    "number.last": "a number",
    "number.boxed": "a number",
    "choice.letter": "a letter from A to J",
    "yesno.last": "yes or no",
    "date.last": "a date",
}
_NATURAL = {"number": "number.last", "int": "number.last", "bool": "yesno.last"}


def verify_answer_fits(
    scope: Scope, turn: Expr, exchange: CheckedExchange, answer: AnswerSpec, gold: Typed
) -> bool:
    """Reports a turn whose answers are compared with a gold value that none of them can be."""
    lost = find_unreadable(gold.type, answer)
    if lost is None:
        return True
    shown = gold.span.source.text[gold.span.start : gold.span.end]
    place = _find_kind(scope, turn, exchange)
    kind = place.source.text[place.start : place.end] if place is not None else answer.kind
    is_what = f'can be "{lost}"' if isinstance(lost, str) else f"is {name_type(gold.type)}"
    scope.context.problems.error(
        "type-mismatch",
        place or gold.span,
        f"`{kind}` reads {_name_read(answer)}, but `{shown}` {is_what}, so no such answer would ever be right.",
        labels=(Label(gold.span, "compared with it here"),) if place is not None else (),
        hint=f"write assistant {exchange.name}: {_suggest_kind(gold.type)}",
    )
    return False


def find_unreadable(type_: Type, answer: AnswerSpec) -> bool | int | float | str | None:
    """A gold value of the type that is not even the same as itself when it is read so; None where there is none."""
    if answer.kind in _ANYTHING or type_.kind not in ("number", "int", "bool", "choice"):
        return None
    if answer.kind == _NATURAL.get(type_.kind) or (
        answer.kind == "number.boxed" and type_.kind in ("number", "int")
    ):
        return None
    if answer.kind == "choice.letter" and type_.kind == "choice" and _LETTERS.issuperset(type_.options):
        return None
    if answer.kind == "regex" and (answer.type is None or answer.type.kind in ("text", "any")):
        return None
    from exgrpo_artifact.answers import same_answer  # here: most specs pair a type with the kind made for it

    samples: dict[str, tuple[bool | int | float | str, ...]] = {
        "number": (1.0,),
        "int": (1,),
        "bool": (True, False),
        "choice": type_.options,
    }
    if answer.kind in ("number.last", "number.boxed") and type_.kind == "bool":
        return True
    return next((value for value in samples[type_.kind] if not same_answer(value, value, answer)), None)


def _name_read(answer: AnswerSpec) -> str:
    if answer.type is None:
        return _READS[answer.kind]
    return name_type(Type(answer.type.kind, options=tuple(answer.type.options)))


def _suggest_kind(type_: Type) -> str:
    if type_.kind == "choice":
        return "choice.letter" if _LETTERS.issuperset(type_.options) else "text.normalized"
    return _NATURAL[type_.kind]


def _find_kind(scope: Scope, turn: Expr, exchange: CheckedExchange) -> Span | None:
    """Where the kind is written, in the dialogue."""
    if not isinstance(turn, Attribute):
        return None
    meaning = scope.names.get(getattr(turn.value, "name", ""))
    if not isinstance(meaning, RolloutName):
        return None
    key = next((key for key, checked in scope.context.known.items() if checked is meaning.dialogue), None)
    decl = scope.context.program.decls.get(key) if key is not None else None
    step = (
        _find_step(decl.block.statements, exchange.name)
        if decl is not None and decl.block is not None
        else None
    )
    return step.type.span if step is not None and step.type is not None else None


def _find_step(statements: tuple[Stmt, ...], name: str) -> AssistantStep | None:
    for statement in statements:
        if isinstance(statement, AssistantStep) and statement.name.text == name:
            return statement
        found = _find_step(statement.block.statements, name) if isinstance(statement, ForStep) else None
        if found is not None:
            return found
    return None
