"""`reward` declarations: terms that name each other in any order, one of them `total`."""

from __future__ import annotations

from collections.abc import Mapping

from exgrpo_artifact.graph import OnFailure
from exgrpo_artifact.record import replace
from exgrpo_compiler.ast import Assign, Call, Decl, Expr, Name, Number, Ref
from exgrpo_compiler.builtins import Setting
from exgrpo_compiler.check.arguments import bind_arguments
from exgrpo_compiler.check.constants import MAX_CHAIN, read_constant, read_number, read_range
from exgrpo_compiler.check.context import Context
from exgrpo_compiler.check.expressions import check_expression
from exgrpo_compiler.check.forms import Sorted, report_unknown_key, sort_statements
from exgrpo_compiler.check.params import BoundParam, bind_params, require_param
from exgrpo_compiler.check.scope import Meaning, RecordName, RolloutName, Scope
from exgrpo_compiler.diagnostics import Label, find_closest, suggest_name
from exgrpo_compiler.ir import CheckedDataset, CheckedDialogue, CheckedReward, Typed
from exgrpo_compiler.problems import suggest_fix
from exgrpo_compiler.program import Key
from exgrpo_compiler.source import Span
from exgrpo_compiler.units import describe_unit
from exgrpo_compiler.value_types import name_type

_ACTIONS = ("drop_rollout", "drop_group", "value")
_VALUE = Setting("value", "number")


class _Terms:
    """Terms checked on demand, each once; `trail` are those that are being checked."""

    def __init__(
        self,
        context: Context,
        assigns: Mapping[str, Assign],
        names: Mapping[str, Meaning],
        notes: dict[str, Span],
    ) -> None:
        self.context = context
        self.assigns = assigns
        self.names = names
        self.notes = notes
        self.checked: dict[str, Typed | None] = {}
        self.term_names = tuple(assigns)
        self.trail: list[str] = []
        self.circled: set[str] = set()
        """Terms of the circles that were reported: one slip closes several circles at once."""

    def check(self, name: str) -> Typed | None:
        """The tree of a term."""
        if name not in self.checked:
            self.trail.append(name)
            scope = Scope(
                self.context,
                "reward",
                self.names,
                find_term=self.find,
                term_names=self.term_names,
                notes=self.notes,
            )
            value = check_expression(scope, self.assigns[name].value)
            self.checked[name] = value if value is not None and self._verify_number(name, value) else None
            self.trail.pop()
        return self.checked[name]

    def find(self, name: str, span: Span) -> Typed | None:
        """A reference to a term from inside another."""
        if name in self.trail:
            circle = self.trail[self.trail.index(name) :]
            if not self.circled.isdisjoint(circle):
                return None
            self.circled.update(circle)
            needed = [*circle[1:], name]
            chain = " -> ".join([*circle, name])
            labels = tuple(
                Label(self.assigns[term].path[0].span, f"`{term}` needs `{other}`")
                for term, other in zip(circle, needed, strict=True)
            )
            self.context.problems.error(
                "reward-cycle",
                span,
                f"The term `{name}` needs itself: {chain}."
                if len(circle) > 1
                else f"The term `{name}` needs itself.",
                labels=labels if len(circle) > 1 else (),
            )
            return None
        if len(self.trail) >= MAX_CHAIN and name not in self.checked:
            self.context.problems.error(
                "too-deep",
                span,
                f"This is the end of a chain of more than {MAX_CHAIN} terms that each need the next.",
                hint="write one of them without the others",
            )
            return None
        value = self.check(name)
        if value is None:
            return None
        return Typed("term", (), {"name": name}, value.type, value.level, span)

    def _verify_number(self, name: str, value: Typed) -> bool:
        if value.type.is_number:
            return True
        self.context.problems.error(
            "type-mismatch",
            self.assigns[name].value.span,
            f"A term is a number; `{name}` is {name_type(value.type)}.",
            hint="score it: matches(…), contains(…), words(…), judge.score(…)",
        )
        return False


def check_reward(context: Context, key: Key, decl: Decl) -> CheckedReward | None:
    """A checked `reward`, or None with diagnostics."""
    assert decl.block is not None
    name, before = decl.name, len(context.problems)
    title = f"reward `{name.text}`"
    block = sort_statements(
        decl.block, "reward", title, name.span, context.problems, is_damaged=decl.is_damaged
    )
    range_ = _read_range(context, decl)
    key_of_failure = _find_failure_key(block)
    failure = block.get(key_of_failure)
    on_failure = _read_failure(context, failure.value) if failure else OnFailure()
    if failure is not None and key_of_failure != "on_failure":
        report_unknown_key(failure.path[0], ["on_failure", "total"], title, context.problems)
    assigns = {term: assign for term, assign in block.assigns.items() if term != key_of_failure}
    if "total" not in assigns and not decl.is_damaged:
        _report_no_total(context, name, assigns)
    bound = bind_params(context, decl, ("dialogue", "dataset"))
    rollout = (
        require_param(context, decl, bound, "dialogue", "d: NAME_OF_A_DIALOGUE")
        if bound is not None
        else None
    )
    dialogue = context.known.get(rollout.key) if rollout else None
    if bound is None or rollout is None or not isinstance(dialogue, CheckedDialogue):
        return None
    item = bound.get("dataset")
    names = _build_names(context, rollout, dialogue, item)
    _verify_term_names(context, assigns, names)
    notes: dict[str, Span] = {}
    terms = _Terms(context, assigns, names, notes)
    trees = {term: terms.check(term) for term in assigns}
    checked = {term: tree for term, tree in trees.items() if tree is not None}
    _verify_total(context, assigns, checked)
    if (
        len(context.problems) > before
        or range_ is None
        or len(checked) < len(assigns)
        or "total" not in checked
    ):
        return None  # a term may be broken without a report: by what it reads, which was reported there
    order = [*(term for term in assigns if term != "total"), "total"]
    ordered = {term: _turn_off(context, key, term, checked[term]) for term in order}
    return CheckedReward(rollout.key, dialogue.dataset, range_, ordered, on_failure, notes)


