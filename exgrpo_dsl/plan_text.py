"""A plan for a person: calls, tokens, dollars and time in columns, then what to know before spending."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from exgrpo_runtime.planning.bills import Bill
from exgrpo_runtime.planning.calls import Calls
from exgrpo_runtime.planning.plan import ASSUMPTIONS, Plan, list_open
from exgrpo_runtime.planning.probe_calls import PROBES
from exgrpo_runtime.planning.ranges import Range

UNKNOWN = "unknown"


def format_plan(plan: Plan) -> str:
    """The whole plan as text; figures are `low / expected / worst`, one where they agree."""
    return "\n".join(_list_lines(plan))


def summarise_plan(plan: Plan) -> str:
    """One line about the plan of a single probe stage, for a run that is about to spend."""
    stored = [_describe_stored(one) for one in plan.calls if one.what == PROBES]
    return "; ".join([*stored, f"expected {', '.join(map(_summarise_bill, plan.bills))}"])


def _summarise_bill(bill: Bill) -> str:
    asked = f"{_count(bill.sent.expected)} requests to {bill.model.name}"
    if bill.priced is not None and bill.priced.source == "local":
        return asked
    cost = f"{_format_usd(bill.usd.expected)} usd" if bill.usd is not None else "at unknown cost"
    return f"{asked}, {cost}"


def _list_lines(plan: Plan) -> Iterator[str]:
    rows = ", ".join(f"{_count(number)} in `{stage}`" for stage, number in plan.num_rows.items())
    yield f"plan of {plan.manifest.task}: nothing was sent. Figures: low / expected / worst"
    yield f"rows: {rows}" if rows else "rows: none are read"
    if not plan.calls:
        yield "no model is asked for anything"
    else:
        yield ""
        yield from _format_table(
            ("stage", "what", "model", "requests"), [_list_cells(one) for one in plan.calls]
        )
        yield ""
        header = ("model", "requests", "prompt tokens", "completion tokens", "usd", "time")
        yield from _format_table(header, [_list_bill(bill) for bill in plan.bills])
        if len(plan.bills) > 1:
            total = _format_range(plan.usd, _format_usd)
            yield f"together: {total} usd, {_format_range(plan.seconds, _format_seconds)}"
        yield ""
    yield from (_describe_stored(one) for one in plan.calls if one.what == PROBES)
    yield from (f"tokens of `{stage}`: {how}" for stage, how in plan.measured.items())
    if plan.calls:
        yield f"assumed where nothing is stored: {'; '.join(ASSUMPTIONS)}"
    yield from (line for bill in plan.bills for line in _list_warnings(bill))
    yield from _list_disclosures(plan)


def _list_cells(one: Calls) -> tuple[str, ...]:
    return one.stage, one.what, one.model, _format_range(one.sent, _count)


def _list_bill(bill: Bill) -> tuple[str, ...]:
    time = _format_range(bill.seconds, _format_seconds)
    return (
        bill.model.name,
        _format_range(bill.sent, _count),
        _format_range(bill.prompt_tokens, _count),
        _format_range(bill.completion_tokens, _count),
        _format_money(bill),
        time if bill.is_timed or bill.seconds is None else f"at least {time}",
    )


def _describe_stored(one: Calls) -> str:
    planned, left = int(one.planned.expected), int(one.planned.expected) - one.held
    return f"{_count(left)} of {_count(planned)} probes of `{one.stage}` must be asked; {_count(one.held)} are stored"


def _list_warnings(bill: Bill) -> Iterator[str]:
    name, budget = bill.model.name, bill.model.budget_usd
    if bill.usd is None:
        yield f"warning: `{name}` has no price, so its cost is unknown: declare price {{ … }}, or give --prices FILE"
    if budget is not None and bill.model.price is None and bill.model.kind in ("openai", "plugin"):
        yield f"warning: the budget of `{name}` is not kept, since the spec declares no price"
    if bill.completion_tokens.worst is None:
        yield f"warning: `{name}` has no max_tokens, so nothing bounds the worst case"
    if budget is None or bill.spent_usd is None:
        return
    told = f"the budget of `{name}` ({budget:g} usd, {_format_usd(bill.spent_usd)} spent)"
    if bill.verdict == "expected":
        kept = "; a run stops there and keeps its replies" if bill.model.price is not None else ""
        yield f"over budget: what is expected exceeds {told}{kept}"
    elif bill.verdict == "worst":
        yield f"warning: {told} holds for what is expected, not for the worst"
    elif bill.verdict == "held":
        yield f"{told} holds"


def _list_disclosures(plan: Plan) -> Iterator[str]:
    manifest = plan.manifest
    for each in manifest.declassified:
        yield f"declassified: {each.what} in {each.where}: {each.reason}"
    if not manifest.declassified:
        yield "declassified: nothing"
    yield f"open, so the student may see it: {', '.join(list_open(manifest)) or 'nothing'}"
    reveals = [f"{rule.name} ({', '.join(rule.reveals)})" for rule in manifest.rules.values() if rule.reveals]
    yield f"rules that reveal: {', '.join(reveals) or 'none'}"


# --- figures ------------------------------------------------------------------------------------------------


def _format_range(figure: Range | None, show: Callable[[float], str]) -> str:
    if figure is None:
        return UNKNOWN
    shown = [UNKNOWN if value is None else show(value) for value in figure]
    return shown[0] if len(set(shown)) == 1 else " / ".join(shown)


def _format_money(bill: Bill) -> str:
    if bill.priced is not None and bill.priced.source == "local":
        return "none, it runs here"
    return _format_range(bill.usd, _format_usd)


def _count(value: float) -> str:
    return f"{round(value):,}"


def _format_usd(value: float) -> str:
    return "0" if value == 0 else f"{value:,.2f}" if value >= 0.01 else f"{value:.2g}"


def _format_seconds(value: float) -> str:
    if value < 90:
        return f"{value:.0f} s"
    if value < 90 * 60:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h"


def _format_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(line[at]) for line in (header, *lines)) for at in range(len(header))]
    for line in (header, *lines):
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
