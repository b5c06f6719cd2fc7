"""Which statements belong in which declaration: placement, unknown, missing and doubled ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exgrpo_artifact.record import Record
from exgrpo_compiler.ast import (
    Assign,
    AssistantStep,
    Block,
    DropStmt,
    ExampleStmt,
    ExpectStmt,
    FieldStmt,
    ForStep,
    GroupBlock,
    KeepStmt,
    Name,
    NamedStmt,
    Stmt,
    UserStep,
    YieldsStmt,
)
from exgrpo_compiler.check.context import KIND_TITLES
from exgrpo_compiler.diagnostics import Edit, Fix, Label, find_closest, suggest_name
from exgrpo_compiler.problems import Problems, list_names, start_sentence, suggest_fix
from exgrpo_compiler.source import Span


class Form(Record):
    """What a block may hold. `keys`: name -> whether it is required; `statements` by their first word."""

    keys: Mapping[str, bool]
    statements: tuple[str, ...] = ()
    takes_any_key: bool = False
    takes_paths: bool = False


FORMS: Mapping[str, Form] = {
    "dataset": Form({"source": True, "license": False}, ("split", "field")),
    "rule": Form({"instruction": True, "applies_when": False, "reveals": False}, ("example",)),
    "probes": Form(
        {"rules": True, "teacher": True, "prompt": True, "ask": False, "samples": False, "per_rule": False},
        ("yields", "keep"),
    ),
    "dialogue": Form({"system": False}, ("user", "assistant", "for", "scenario")),
    "answer": Form({"extract": True}),
    "rubric": Form({"scale": True, "text": True}),
    "reward": Form({"total": False, "on_failure": False}, takes_any_key=True),
    "task": Form({"data": True, "student": True, "seed": False}, ("stage",)),
    "test": Form({"item": False, "group": True}, ("expect",)),
    "study": Form({"seeds": False}, ("variant",)),
    "variant": Form({}, ("drop",), takes_any_key=True, takes_paths=True),
    "loop": Form({}, ("user", "assistant")),
}
"""By declaration kind, with the two inner blocks that are like declarations."""

_TITLES = {**KIND_TITLES, "variant": "a variant", "loop": "a loop over probes"}

_WORDS = {
    FieldStmt: "field",
    KeepStmt: "keep",
    YieldsStmt: "yields",
    UserStep: "user",
    AssistantStep: "assistant",
    ForStep: "for",
    ExampleStmt: "example",
    ExpectStmt: "expect",
    DropStmt: "drop",
}


class Sorted(Record):
    """A block's statements that belong there. `assigns` by key; `others` in order."""

    assigns: Mapping[str, Assign]
    others: tuple[Stmt, ...]
    span: Span

    def get(self, key: str) -> Assign | None:
        """The statement `key = …`, or None."""
        return self.assigns.get(key)


def sort_statements(
    block: Block, form: Form | str, what: str, span: Span, problems: Problems, *, is_damaged: bool = False
) -> Sorted:
    """The block's statements sorted by the form; everything out of place is reported.

    `what` names the block in messages: "dataset `gsm8k`"; `span` is where a missing key is reported. In a damaged block
    nothing is called missing.
    """
    kind = form if isinstance(form, str) else ""
    form = FORMS[form] if isinstance(form, str) else form
    assigns: dict[str, Assign] = {}
    others: list[Stmt] = []
    unknown: list[Assign] = []
    for statement in block.statements:
        if isinstance(statement, Assign):
            key = statement.path[0].text
            if len(statement.path) == 1 and key in form.statements:
                if not is_damaged:  # else the parser reported it
                    _report_nameless(statement, problems)
                if key == "assistant":
                    step = AssistantStep(statement.path[0], None, statement.value, statement.span)
                    others.append(step)  # with it, the turns still alternate
                continue
            if is_damaged and key not in form.keys and find_closest(key, form.statements) is not None:
                continue  # a statement's word, misspelt, which the parser reported
            if _is_unknown(statement, form):
                unknown.append(statement)
                if find_closest(key, [*form.keys, *form.statements]) == "user":
                    others.append(UserStep(statement.value, statement.span))
            else:
                _take_assign(statement, form, assigns, problems)
        elif get_word(statement) in form.statements:
            others.append(statement)
        else:
            _report_misplaced(statement, form, what, problems)
    _take_unknown(unknown, form, kind, what, assigns, problems)
    missing = [key for key, is_required in form.keys.items() if is_required and key not in assigns]
    # Each unknown key is one that is missing, under another name: one mistake.
    for key in () if is_damaged else missing[len(unknown) :]:
        problems.error(
            "missing-key", span, f"{start_sentence(what)} has no `{key}`.", hint=f"add `{key} = …`"
        )
    return Sorted(assigns, tuple(others), span)


