"""The flow of secrets: from the columns that a dataset maps, through what teachers are shown and yield, to what students see.

    secret field -> teacher's prompt -> yielded fields that are not `open` -> system and user messages: `secret-leak`

A field is secret where it says so, and where it reads a column that a secret field reads too: both are made of the same text.
Secrets may reach teachers, judges, assistant turns and rewards. Which rules apply to a row and which filters a probe passes may
depend on secrets: that a probe is there tells less than the question itself. `declassify` ends a flow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import Record
from exgrpo_compiler.ast import Decl, FieldStmt, YieldsStmt
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Label
from exgrpo_compiler.ir import (
    CheckedDataset,
    CheckedDialogue,
    CheckedField,
    CheckedProbes,
    CheckedProgram,
    CheckedRule,
    Template,
    TemplateRead,
    Typed,
)
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.program import Key, Program
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import fits

_OPEN_HINT = (
    "declare `open {name}`, and each probe is checked for the gold answer at run time; or remove it; "
    'or say why it may be seen: declassify({text}, reason="…")'
)
_FIELD_HINT = 'remove it, or say why the student may see it: declassify({text}, reason="…")'


class Step(NamedTuple):
    """A place on a secret's way and what happens there."""

    span: Span
    text: str


class Taint(Record):
    """Why a field is secret: the way from its declaration on. `opening` is where a yielded field would be declared `open`."""

    steps: tuple[Step, ...]
    opening: Span | None = None


Taints = Mapping[str, Taint]
"""Secret fields of a row or of a probe."""


class Message(NamedTuple):
    """A template of a dialogue that the student sees."""

    title: str
    template: Template


def check_secrets(program: CheckedProgram, resolved: Program) -> tuple[Diagnostic, ...]:
    """Every secret that reaches a student, a rule that does not call it secret, and every needless `declassify`."""
    problems = Problems()
    rows: dict[Key, Taints] = {}
    probes: dict[Key, Taints] = {}
    checked = [(key, value) for key, value in program.known.items() if key in resolved.decls]
    for key, dataset in checked:
        if isinstance(dataset, CheckedDataset):
            rows[key] = find_secret_fields(dataset, resolved.decls[key])
            _report_needless_in_fields(dataset, problems)
    for key, block in checked:
        if isinstance(block, CheckedProbes):
            taints = rows.get(block.dataset, {})
            probes[key] = _find_secret_yields(key, block, taints, resolved.decls[key])
            _report_needless(block.prompt, {"item": taints}, problems)
            _check_rules(program, resolved, key, taints, problems)
    for key, dialogue in checked:
        if isinstance(dialogue, CheckedDialogue):
            _check_dialogue(key, dialogue, rows, probes, problems)
    return problems.found


# --- datasets -----------------------------------------------------------------------------------------------


def find_secret_fields(dataset: CheckedDataset, decl: Decl) -> Taints:
    """The fields of a row that are secret, declared so or made of a column that a secret one reads."""
    statements = decl.block.statements if decl.block is not None else ()
    places = {item.name.text: item.name.span for item in statements if isinstance(item, FieldStmt)}
    taints: dict[str, Taint] = {}
    origins: dict[str, CheckedField] = {}
    for field in dataset.fields:
        if field.secret:
            place = places.get(field.name, field.value.span)
            taints[field.name] = Taint((Step(place, f"`{field.name}` is declared secret here"),))
            for column in _find_columns(field.value, is_cleared=False):
                origins.setdefault(column, field)
    for field in dataset.fields:
        shared = next((item for item in _find_columns(field.value) if item in origins), None)
        if field.secret or shared is None:
            continue
        origin = origins[shared].name
        place = places.get(field.name, field.value.span)
        first = Step(
            taints[origin].steps[0].span,
            f"`{origin}` is declared secret here, and reads the column `{shared}`",
        )
        taints[field.name] = Taint(
            (first, Step(place, f"`{field.name}` reads `{shared}` too, so it is secret"))
        )
    return taints


def _find_columns(tree: Typed, *, is_cleared: bool = True) -> Iterator[str]:
    """Columns that an expression reads; those inside of `declassify` only where nothing is cleared."""
    if tree.op == "column":
        yield str(tree.params["name"])
    if not (is_cleared and is_declassified(tree)):
        for argument in tree.args:
            yield from _find_columns(argument, is_cleared=is_cleared)


def is_declassified(tree: Typed) -> bool:
    """Whether it is a call of `declassify`."""
    return tree.op == "call" and tree.params.get("fn") == "declassify"


def find_clearances(tree: Typed) -> Iterator[Typed]:
    """Every call of `declassify` in an expression."""
    if is_declassified(tree):
        yield tree
    for argument in tree.args:
        yield from find_clearances(argument)


def _report_needless_in_fields(dataset: CheckedDataset, problems: Problems) -> None:
    shared = {
        column
        for field in dataset.fields
        if field.secret
        for column in _find_columns(field.value, is_cleared=False)
    }
    for field in dataset.fields:
        for tree in find_clearances(field.value):
            if field.secret:
                message = (
                    f"`declassify` clears nothing: the field `{field.name}` is declared secret as a whole."
                )
                problems.warning("needless-declassify", tree.span, message)
            elif shared.isdisjoint(_find_columns(tree.args[0])):
                message = "`declassify` clears nothing: no secret field reads the columns in it."
                problems.warning("needless-declassify", tree.span, message)


# --- probes -------------------------------------------------------------------------------------------------


