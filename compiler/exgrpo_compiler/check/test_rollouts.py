"""The `item` and the `group` of a test: a row's fields and rollouts in words, converted to the types they stand for.

A test runs offline, so what a judge would answer stands in it: `full { final: "…", clarity: [3, 4] }` says what the judge that the
term `clarity` asks answers about the first and the second turn inside `for`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from exgrpo_artifact.operations import EXTERNAL_FUNCTIONS
from exgrpo_artifact.values import Failed, Value
from exgrpo_compiler.ast import Entry, Expr, ListExpr, Record, Ref
from exgrpo_compiler.builtins import Setting
from exgrpo_compiler.check.constants import Constant, read_constant, read_number
from exgrpo_compiler.check.context import Context
from exgrpo_compiler.checked_tests import CheckedRollout
from exgrpo_compiler.diagnostics import find_closest
from exgrpo_compiler.ir import CheckedDataset, CheckedDialogue, CheckedReward, CheckedRubric, Typed
from exgrpo_compiler.problems import start_sentence
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import ANY, Type, name_type

FAILED = "failed"
"""What a judge that gave no answer is written as."""
_TOKENS = Setting("tokens", "int", unit="tok", low=0)


def check_item(
    context: Context, expr: Expr | None, dataset: CheckedDataset, rewards: Sequence[CheckedReward], span: Span
) -> dict[str, Any] | None:
    """The row's fields, at least those that the rewards read; None with diagnostics."""
    needed = {
        node.params["field"].partition(".")[0]
        for reward in rewards
        for node in _walk_terms(reward)
        if node.op == "item"
    }
    before = len(context.problems)
    given: dict[str, Any] = {}
    if expr is not None and (not isinstance(expr, Record) or expr.tag is not None):
        context.problems.error(
            "type-mismatch",
            expr.span,
            '`item` is a record of the row\'s fields: { question: "…" }.',
            hint='write { FIELD: "…" }',
        )
        return None
    for entry in _take_entries(context, expr.entries if isinstance(expr, Record) else ()):
        type_ = dataset.row_type.get_field(entry.key.text)
        if type_ is None:
            names = dataset.row_type.field_names
            context.problems.unknown(
                "unknown-field",
                entry.key.span,
                f"The row has no field `{entry.key.text}`.",
                entry.key.text,
                names,
                "its fields are",
            )
            continue
        given[entry.key.text] = _read_value(context, entry.value, type_, f"`{entry.key.text}`")
    missing = sorted(needed - set(given))
    if missing and len(context.problems) == before:
        shown = ", ".join(f"`{name}`" for name in missing)
        context.problems.error(
            "missing-key",
            expr.span if expr is not None else span,
            f"The reward reads {shown} of the row, and this test does not give it.",
            hint=f"write item = {{ {missing[0]}: … }}",
        )
    return given if len(context.problems) == before else None


def check_group(
    context: Context, expr: Expr, dialogue: CheckedDialogue, rewards: Sequence[CheckedReward]
) -> tuple[CheckedRollout, ...] | None:
    """The rollouts, or None with diagnostics."""
    items = expr.items if isinstance(expr, ListExpr) else ()
    if not items:
        context.problems.error(
            "type-mismatch",
            expr.span,
            '`group` is a list of rollouts: [full { final: "…" }].',
            hint='as [full { final: "…" }]',
        )
        return None
    reader = _Reader(context, dialogue, rewards)
    rollouts = [reader.read(item) for item in items]
    known = tuple(rollout for rollout in rollouts if rollout is not None)
    return known if len(known) == len(rollouts) else None