def _is_unknown(statement: Assign, form: Form) -> bool:
    return len(statement.path) == 1 and statement.path[0].text not in form.keys and not form.takes_any_key


def _take_unknown(
    unknown: list[Assign],
    form: Form,
    kind: str,
    what: str,
    assigns: dict[str, Assign],
    problems: Problems,
) -> None:
    """Reports keys that the form lacks, and takes one that is another but for a slip for what it was meant to be."""
    known = [*form.keys, *form.statements]
    for statement in list(unknown):
        name = statement.path[0]
        missing = [key for key, is_required in form.keys.items() if is_required and key not in assigns]
        report_unknown_key(name, known, what, problems, kind, missing if len(unknown) == 1 else ())
        closest = find_closest(name.text, known)
        if closest is not None and closest in form.keys and closest not in assigns:
            assigns[closest] = statement
            unknown.remove(statement)


_SHAPES = {
    "assistant": "assistant final = …",
    "field": "field question: text",
    "split": "split train = 80%",
    "scenario": "scenario full = all",
    "stage": "stage train = grpo(…)",
    "variant": "variant base {}",
    "drop": "drop stage NAME",
    "keep": "keep probe NAME where …",
    "yields": "yields { open question: text }",
    "for": "for probe in probes { … }",
    "example": 'example { question = "…"; probe = "…" }',
    "expect": "expect REWARD.TERM == [1, 0]",
}
"""What a statement with a word of its own looks like."""


def _report_nameless(statement: Assign, problems: Problems) -> None:
    word = statement.path[0]
    shape = _SHAPES.get(word.text, f"{word.text} …")
    is_named = word.text in ("assistant", "field", "split", "scenario", "stage", "variant")
    problems.error(
        "missing-key",
        word.span,
        f"A name follows `{word.text}`." if is_named else f"`{word.text}` is no setting with `=`.",
        hint=f"as in `{shape}`",
    )


def get_word(statement: Stmt) -> str:
    """The word that a statement begins with."""
    if isinstance(statement, NamedStmt):
        return statement.keyword
    if isinstance(statement, GroupBlock):
        return statement.keyword.text
    return _WORDS.get(type(statement), "")


def _take_assign(statement: Assign, form: Form, assigns: dict[str, Assign], problems: Problems) -> None:
    name = statement.path[0]
    key = ".".join(part.text for part in statement.path)
    if len(statement.path) > 1 and not form.takes_paths:
        problems.error(
            "misplaced-statement",
            statement.span,
            f"A path such as `{key}` on the left of `=` belongs in a study's variant.",
        )
    elif key in assigns:
        fix = Fix("remove the second", (Edit(statement.span, ""),))
        first = assigns[key].path[0].span
        report_double(problems, "duplicate-key", name, first, f"`{key}` is set twice.", fix)
    else:
        assigns[key] = statement


def report_unknown_key(
    name: Name, known: list[str], what: str, problems: Problems, kind: str = "", missing: Sequence[str] = ()
) -> None:
    """`unknown-key`; the hint is the closest key, the only one missing, where such a key belongs, or what there is."""
    homes = [_TITLES[other] for other, form in FORMS.items() if other != kind and name.text in form.keys]
    problems.error(
        "unknown-key",
        name.span,
        f"{start_sentence(what)} has no setting `{name.text}`.",
        hint=suggest_name(name.text, known)
        or (f"`{missing[0]}` is missing: is it meant?" if len(missing) == 1 else None)
        or (f"`{name.text}` belongs in {homes[0]}" if homes else None)
        or list_names(known, "it has"),
        fix=suggest_fix(name.span, name.text, known),
    )


def report_double(
    problems: Problems, id_: str, name: Name, first: Span, message: str, fix: Fix | None = None
) -> None:
    """A second statement where one is allowed."""
    problems.error(id_, name.span, message, labels=(Label(first, "the first is here"),), fix=fix)


def _report_misplaced(statement: Stmt, form: Form, what: str, problems: Problems) -> None:
    word = get_word(statement)
    homes = [_TITLES[kind] for kind, other in FORMS.items() if word in other.statements]
    if not homes and isinstance(statement, GroupBlock):
        report_unknown_key(statement.keyword, [*form.keys, *form.statements], what, problems)
        return
    problems.error(
        "misplaced-statement",
        statement.span,
        f"`{word}` does not belong in {what}.",
        hint=f"it belongs in {' or '.join(homes)}" if homes else None,
    )
