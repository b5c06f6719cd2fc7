"""`dialogue` declarations: steps in order, and the scenarios that cut them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exgrpo_compiler.ast import AssistantStep, Call, Decl, Expr, ForStep, NamedStmt, Ref, Stmt, UserStep
from exgrpo_compiler.builtins import RESERVED_TURNS, Setting
from exgrpo_compiler.check.answers import read_answer_type
from exgrpo_compiler.check.arguments import bind_arguments, swap_places
from exgrpo_compiler.check.constants import read_constant, read_number
from exgrpo_compiler.check.context import Context
from exgrpo_compiler.check.cuts import verify_cut
from exgrpo_compiler.check.expressions import check_expression, get_literal, verify_same_unit, verify_type
from exgrpo_compiler.check.forms import Sorted, report_double, sort_statements
from exgrpo_compiler.check.params import BoundParam, bind_params, require_param
from exgrpo_compiler.check.prompt import check_prompt
from exgrpo_compiler.check.scope import PlainName, Scope
from exgrpo_compiler.ir import (
    CheckedCut,
    CheckedDataset,
    CheckedDialogue,
    CheckedExchange,
    CheckedProbes,
    Template,
    Typed,
)
from exgrpo_compiler.value_types import INT, NUMBER, Type

_COUNT = Setting("sample", "int", low=1)
_SHAPE_HINT = "a dialogue is: system, then `for probe in …`, then pairs of user and assistant"


class _Steps:
    """Exchanges read so far."""

    def __init__(self, context: Context, title: str, aliases: Mapping[str, str]) -> None:
        self.context = context
        self.title = title
        self.aliases = aliases
        self.exchanges: list[CheckedExchange] = []
        self.names: dict[str, AssistantStep] = {}
        self.used: set[str] = set()
        """Parameters and the loop's variable, as far as a message reads them."""

    def read(self, steps: Sequence[Stmt], types: Mapping[str, Type], *, in_loop: bool) -> None:
        """Pairs of user and assistant steps."""
        pending: UserStep | None = None
        for step in steps:
            if isinstance(step, UserStep):
                if pending is not None:
                    self._report_shape(pending, "This user message has no assistant turn after it.")
                pending = step
            elif isinstance(step, AssistantStep):
                if pending is None:
                    self._report_shape(step, "This assistant turn has no user message before it.")
                self._read_exchange(pending, step, types, in_loop)
                pending = None
        if pending is not None:
            self._report_shape(pending, "This user message has no assistant turn after it.")

    def _read_exchange(
        self, user: UserStep | None, step: AssistantStep, types: Mapping[str, Type], in_loop: bool
    ) -> None:
        name = step.name
        if name.text in RESERVED_TURNS:
            self.context.problems.error(
                "reserved-name",
                name.span,
                f"`{name.text}` is a property of every rollout and no name for a turn.",
            )
            return
        if name.text in self.names:
            first = self.names[name.text].name.span
            report_double(
                self.context.problems, "duplicate-name", name, first, f"There are two turns `{name.text}`."
            )
            return
        self.names[name.text] = step
        asked = self._check(user.value, types) if user is not None else None
        # A template that is broken is one all the same: the turn has words, though which is not known.
        target = (self._check(step.value, types) or Template("")) if step.value is not None else None
        answer = read_answer_type(self.context, step.type) if step.type is not None else None
        if user is not None:
            exchange = CheckedExchange(name.text, asked or Template(""), target, answer, in_loop)
            self.exchanges.append(exchange)

    def _check(self, expr: Expr, types: Mapping[str, Type]) -> Template | None:
        return check_prompt(self.context, expr, types, self.title, self.aliases, self.used)

    def _report_shape(self, step: UserStep | AssistantStep, message: str) -> None:
        self.context.problems.error("dialogue-shape", step.span, message, hint=_SHAPE_HINT)


