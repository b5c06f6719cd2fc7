"""Rows made up for a dataset, and what an honest student would say to them.

A row's numbers and words are picked so that no constant answer is right for all of them, unless the answers that there can be are
that few. Nothing here knows what a field is called: kinds of fields and the answer types of turns decide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from exgrpo_artifact.answers import extract_answer, same_answer
from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.manifest import AnswerSpec
from exgrpo_artifact.record import Record
from exgrpo_artifact.values import read_path
from exgrpo_compiler.ir import CheckedDataset, CheckedDialogue, CheckedExchange
from exgrpo_compiler.value_types import Type

NUM_ROWS = 3
_NUMBERS = (37, 412, 86, 1905)
_LETTERS = ("C", "A", "D", "B")
_TRUTHS = ("yes", "no", "yes", "no")
_DATES = ("1987-03-14", "2004-11-02", "1931-07-29", "1969-05-08")
_PHRASES = ("copper wire", "the blue heron", "osmosis", "a spiral galaxy")
_SENTENCES = (
    "Maya packs 14 crates before noon and 23 after it, and none of them is sold that day.",
    "A train leaves with 530 riders, lets 118 of them off on the way and takes nobody in.",
    "Of the 120 seeds in a tray, 34 did not sprout, which the gardener wrote down.",
    "The hall seats 2000 people in rows of 50, and 95 of the seats were left empty.",
)

Row = Mapping[str, Any]


class Golds(Record):
    """Which field of the row holds the answer to a turn, and how it is read."""

    turn: str
    field: str
    answer: AnswerSpec


def find_golds(graph: RewardGraph) -> tuple[Golds, ...]:
    """The turns that the reward compares with a field of the row."""
    nodes = {node.id: node for node in graph.nodes}
    found: list[Golds] = []
    for node in graph.nodes:
        if node.params.get("fn") != "matches":
            continue
        turn, gold = nodes[node.args[0]], nodes[node.args[1]]
        if turn.op == "turn" and gold.op == "item":
            spec = AnswerSpec(**_read_spec(node.params["answer"]))
            found.append(Golds(turn.params["name"], gold.params["field"], spec))
    return tuple(found)


class Forms(Record):
    """What a reward looks for in a turn beside its answer."""

    turn: str
    answers: tuple[AnswerSpec, ...]
    """Of `format(…)` and `matches(…)`."""
    words: tuple[str, ...]
    """Literals of `contains(…)`."""

    @property
    def markup(self) -> tuple[str, ...]:
        """Words that are signs of a form, as `<think>`, and no part of what is said."""
        return tuple(word for word in self.words if _MARKUP.search(word))


_MARKUP = re.compile(r"[<>#{}\\\[\]]")


def find_forms(graph: RewardGraph) -> tuple[Forms, ...]:
    """What the reward looks for, turn by turn."""
    nodes = {node.id: node for node in graph.nodes}
    found: dict[str, tuple[dict[str, AnswerSpec], dict[str, None]]] = {}
    for node in graph.nodes:
        fn = node.params.get("fn")
        if fn not in ("matches", "format", "contains") or nodes[node.args[0]].op != "turn":
            continue
        answers, words = found.setdefault(nodes[node.args[0]].params["name"], ({}, {}))
        if fn != "contains":
            spec = AnswerSpec(**_read_spec(node.params["answer"]))
            answers.setdefault(repr(spec), spec)
        elif isinstance(word := nodes[node.args[1]].params.get("value"), str):
            words.setdefault(word)
    return tuple(Forms(turn, tuple(own.values()), tuple(words)) for turn, (own, words) in found.items())


def _read_spec(plain: Mapping[str, Any]) -> dict[str, Any]:
    from exgrpo_artifact.manifest import FieldType

    given = {key: value for key, value in plain.items() if value is not None}
    if isinstance(given.get("type"), Mapping):
        kept = {key: value for key, value in given["type"].items() if value is not None and key != "element"}
        given["type"] = FieldType(**{**kept, "options": tuple(kept.get("options", ()))})
    return given


def make_rows(
    dataset: CheckedDataset, golds: Sequence[Golds], number: int = NUM_ROWS
) -> list[dict[str, Any]]:
    """Rows of the dataset with different answers."""
    specs = {gold.field: gold.answer for gold in golds}
    return [
        {
            field.name: _make_value(field.type, specs, field.name, at, place)
            for place, field in enumerate(dataset.fields)
        }
        for at in range(number)
    ]


def _make_value(type_: Type, specs: Mapping[str, AnswerSpec], path: str, at: int, place: int) -> Any:
    """A value of a field; `specs` has the answer types by which fields are read, by the path to each."""
    if type_.kind == "record":
        return {name: _make_value(field, specs, f"{path}.{name}", at, place) for name, field in type_.fields}
    if type_.kind == "choice":
        return type_.options[at % len(type_.options)] if type_.options else ""
    if type_.kind == "bool":
        return at % 2 == 0
    if type_.kind in ("number", "int"):
        return _NUMBERS[at % len(_NUMBERS)]
    if type_.kind == "list":
        element = type_.element or Type("text")
        return [_make_value(element, {}, path, at + step, place) for step in range(2)]
    answer = specs.get(path)
    if answer is not None:
        return list_answers(answer)[at % 4]
    return _SENTENCES[(at + place) % len(_SENTENCES)]


def list_answers(answer: AnswerSpec) -> Sequence[Any]:
    """Four answers that this type reads, as a text field would hold them."""
    if answer.kind in ("number.last", "number.boxed", "math.boxed"):
        return tuple(str(number) for number in _NUMBERS)
    if answer.kind == "choice.letter":
        return _LETTERS
    if answer.kind == "yesno.last":
        return _TRUTHS
    if answer.kind == "date.last":
        return _DATES
    if answer.kind == "regex" and answer.type is not None:
        if answer.type.options:
            return [answer.type.options[at % len(answer.type.options)] for at in range(4)]
        if answer.type.kind in ("number", "int"):
            return tuple(str(number) for number in _NUMBERS)
    return _PHRASES


# --- honest words -----------------------------------------------------------------------------------------


def write_honest(
    dialogue: CheckedDialogue, golds: Sequence[Golds], row: Row, answers: Row, forms: Sequence[Forms] = ()
) -> list[dict[str, str]]:
    """What honest rollouts say in each turn: the teacher's words, plain sentences with the answer, and the forms looked for.

    Answers come from `answers`: those of another row are wrong ones.
    """
    by_turn = {gold.turn: gold for gold in golds if read_path(row, gold.field) is not None}
    for one in by_turn.values():
        row = _put(row, one.field.split("."), read_path(answers, one.field))
    by_form = {form.turn: form for form in forms}
    rollouts: list[dict[str, str]] = [{}, {}, {}]
    for exchange in dialogue.exchanges:
        gold = by_turn.get(exchange.name)
        plain = (
            state_answer(gold.answer, read_path(row, gold.field))
            if gold is not None
            else "It follows from what is given."
        )
        taught = render_target(exchange, row)
        rollouts[0][exchange.name] = taught if taught is not None else plain
        rollouts[1][exchange.name] = "First the given numbers, then what was asked. " + plain
        form = by_form.get(exchange.name)
        value = read_path(row, gold.field) if gold is not None else None
        rollouts[2][exchange.name] = plain if form is None else _meet_forms(form, gold, value, plain)
    return rollouts if rollouts[2] != rollouts[0] else rollouts[:2]


def _put(row: Row, path: Sequence[str], value: Any) -> Row:
    """The row with another value at a path."""
    first, *rest = path
    return {**row, first: _put(row[first], rest, value) if rest else value}


def _meet_forms(form: Forms, gold: Golds | None, value: Any, plain: str) -> str:
    """The plain sentence with the answer stated in every form that is looked for, where that leaves it the answer."""
    text = plain
    for spec in form.answers:
        if extract_answer(text, spec) is not None:
            continue
        stated = state_answer(spec, list_answers(spec)[0] if value is None else value)
        for longer in (stated, f"{text} {stated}", f"{stated} {text}"):
            kept = all(
                extract_answer(longer, one) is not None
                for one in form.answers
                if extract_answer(text, one) is not None
            )
            if kept and extract_answer(longer, spec) is not None and _is_read(longer, gold, value):
                text = longer
                break
    if form.markup and not all(word in text for word in form.markup):
        marked = " ".join((*form.markup, text))
        if _is_read(marked, gold, value):
            text = marked
    return text


def _is_read(text: str, gold: Golds | None, value: Any) -> bool:
    if gold is None:
        return True
    found = extract_answer(text, gold.answer)
    return found is not None and (gold.answer.kind == "math.boxed" or same_answer(found, value, gold.answer))


def render_target(exchange: CheckedExchange, row: Row) -> str | None:
    """The teacher's words with values in their places; None where they are no plain text with values."""
    if exchange.target is None or "{%" in exchange.target.text:
        return None

    def fill(match: re.Match[str]) -> str:
        value = row.get(match[1])
        return "It follows from what is given" if value is None else str(value)

    return _VALUE.sub(fill, exchange.target.text)