class _Reader:
    """Reads rollouts; what all of them lack is said of the first."""

    def __init__(self, context: Context, dialogue: CheckedDialogue, rewards: Sequence[CheckedReward]) -> None:
        self.context = context
        self.dialogue = dialogue
        self.rewards = rewards
        self.lacks_tokens = False
        self.judges = {
            name: calls
            for reward in rewards
            for name, tree in reward.terms.items()
            if (calls := list(_find_judge_calls(tree)))
        }

    def read(self, expr: Expr) -> CheckedRollout | None:
        """The rollout, or None with diagnostics."""
        problems, before = self.context.problems, len(self.context.problems)
        if not isinstance(expr, Record) or not isinstance(expr.tag, Ref):
            problems.error(
                "type-mismatch",
                expr.span,
                'A rollout is its scenario and turns: full { final: "…" }.',
                hint='as full { final: "…" }',
            )
            return None
        is_unknown = expr.tag.name not in self.dialogue.scenarios
        if is_unknown and not self._may_be_lost(expr.tag.name, self.dialogue.scenarios):
            problems.unknown(
                "unknown-scenario",
                expr.tag.span,
                f"There is no scenario `{expr.tag.name}`.",
                expr.tag.name,
                self.dialogue.scenarios,
                "the scenarios are",
            )
        entries = {entry.key.text: entry for entry in _take_entries(self.context, expr.entries)}
        turns = self._read_turns(expr.tag.name, entries)
        tokens = self._read_tokens(expr, entries)
        self._verify_names(entries)
        if len(problems) > before:
            return None
        num_looped = max((len(text) for text in turns.values() if isinstance(text, tuple)), default=0)
        judgements = self._read_judgements(expr, entries, turns, num_looped)
        if len(problems) > before:
            return None
        num_turns = sum(len(text) if isinstance(text, tuple) else text is not None for text in turns.values())
        return CheckedRollout(expr.tag.name, turns, tokens, num_turns, judgements, expr.span)

    def _may_be_lost(self, name: str, known: Collection[str]) -> bool:
        """Whether a name may stand in a part of the dialogue that is broken, which was reported."""
        return self.dialogue.is_open and find_closest(name, known) is None

    def _read_turns(self, scenario: str, entries: Mapping[str, Entry]) -> dict[str, Any]:
        turns: dict[str, Any] = {}
        counts: dict[str, int] = {}
        for exchange in self.dialogue.exchanges:
            entry = entries.get(exchange.name)
            if entry is None:
                turns[exchange.name] = () if exchange.in_loop else None
                continue
            value = self._read_turn(entry, exchange.in_loop)
            turns[exchange.name] = value
            if exchange.in_loop and isinstance(value, tuple):
                counts[exchange.name] = len(value)
        if len(set(counts.values())) > 1:
            shown = ", ".join(f"{count} of `{name}`" for name, count in counts.items())
            self.context.problems.error(
                "value-count-mismatch",
                entries[next(reversed(counts))].value.span,
                f"Turns inside `for` come once for each probe, but this rollout has {shown}.",
            )
        cut = self.dialogue.scenarios.get(scenario)
        if cut is not None and any(counts.values()) and _keeps_none(cut.count):
            name = next(name for name, count in counts.items() if count)
            self.context.problems.error(
                "value-count-mismatch",
                entries[name].value.span,
                f"Scenario `{scenario}` keeps no probe, so it has no turn `{name}`.",
                hint=f"leave `{name}` out, or choose another scenario",
            )
        return turns

    def _read_turn(self, entry: Entry, in_loop: bool) -> Any:
        name = entry.key.text
        if in_loop and not isinstance(entry.value, ListExpr):
            self.context.problems.error(
                "type-mismatch",
                entry.value.span,
                f"Turn `{name}` stands inside `for`, so a test gives a list of its texts.",
                hint=f'write {name}: ["…", "…"], one text for each probe',
            )
            return None
        constant = read_constant(self.context, entry.value)
        if constant is None:
            return None
        texts = constant.value if isinstance(constant.value, list) else [constant.value]
        if not all(isinstance(text, str) for text in texts) or isinstance(constant.value, list) != in_loop:
            due, example = ("a list of texts", '["…", "…"]') if in_loop else ("one text", '"…"')
            self.context.problems.error(
                "type-mismatch",
                entry.value.span,
                f"What turn `{name}` says is {due}.",
                hint=f"write {name}: {example}",
            )
            return None
        return tuple(texts) if in_loop else texts[0]

    def _read_tokens(self, expr: Record, entries: Mapping[str, Entry]) -> int:
        entry = entries.get("tokens")
        if entry is not None:
            constant = read_constant(self.context, entry.value)
            number = read_number(self.context, entry.value, _TOKENS, constant) if constant else None
            return int(number or 0)
        reads = any(node.op == "tokens" for reward in self.rewards for node in _walk_terms(reward))
        if reads and not self.lacks_tokens:
            self.lacks_tokens = True
            self.context.problems.error(
                "missing-key",
                expr.span,
                "The reward reads how many tokens a rollout has, and this test does not say it.",
                hint="add `tokens: 120tok` to each of its rollouts",
            )
        return 0

    def _verify_names(self, entries: Mapping[str, Entry]) -> None:
        turns = [exchange.name for exchange in self.dialogue.exchanges]
        terms = {name for reward in self.rewards for name in reward.terms}
        for name, entry in entries.items():
            if name in (*turns, "tokens", *self.judges) or self._may_be_lost(name, turns):
                continue
            if name in terms:
                self.context.problems.error(
                    "unknown-field",
                    entry.key.span,
                    f"`{name}` is computed from the rollout; a test gives no value for it.",
                    hint="only a term that asks a judge is given: what the judge answers",
                )
                continue
            self.context.problems.unknown(
                "unknown-field",
                entry.key.span,
                f"The dialogue has no turn `{name}`.",
                name,
                [*turns, *self.judges],
                "its turns are",
            )

    # --- judges ---------------------------------------------------------------------------------------------

    def _read_judgements(
        self, expr: Record, entries: Mapping[str, Entry], turns: Mapping[str, Any], num_looped: int
    ) -> dict[str, tuple[Value, ...]]:
        found: dict[str, tuple[Value, ...]] = {}
        for name, calls in self.judges.items():
            entry = entries.get(name)
            if len(calls) > 1:
                self.context.problems.error(
                    "missing-judgement",
                    entry.key.span if entry else expr.span,
                    f"Term `{name}` asks judges {len(calls)} times, so a test cannot say which answer is which.",
                    hint="give each call a term of its own",
                )
                continue
            call = calls[0]
            num_asked = num_looped if call.level == "turn" else 1
            if entry is None:
                if _is_asked(call, turns):
                    self._report_missing(expr.span, name, call, num_asked)
                continue
            found[name] = self._read_answers(entry, call, num_asked)
        return found

    def _report_missing(self, span: Span, name: str, call: Typed, num_asked: int) -> None:
        one = {"judge.same": "true", "similarity": "0.7"}.get(call.params["fn"], "3")
        shown = "[" + ", ".join([one] * num_asked) + "]" if call.level == "turn" else one
        who, it = "a judge", "the judge"
        if call.params["fn"] == "similarity":
            who, it = "an embedding model", "it"
        self.context.problems.error(
            "missing-judgement",
            span,
            f"Term `{name}` asks {who} about this rollout, and a test asks nobody.",
            hint=f"say what {it} answers: `{name}: {shown}`, or `{name}: {FAILED}` where it gives no answer",
        )

    def _read_answers(self, entry: Entry, call: Typed, num_asked: int) -> tuple[Value, ...]:
        items: Sequence[Expr] = (entry.value,)
        if call.level == "turn":
            if not isinstance(entry.value, ListExpr):
                self.context.problems.error(
                    "type-mismatch",
                    entry.value.span,
                    f"`{entry.key.text}` asks about each turn inside `for`, so a test gives a list of answers.",
                    hint=f"write {entry.key.text}: [3, 4], one answer for each probe",
                )
                return ()
            items = entry.value.items
        if len(items) != num_asked:
            self.context.problems.error(
                "value-count-mismatch",
                entry.value.span,
                f"The judge is asked {_count(num_asked, 'time')}, and here {_are(len(items), 'answer')}.",
                hint="it is asked about each turn inside `for` once",
            )
            return ()
        return tuple(self._read_answer(item, entry.key.text, call) for item in items)

    def _read_answer(self, expr: Expr, name: str, call: Typed) -> Value:
        if isinstance(expr, Ref) and expr.name == FAILED:
            return Failed("the judge gave no answer")
        constant = read_constant(self.context, expr)
        if constant is None:
            return None
        named = call.params.get("rubric")
        rubric = self.context.known.get(named) if named is not None else None
        scale = rubric.scale if isinstance(rubric, CheckedRubric) else None
        if call.params["fn"] == "similarity":
            scale = (-1, 1)
        if scale is not None:
            low, high = scale
            setting = Setting(f"{name}", "number", low=low, high=high)
            return read_number(self.context, expr, setting, constant)
        if isinstance(constant.value, bool) or constant.value in (0, 1):
            return bool(constant.value)
        self.context.problems.error(
            "type-mismatch",
            expr.span,
            f"What `{call.params['fn']}` answers is true or false.",
            hint=f"write {name}: true",
        )
        return None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _are(number: int, noun: str) -> str:
    return f"{'is' if number == 1 else 'are'} {_count(number, noun)}"