def _find_secret_yields(key: Key, block: CheckedProbes, rows: Taints, decl: Decl) -> Taints:
    """The fields of a probe that are secret: those not `open`, where the teacher's prompt held a secret."""
    found = next(_find_leaks(block.prompt, {"item": rows}), None)
    if found is None or decl.block is None:
        return {}
    read, taint = found
    verb = "shows it" if read.how == "shown" else "depends on it"
    prefix = (
        *taint.steps,
        *(Step(*step) for step in read.steps),
        Step(read.span, f"the teacher's prompt of `{key.name}` {verb} here"),
    )
    places = {
        field.name.text: field.name.span
        for item in decl.block.statements
        if isinstance(item, YieldsStmt)
        for field in item.fields
    }
    taints: dict[str, Taint] = {}
    for field in block.yields:
        if not field.open and field.name in places:
            place = places[field.name]
            text = f"so what the teacher yields as `{field.name}` is secret, as it is not `open`"
            taints[field.name] = Taint(
                (*prefix, Step(place, text)), Span(place.source, place.start, place.start)
            )
    return taints


def _check_rules(
    program: CheckedProgram, resolved: Program, key: Key, rows: Taints, problems: Problems
) -> None:
    """Reports rules that take a secret field of the row by a parameter that is not secret."""
    block: CheckedProbes = program.known[key]
    dataset: CheckedDataset = program.known[block.dataset]
    for place, rule_key in zip(block.rule_spans, block.rules, strict=True):
        rule = program.known.get(rule_key)
        if not isinstance(rule, CheckedRule):
            continue
        for param in rule.params:
            taint, type_ = rows.get(param.name), dataset.row_type.get_field(param.name)
            if taint is None or param.secret or type_ is None or not fits(type_, param.type):
                continue
            start = Span(param.span.source, param.span.start, param.span.start)
            is_near = param.span.source == place.source
            fix = Fix(f"declare `secret {param.name}`", (Edit(start, "secret "),)) if is_near else None
            problems.error(
                "secret-parameter",
                place,
                f"The rule `{rule_key.name}` takes `{param.name}` as a field that the student may see, and it is secret here.",
                labels=(
                    *_number(taint.steps),
                    Label(param.span, f"{len(taint.steps) + 1}. the rule asks for it here, without `secret`"),
                ),
                hint=f"declare it in the rule as `secret {param.name}`",
                fix=fix,
            )


# --- dialogues ----------------------------------------------------------------------------------------------


def list_messages(dialogue: CheckedDialogue) -> Iterator[Message]:
    """The templates that the student sees, which are also its evaluation prompts."""
    if dialogue.system is not None:
        yield Message("the system message", dialogue.system)
    for exchange in dialogue.exchanges:
        yield Message(f"the user message before `{exchange.name}`", exchange.user)


def _check_dialogue(
    key: Key,
    dialogue: CheckedDialogue,
    rows: Mapping[Key, Taints],
    probes: Mapping[Key, Taints],
    problems: Problems,
) -> None:
    taints: dict[str, Taints] = {"item": rows.get(dialogue.dataset, {})}
    if dialogue.variable is not None and dialogue.probes is not None:
        taints[dialogue.variable] = probes.get(dialogue.probes, {})
    for message in list_messages(dialogue):
        for read, taint in _find_leaks(message.template, taints):
            _report_leak(key, message, read, taint, problems)
        _report_needless(message.template, taints, problems)
    for exchange in dialogue.exchanges:
        if exchange.target is not None:
            _report_needless(exchange.target, taints, problems)


def _find_leaks(template: Template, taints: Mapping[str, Taints]) -> Iterator[tuple[TemplateRead, Taint]]:
    """Reads of secrets that reach the template's output. What is shown and also decides something is told as shown."""
    shown = {(read.root, read.attribute) for read in template.reads if read.how == "shown"}
    for read in template.reads:
        taint = taints.get(read.root, {}).get(read.attribute)
        if taint is not None and (read.how == "shown" or (read.root, read.attribute) not in shown):
            yield read, taint


def _report_leak(key: Key, message: Message, read: TemplateRead, taint: Taint, problems: Problems) -> None:
    is_shown = read.how == "shown"
    what = f"`{read.attribute}`, which is secret"
    title = f"{message.title} of dialogue `{key.name}`"
    sentence = f"The student would see {what}, in {title}."
    if not is_shown:
        sentence = f"What the student sees would depend on {what}, in {title}."
    last = f"{message.title} {'shows it' if is_shown else 'depends on it'} here"
    steps = (*taint.steps, *(Step(*step) for step in read.steps), Step(read.span, last))
    text = read.span.source.text[read.span.start : read.span.end]
    fix = None
    if taint.opening is not None:
        fix = Fix(f"declare `open {read.attribute}`", (Edit(taint.opening, "open "),))
    hint = _FIELD_HINT if taint.opening is None else _OPEN_HINT
    problems.error(
        "secret-leak",
        read.span,
        sentence,
        labels=_number(steps),
        hint=hint.format(name=read.attribute, text=text),
        fix=fix,
    )


def _number(steps: tuple[Step, ...]) -> tuple[Label, ...]:
    return tuple(Label(step.span, f"{index}. {step.text}") for index, step in enumerate(steps, start=1))


def _report_needless(template: Template, taints: Mapping[str, Taints], problems: Problems) -> None:
    for item in template.clearances:
        if not any(read.attribute in taints.get(read.root, {}) for read in item.reads):
            problems.warning(
                "needless-declassify", item.span, f"`declassify` clears nothing: `{item.what}` is not secret."
            )