def get_wording(exchange: CheckedExchange) -> str | None:
    """The teacher's words without any value: the form of an answer alone."""
    if exchange.target is None or "{%" in exchange.target.text:
        return None
    return _VALUE.sub("", exchange.target.text)


_VALUE = re.compile(r"\{\{[^{}]*?\.(\w+)[^{}]*\}\}")


def state_answer(answer: AnswerSpec, value: Any) -> str:
    """A sentence from which the answer is read; the value itself where no form is known."""
    text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
    for form in (*_FORMS.get(answer.kind, _ANY_FORMS), *_find_literal_form(answer)):
        sentence = form.format(text)
        found = extract_answer(sentence, answer)
        if found is not None and (answer.kind == "math.boxed" or same_answer(found, value, answer)):
            return sentence
    return text


def _find_literal_form(answer: AnswerSpec) -> tuple[str, ...]:
    r"""The forms of a regex, as `Final: {0}!` for `Final: (\d+)!`: the answer stands in its group, and in gaps that take anything."""
    if answer.pattern is None:
        return ()
    from exgrpo_compiler.prove.regex_forms import write_forms  # here: few specs hold a pattern

    return write_forms(answer.pattern)


_FORMS: Mapping[str, Sequence[str]] = {
    "number.last": ("The answer is {}.",),
    "number.boxed": ("The answer is \\boxed{{{}}}.",),
    "math.boxed": ("The answer is \\boxed{{{}}}.",),
    "choice.letter": ("The answer is ({}).",),
    "yesno.last": ("The answer is {}.",),
    "date.last": ("The answer is {}.",),
    "text.exact": ("{}",),
    "text.normalized": ("The answer is {}",),
}
_ANY_FORMS = (
    "The answer is {}.",
    "{}",
    "({})",
    "[{}]",
    "\\boxed{{{}}}",
    "<answer>{}</answer>",
    "Answer: {}",
    "#### {}",
    '"{}"',
)