# --- values -------------------------------------------------------------------------------------------------


def _take_entries(context: Context, entries: Sequence[Entry]) -> list[Entry]:
    seen: dict[str, Entry] = {}
    for entry in entries:
        if entry.key.text in seen:
            context.problems.error("duplicate-key", entry.key.span, f"`{entry.key.text}` stands here twice.")
            continue
        seen[entry.key.text] = entry
    return list(seen.values())


def _read_value(context: Context, expr: Expr, type_: Type, what: str) -> Any:
    if type_.kind == "choice" and isinstance(expr, Ref) and expr.name in type_.options:
        return expr.name
    if type_.kind == "record" and isinstance(expr, Record) and expr.tag is None:
        return _read_record(context, expr, type_, what)
    if type_.kind == "list" and isinstance(expr, ListExpr) and _holds_records(type_):
        return [
            _read_value(context, item, type_.element or ANY, f"An element of {what}") for item in expr.items
        ]
    constant = read_constant(context, expr)
    if constant is None:
        return None
    if not _has_type(constant.value, type_) or constant.unit is not None:
        context.problems.error(
            "type-mismatch",
            expr.span,
            f"{what} of the row is {name_type(type_)}; this is {_name(constant)}.",
            hint="a test's row has the types that the dataset's fields have",
        )
    return constant.value