def _find_failure_key(block: Sorted) -> str:
    """`on_failure`, or the key that was written for it: its values are no values of a term."""
    for key, assign in block.assigns.items() if "on_failure" not in block.assigns else ():
        value = assign.value.function if isinstance(assign.value, Call) else assign.value
        is_action = isinstance(value, Ref) and value.name in _ACTIONS and value.name not in block.assigns
        if is_action and find_closest(key, ("on_failure",)) is not None:
            return key
    return "on_failure"


def _report_no_total(context: Context, name: Name, assigns: Mapping[str, Assign]) -> None:
    closest = find_closest("total", assigns)
    place = assigns[closest].path[0].span if closest is not None else name.span
    context.problems.error(
        "missing-total",
        place,
        f"Reward `{name.text}` has no `total`.",
        hint="did you mean `total`?" if closest is not None else "add `total = …`: it is what is trained on",
        fix=suggest_fix(place, closest, ("total",)) if closest is not None else None,
    )


def _turn_off(context: Context, key: Key, term: str, tree: Typed) -> Typed:
    """A term that was turned off is 0 at the level it had, so that what aggregates it still can."""
    if (key, term) not in context.turned_off:
        return tree
    return replace(tree, op="const", args=(), params={"value": 0})


def _build_names(
    context: Context, rollout: BoundParam, dialogue: CheckedDialogue, item: BoundParam | None
) -> dict[str, Meaning]:
    title = f"a rollout of `{rollout.key.name}`"
    names: dict[str, Meaning] = {rollout.name: RolloutName(dialogue, title)}
    if item is None:
        return names
    if item.key != dialogue.dataset:
        context.problems.error(
            "kind-mismatch",
            item.param.type.span,
            f"Dialogue `{rollout.key.name}` is about dataset `{dialogue.dataset.name}`, not `{item.key.name}`.",
        )
    dataset = context.known.get(item.key)
    if isinstance(dataset, CheckedDataset):
        names[item.name] = RecordName("item", dataset.row_type)
    return names


def _verify_term_names(context: Context, assigns: Mapping[str, Assign], names: Mapping[str, Meaning]) -> None:
    for term, assign in assigns.items():
        if term in names:
            context.problems.error(
                "duplicate-name",
                assign.path[0].span,
                f"`{term}` is a parameter of this reward and no name for a term.",
            )


def _verify_total(context: Context, assigns: Mapping[str, Assign], checked: Mapping[str, Typed]) -> None:
    total = checked.get("total")
    if total is None:
        return
    span = assigns["total"].value.span
    if total.type.unit is not None:
        context.problems.error(
            "unit-mismatch",
            span,
            f"`total` is a plain number; this is {describe_unit(total.type.unit)}.",
            hint=f"divide by a number in `{total.type.unit}`, or use `ramp`",
        )
    if total.level == "turn":
        context.problems.error(
            "level-mismatch",
            span,
            "`total` is one number for a rollout, but this differs from turn to turn.",
            labels=tuple(
                Label(assigns[term].value.span, f"`{term}` has a value for each turn")
                for term in checked
                if term != "total" and checked[term].level == "turn"
            ),
            hint="aggregate over the turns: mean(…)",
        )


def _read_range(context: Context, decl: Decl) -> tuple[float, float] | None:
    if decl.range is not None:
        return read_range(context, decl.range, "The range of a reward")
    if not decl.is_damaged:
        context.problems.error(
            "missing-key",
            decl.name.span,
            f"Reward `{decl.name.text}` declares no range.",
            hint=f"write reward {decl.name.text}(…) -> 0..1 {{ … }}",
        )
    return None


def _read_failure(context: Context, expr: Expr) -> OnFailure:
    if isinstance(expr, Ref) and expr.name in ("drop_rollout", "drop_group"):
        return OnFailure(action="drop_rollout" if expr.name == "drop_rollout" else "drop_group")
    if isinstance(expr, Call) and isinstance(expr.function, Ref) and expr.function.name == "value":
        bound = bind_arguments(expr.arguments, ("x",), ("x",), "`value`", expr.span, context.problems)
        constant = read_constant(context, bound["x"].value) if bound else None
        number = read_number(context, bound["x"].value, _VALUE, constant) if bound and constant else None
        return OnFailure(action="value", value=number)
    word = expr.name if isinstance(expr, Ref) else ""
    own = f"write value({expr.text})" if isinstance(expr, Number) else suggest_name(word, _ACTIONS)
    context.problems.error(
        "invalid-value",
        expr.span,
        "`on_failure` is drop_rollout, drop_group or value(x).",
        hint=own or "one of `drop_rollout`, `drop_group`, `value(x)`",
        fix=suggest_fix(expr.span, word, _ACTIONS) if word else None,
    )
    return OnFailure()