def check_dialogue(context: Context, decl: Decl) -> CheckedDialogue | None:
    """A checked `dialogue`, or None with diagnostics. One that is broken in part is there, open, with diagnostics too."""
    assert decl.block is not None
    name, before = decl.name, len(context.problems)
    title = f"dialogue `{name.text}`"
    block = sort_statements(
        decl.block, "dialogue", title, name.span, context.problems, is_damaged=decl.is_damaged
    )
    bound = bind_params(context, decl, ("dataset", "probes"))
    item = (
        require_param(context, decl, bound, "dataset", "item: NAME_OF_A_DATASET")
        if bound is not None
        else None
    )
    dataset = context.known.get(item.key) if item else None
    if bound is None or item is None or not isinstance(dataset, CheckedDataset):
        _read_scenarios(context, _list_scenarios(block), None)
        return None
    probes = context.known.get(bound["probes"].key) if "probes" in bound else None
    if "probes" in bound and not isinstance(probes, CheckedProbes):
        _read_scenarios(context, _list_scenarios(block), None)
        return None
    if isinstance(probes, CheckedProbes) and probes.dataset != item.key:
        context.problems.error(
            "kind-mismatch",
            bound["probes"].param.type.span,
            f"`{bound['probes'].key.name}` makes probes of dataset `{probes.dataset.name}`; this dialogue is about `{item.key.name}`.",
        )
    steps = _Steps(context, title, {item.name: "item"})
    types = {item.name: dataset.row_type}
    system_assign = block.get("system")
    system = (
        check_prompt(context, system_assign.value, types, title, steps.aliases, steps.used)
        if system_assign
        else None
    )
    outside = [part for part in block.others if isinstance(part, UserStep | AssistantStep | ForStep)]
    loop = _take_loop(context, outside)
    variable, count = None, None
    if loop is not None:
        variable, count = _read_loop_head(context, loop, bound.get("probes"), item)
        probe_type = probes.probe_type if isinstance(probes, CheckedProbes) else None
        inner = sort_statements(loop.block, "loop", "a loop over probes", loop.span, context.problems)
        if probe_type is not None:
            steps.read(inner.others, {**types, loop.variable.text: probe_type}, in_loop=True)
    steps.read([part for part in outside if not isinstance(part, ForStep)], types, in_loop=False)
    scenarios = _read_scenarios(context, _list_scenarios(block), count)
    # Where there is a user message, it was said of that one that no assistant turn follows.
    if not any(isinstance(part, AssistantStep | UserStep) for part in outside) and not decl.is_damaged:
        context.problems.error(
            "dialogue-shape",
            name.span,
            f"Dialogue `{name.text}` has no closing assistant turn.",
            hint=_SHAPE_HINT,
        )
    is_broken = decl.is_damaged or len(context.problems) > before
    if not is_broken:
        _warn_unused(context, bound, loop, steps.used)
    probes_key = bound["probes"].key if "probes" in bound else None
    return CheckedDialogue(
        decl.doc,
        item.key,
        probes_key,
        system,
        variable,
        count,
        tuple(steps.exchanges),
        scenarios,
        is_broken,
    )


def _warn_unused(
    context: Context, bound: Mapping[str, BoundParam], loop: ForStep | None, used: set[str]
) -> None:
    item, probes = bound["dataset"], bound.get("probes")
    if item.name not in used:
        context.problems.warning(
            "unused-parameter",
            item.param.name.span,
            f"No message of this dialogue reads `{item.name}`, so it is the same for every row.",
            hint=f"show a field of it: {{{{ {item.name}.FIELD }}}}",
        )
    if probes is not None and loop is None:
        context.problems.warning(
            "unused-parameter",
            probes.param.name.span,
            f"No loop of this dialogue goes over `{probes.name}`.",
            hint=f"remove the parameter, or add `for probe in {probes.name} {{ … }}`",
        )
    if loop is not None and loop.variable.text not in used and not loop.variable.text.startswith("_"):
        context.problems.warning(
            "unused-parameter",
            loop.variable.span,
            f"No message of the loop reads `{loop.variable.text}`, so it asks the same every time.",
            hint=f"show a field of it: {{{{ {loop.variable.text}.FIELD }}}}",
        )


# --- the loop -----------------------------------------------------------------------------------------------


def _take_loop(context: Context, steps: Sequence[Stmt]) -> ForStep | None:
    loops = [step for step in steps if isinstance(step, ForStep)]
    for extra in loops[1:]:
        context.problems.error(
            "dialogue-shape", extra.span, "A dialogue has one loop over probes.", hint=_SHAPE_HINT
        )
    if loops and steps[0] is not loops[0]:
        context.problems.error(
            "dialogue-shape",
            loops[0].span,
            "The loop over probes comes before every other exchange.",
            hint=_SHAPE_HINT,
        )
    return loops[0] if loops else None


def _read_loop_head(
    context: Context, loop: ForStep, probes: BoundParam | None, item: BoundParam
) -> tuple[str, int | None]:
    variable, sequence = loop.variable, loop.sequence
    if variable.text in (item.name, "item"):
        context.problems.error(
            "reserved-name",
            variable.span,
            f"`{variable.text}` is the row here; give the loop's variable another name.",
        )
    if probes is None:
        context.problems.error(
            "missing-argument",
            sequence.span,
            "This dialogue has no probes to loop over.",
            hint="give it a parameter: probes: NAME_OF_A_PROBES_BLOCK",
        )
        return variable.text, None
    if isinstance(sequence, Ref) and sequence.name == probes.name:
        return variable.text, None
    if (
        isinstance(sequence, Call)
        and isinstance(sequence.function, Ref)
        and sequence.function.name == "sample"
    ):
        bound = bind_arguments(
            sequence.arguments, ("list", "k"), ("list", "k"), "`sample`", sequence.span, context.problems
        )
        if bound is None:
            return variable.text, None
        source, count = bound["list"].value, bound["k"].value
        if not isinstance(source, Ref) or source.name != probes.name:
            is_swapped = isinstance(count, Ref) and count.name == probes.name
            context.problems.error(
                "kind-mismatch",
                source.span,
                f"`sample` draws from `{probes.name}` here.",
                hint=f"write sample({probes.name}, …)",
                fix=swap_places(source, count) if is_swapped else None,
            )
            return variable.text, None
        constant = read_constant(context, count)
        number = read_number(context, count, _COUNT, constant) if constant is not None else None
        return variable.text, int(number) if number is not None else None
    from exgrpo_compiler.check.misspelt import report_misspelt  # here: most names are right

    if report_misspelt(context.problems, sequence, ("sample",), (probes.name,)):
        return variable.text, None
    context.problems.error(
        "type-mismatch",
        sequence.span,
        f"The loop goes over `{probes.name}` or `sample({probes.name}, k)`.",
        hint=f"write `for {variable.text} in sample({probes.name}, 3) {{ … }}`",
    )
    return variable.text, None