def _holds_records(type_: Type) -> bool:
    return type_.kind == "record" or (type_.element is not None and _holds_records(type_.element))


def _read_record(context: Context, expr: Record, type_: Type, what: str) -> dict[str, Any]:
    """The fields of a record of the row; all of them are due, since an expression may read any."""
    found: dict[str, Any] = {}
    before = len(context.problems)
    for entry in _take_entries(context, expr.entries):
        name, field = entry.key.text, type_.get_field(entry.key.text)
        if field is None:
            message = f"{start_sentence(type_.title)} has no field `{name}`."
            known = type_.field_names
            context.problems.unknown("unknown-field", entry.key.span, message, name, known, "its fields are")
        else:
            found[name] = _read_value(context, entry.value, field, f"`{name}` of {what}")
    missing = [name for name in type_.field_names if name not in found]
    if missing and len(context.problems) == before:
        context.problems.error(
            "missing-key",
            expr.span,
            f"{what} has no `{missing[0]}` here.",
            hint=f"write {{ {', '.join(f'{name}: …' for name in type_.field_names)} }}",
        )
    return found


def _has_type(value: object, type_: Type) -> bool:
    match type_.kind:
        case "text":
            return isinstance(value, str)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "bool":
            return isinstance(value, bool)
        case "choice":
            return isinstance(value, str) and value in type_.options
        case "list":
            element = type_.element
            return isinstance(value, list) and (
                element is None or all(_has_type(item, element) for item in value)
            )
        case "record":
            return False  # a record is written as one, which was read above
    return isinstance(value, str | int | float | bool | list)


def _name(constant: Constant) -> str:
    value = constant.value
    if constant.unit is not None:
        return f"a number in {constant.unit}"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return f"the number {value:g}"
    return (
        "a list"
        if isinstance(value, list)
        else f"the text {str(value)[:40]!r}"
        if isinstance(value, str)
        else "none"
    )


# --- trees --------------------------------------------------------------------------------------------------


def _walk(tree: Typed) -> Iterator[Typed]:
    yield tree
    for arg in tree.args:
        yield from _walk(arg)


def _walk_terms(reward: CheckedReward) -> Iterator[Typed]:
    for tree in reward.terms.values():
        yield from _walk(tree)


def _find_judge_calls(tree: Typed) -> Iterator[Typed]:
    seen: set[int] = set()
    for node in _walk(tree):
        if node.op == "call" and node.params.get("fn") in EXTERNAL_FUNCTIONS and id(node) not in seen:
            seen.add(id(node))
            yield node


def _is_asked(call: Typed, turns: Mapping[str, Any]) -> bool:
    """Whether the judge has something to read: no turn that it reads was left out."""
    read = [turns.get(node.params["name"]) for node in _walk(call) if node.op == "turn"]
    return all(text is not None and text != () for text in read)


def _keeps_none(count: Typed | None) -> bool:
    return count is not None and count.op == "const" and count.params["value"] == 0