def _list_scenarios(block: Sorted) -> list[NamedStmt]:
    return [part for part in block.others if isinstance(part, NamedStmt)]


# --- scenarios ----------------------------------------------------------------------------------------------


def _read_scenarios(
    context: Context, statements: Sequence[NamedStmt], most: int | None
) -> dict[str, CheckedCut]:
    scenarios: dict[str, CheckedCut] = {}
    first: dict[str, NamedStmt] = {}
    for statement in statements:
        name = statement.name
        if name.text in first:
            report_double(
                context.problems,
                "duplicate-name",
                name,
                first[name.text].name.span,
                f"There are two scenarios `{name.text}`.",
            )
            continue
        first[name.text] = statement
    for statement in first.values():
        cut = _read_cut(context, statement, first, most)
        scenarios[statement.name.text] = cut or CheckedCut("all")  # broken, and known by its name
    return scenarios


def _read_cut(
    context: Context, statement: NamedStmt, declared: Mapping[str, NamedStmt], most: int | None
) -> CheckedCut | None:
    value = statement.value
    if isinstance(value, Ref) and value.name == "all":
        return CheckedCut("all")
    if isinstance(value, Call) and isinstance(value.function, Ref):
        if value.function.name == "first":
            bound = bind_arguments(value.arguments, ("n",), ("n",), "`first`", value.span, context.problems)
            count = _check_count(context, bound["n"].value, most) if bound else None
            return CheckedCut("first", count=count) if count else None
        if value.function.name == "branch":
            return _read_branch(context, value, statement, declared, most)
    from exgrpo_compiler.check.misspelt import report_misspelt

    if report_misspelt(context.problems, value, ("first", "branch"), ("all",)):
        return None
    context.problems.error(
        "type-mismatch",
        value.span,
        "A scenario is `all`, first(n), or branch(scenario, after: n).",
        hint="`k` is the number of probes sampled: first(uniform(1, k - 1))",
    )
    return None


def _read_branch(
    context: Context,
    value: Call,
    statement: NamedStmt,
    declared: Mapping[str, NamedStmt],
    most: int | None,
) -> CheckedCut | None:
    bound = bind_arguments(
        value.arguments,
        ("scenario", "after"),
        ("scenario", "after"),
        "`branch`",
        value.span,
        context.problems,
        num_positional=1,
    )
    if bound is None:
        return None
    base = bound["scenario"].value
    if not isinstance(base, Ref) or base.name not in declared:
        context.problems.unknown(
            "unknown-scenario",
            base.span,
            f"There is no scenario `{base.name}` to branch from."
            if isinstance(base, Ref)
            else "A scenario is due here.",
            base.name if isinstance(base, Ref) else "",
            declared,
            "the scenarios are",
        )
        return None
    source = declared[base.name].value
    if base.name == statement.name.text or not isinstance(source, Ref):
        context.problems.error(
            "invalid-value",
            base.span,
            "A branch leaves a scenario that takes `all` probes.",
            hint="as branch(full, after: …)",
        )
        return None
    count = _check_count(context, bound["after"].value, most)
    return CheckedCut("branch", base.name, count) if count else None


def _check_count(context: Context, expr: Expr, most: int | None) -> Typed | None:
    scope = Scope(context, "cut", {"k": PlainName("k", INT)})
    count = check_expression(scope, expr)
    if count is None or not verify_type(scope, count, NUMBER, "The number of probes"):
        return None
    number = get_literal(count)
    if number is not None and number < 0:
        context.problems.error(
            "invalid-value",
            expr.span,
            f"A number of probes is at least 0; this is {number:g}.",
            hint="first(0) takes none of them",
        )
        return None
    plain = Typed("const", (), {"value": 0}, INT, "const", expr.span)
    if not verify_same_unit(scope, expr.span, count, plain):
        return None
    return count if verify_cut(context, count, most) else None
