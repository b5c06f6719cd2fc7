"""Values that are known without a run: literals, consts, and arithmetic on them."""

from __future__ import annotations

import math

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.ast import (
    Attribute,
    Binary,
    Bool,
    Call,
    Entry,
    Expr,
    ListExpr,
    Number,
    Range,
    Record,
    Ref,
    Text,
    Unary,
)
from exgrpo_compiler.builtins import Setting
from exgrpo_compiler.check.context import Context, find_declaration
from exgrpo_compiler.diagnostics import suggest_name
from exgrpo_compiler.problems import list_names, suggest_fix
from exgrpo_compiler.program import Key, ModuleAlias
from exgrpo_compiler.source import Span
from exgrpo_compiler.units import describe_unit, verify_unit, verify_unit_known

_MAX_ROLLOUTS = 1024
"""Rollouts of one scenario in a group."""


_CONSTANT_DUE = "A constant is due here: a literal, a const, or arithmetic on them."

_CONSTANT_HINT = "write the value out, or its name after `const NAME = …`"


class Env(NamedTuple):
    """`env(NAME)`."""

    name: str


class Constant(NamedTuple):
    """A value with its unit and where it was written."""

    value: object
    unit: str | None
    span: Span


MAX_CHAIN = 100
"""Declarations that need each other one after the other; what reads them goes down such a chain step by step."""


def read_constant(context: Context, expr: Expr, trail: tuple[Key, ...] = ()) -> Constant | None:
    """The value of a constant expression, or None with a diagnostic.

    Numbers, texts, bools, `env(…)`, lists of these, consts, `-x`, and `+ - * /` of numbers.
    """
    if isinstance(expr, Number):
        if math.isinf(expr.value):
            return None  # reported where it was read
        if not verify_unit_known(expr, context.problems):
            return None
        return Constant(int(expr.value) if expr.is_int else expr.value, expr.unit, expr.span)
    if isinstance(expr, Text | Bool):
        return Constant(expr.value, None, expr.span)
    if isinstance(expr, ListExpr):
        items = [read_constant(context, item, trail) for item in expr.items]
        for item in items:
            if item is not None and item.unit is not None:
                shown = describe_unit(item.unit)
                context.problems.error(
                    "unit-mismatch", item.span, f"A list holds plain values; this is {shown}."
                )
                return None
        values = [item.value for item in items if item is not None]
        return Constant(values, None, expr.span) if len(values) == len(items) else None
    if isinstance(expr, Unary) and expr.op == "neg":
        inner = read_constant(context, expr.value, trail)
        if inner is None:
            return None
        if isinstance(inner.value, int | float) and not isinstance(inner.value, bool):
            return Constant(-inner.value, inner.unit, expr.span)
    if isinstance(expr, Binary) and expr.op in ("add", "sub", "mul", "div"):
        return _read_arithmetic(context, expr, trail)
    if isinstance(expr, Call) and isinstance(expr.function, Ref) and expr.function.name == "env":
        return _read_env(context, expr)
    if isinstance(expr, Ref | Attribute):
        return _read_const(context, expr, trail)
    from exgrpo_compiler.check.misspelt import report_misspelt  # here: most names are right

    if report_misspelt(context.problems, expr, ("env",)):
        return None
    context.problems.error("type-mismatch", expr.span, _CONSTANT_DUE, hint=_CONSTANT_HINT)
    return None


def _read_const(context: Context, expr: Ref | Attribute, trail: tuple[Key, ...]) -> Constant | None:
    base = expr.value if isinstance(expr, Attribute) else None
    is_module = isinstance(base, Ref) and isinstance(
        context.program.find(context.module, base.name), ModuleAlias
    )
    if base is not None and not is_module:
        lost = isinstance(base, Ref) and context.is_lost(base.name)
        if not lost:
            context.problems.error("type-mismatch", expr.span, _CONSTANT_DUE, hint=_CONSTANT_HINT)
        return None
    key = find_declaration(context, expr, ("const",), "a constant value")
    if key is None:
        return None
    if key in context.consts:
        known = context.consts[key]
        return known._replace(span=expr.span) if known is not None else None
    if key in trail:
        circle = trail[trail.index(key) :]
        context.circles.update(circle)
        if key != min(circle):
            return None  # reported where the circle is entered at its first const
        names = " -> ".join(item.name for item in (*circle, key))
        context.problems.error("const-cycle", expr.span, f"Consts go round in a circle: {names}.")
        return None
    if len(trail) >= MAX_CHAIN:
        context.problems.error(
            "too-deep",
            expr.span,
            f"This is the end of a chain of more than {MAX_CHAIN} consts that each need the next.",
            hint="write the value of one of them out",
        )
        return None
    decl = context.get_decl(key)
    if decl.value is None:
        return None
    value = read_constant(context.in_module(key.module), decl.value, (*trail, key))
    if (
        key not in context.circles
    ):  # a circle is reported where it is entered at its first const, and not at each
        context.consts[key] = value
    return value._replace(span=expr.span) if value is not None else None


def _read_arithmetic(context: Context, expr: Binary, trail: tuple[Key, ...]) -> Constant | None:
    left, right = read_constant(context, expr.left, trail), read_constant(context, expr.right, trail)
    if left is None or right is None:
        return None
    a, b = left.value, right.value
    if not _is_number(a) or not _is_number(b):
        context.problems.error(
            "type-mismatch",
            expr.span,
            "Arithmetic needs numbers on both sides.",
            hint="texts are joined in templates: {{ a }}{{ b }}",
        )
        return None
    assert isinstance(a, int | float)
    assert isinstance(b, int | float)
    if expr.op in ("add", "sub") and left.unit != right.unit:
        context.problems.error(
            "unit-mismatch",
            expr.span,
            f"One side is {describe_unit(left.unit)}, the other {describe_unit(right.unit)}.",
        )
        return None
    unit = left.unit or right.unit
    if expr.op == "div":
        if b == 0:
            context.problems.error(
                "invalid-value", expr.span, "This divides by zero.", hint="divide by another number"
            )
            return None
        return Constant(a / b, None if left.unit == right.unit else left.unit, expr.span)
    value = a + b if expr.op == "add" else a - b if expr.op == "sub" else a * b
    return Constant(value, unit, expr.span)


def _read_env(context: Context, expr: Call) -> Constant | None:
    if len(expr.arguments) == 1 and expr.arguments[0].name is None:
        argument = expr.arguments[0].value
        if isinstance(argument, Text) and argument.value and "=" not in argument.value:
            return Constant(Env(argument.value), None, expr.span)
    context.problems.error(
        "type-mismatch",
        expr.span,
        '`env` takes the name of one environment variable: env("NAME").',
        hint='as env("API_KEY")',
    )
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# --- settings -----------------------------------------------------------------------------------------------


def read_setting(context: Context, expr: Expr, setting: Setting) -> object:
    """The value of a setting in the form the artifact has, or None with a diagnostic.

    `ref` settings are read by those who know what they refer to.
    """
    what = f"`{setting.name}`"
    if setting.due == "choice":
        return _read_choice(context, expr, setting)
    if setting.due == "names":
        return read_names(context, expr, what)
    if setting.due in ("counts", "shares"):
        return _read_entries(context, expr, setting)
    value = read_constant(context, expr)
    if value is None:
        return None
    if setting.due in ("int", "number"):
        return read_number(context, expr, setting, value)
    if setting.due == "texts":
        if isinstance(value.value, list) and all(isinstance(item, str) for item in value.value):
            return tuple(value.value)
        _report_due(context, expr, what, "a list of texts", 'as ["q_proj", "v_proj"]')
        return None
    if setting.due == "text":
        if isinstance(value.value, str):
            return value.value
        _report_due(context, expr, what, "a text", 'write "…"')
        return None
    if setting.due == "env":
        if isinstance(value.value, Env):
            return value.value
        context.problems.error(
            "secret-in-spec",
            expr.span,
            f"{what} must not stand in a spec.",
            hint='name the environment variable that holds it: env("API_KEY")',
        )
        return None
    return _read_urls(context, expr, what, value)


def _read_urls(context: Context, expr: Expr, what: str, value: Constant) -> tuple[object, ...] | None:
    urls = value.value if isinstance(value.value, list) else [value.value]
    if not urls or not all(isinstance(item, str | Env) for item in urls):
        _report_due(
            context, expr, what, 'a text or env("NAME"), or a list of these', 'write "…", or env("NAME")'
        )
        return None
    for url in urls:
        # What has the form of a URL is looked at wherever it stands in a spec; here is what has not even that.
        if isinstance(url, str) and not url.lower().startswith(("http://", "https://")):
            _report_no_url(context, expr, what, url)
            return None
    return tuple(urls)


def _report_no_url(context: Context, expr: Expr, what: str, url: str) -> None:
    if "@" in url:
        context.problems.error(
            "secret-in-spec",
            expr.span,
            f"{what} holds a credential, which must not stand in a spec.",
            hint='name an environment variable: base_url: env("TEACHER_BASE_URL")',
        )
        return
    is_host = bool(url) and "://" not in url and not url.startswith("/")
    context.problems.error(
        "invalid-value",
        expr.span,
        f"{what} is an address that begins with http:// or https://; this is `{url}`.",
        hint=f'write "http://{url}"' if is_host else 'as "http://localhost:8000/v1", or env("NAME")',
    )


def read_number(context: Context, expr: Expr, setting: Setting, value: Constant) -> int | float | None:
    """A number with the unit and within the bounds of `setting`, or None with a diagnostic."""
    what = f"`{setting.name}`"
    number = value.value
    if not isinstance(number, int | float) or isinstance(number, bool):
        due, meant = "a whole number" if setting.due == "int" else "a number", str(number).strip()
        is_quoted = isinstance(number, str) and meant.replace(".", "", 1).isdigit()
        hint = f"write {meant}{setting.unit or ''}" if is_quoted else _suggest_number(setting)
        _report_due(context, expr, what, due, hint)
        return None
    literal = expr if isinstance(expr, Number) else None
    if literal is None:
        text = f"{number:g}{value.unit or ''}"
        literal = Number(number, isinstance(number, int), value.unit, text, expr.span)
    if not verify_unit(literal, value.unit, setting.unit, context.problems, what):
        return None
    if setting.due == "int" and (math.isinf(number) or number != int(number)):
        below = math.floor(number)
        context.problems.error(
            "type-mismatch",
            expr.span,
            f"{what} is a whole number; this is {number:g}.",
            hint=f"write {below} or {below + 1}",
        )
        return None
    bounds = _describe_bounds(setting)
    low_ok = setting.low is None or number >= setting.low
    above_ok = setting.above is None or number > setting.above
    if not (low_ok and above_ok and (setting.high is None or number <= setting.high)):
        context.problems.error(
            "invalid-value",
            expr.span,
            f"{what} must be {bounds}; this is {number:g}.",
            hint=_suggest_number(setting, number),
        )
        return None
    return int(number) if setting.due == "int" else float(number)


_EXAMPLES = {
    "lr": "2e-4 in sft, 1e-5 in grpo",
    "steps": "500",
    "temperature": "0.7",
    "top_p": "0.95",
    "max_tokens": "800tok",
    "layers": "2",
    "width": "64",
    "heads": "4",
    "vocab": "512",
}
"""Settings that have no default -> what is usual."""


def _suggest_number(setting: Setting, number: float = 1) -> str:
    """What may stand there: the default, a usual value, or the bound that is nearest to `number`."""
    unit = setting.unit or ""
    if not setting.is_required and setting.default is not None:
        return f"the default is {setting.default:g}{unit}"
    if setting.name in _EXAMPLES:
        return f"as {_EXAMPLES[setting.name]}"
    low, high = setting.low, setting.high
    nearest = low if low is not None and number < low else high if high is not None and number > high else 1
    return f"as {nearest:g}{unit}"


def _describe_bounds(setting: Setting) -> str:
    parts = []
    if setting.low is not None:
        parts.append(f"at least {setting.low:g}")
    if setting.above is not None:
        parts.append(f"more than {setting.above:g}")
    if setting.high is not None:
        parts.append(f"at most {_show_bound(setting.high)}")
    return " and ".join(parts)


def _show_bound(number: float) -> str:
    return f"{int(number):_}" if number >= 10_000 else f"{number:g}"


def _read_choice(context: Context, expr: Expr, setting: Setting) -> object:
    choices = setting.choices or {}
    word = expr.name if isinstance(expr, Ref) else expr.value if isinstance(expr, Text) else None
    if word is not None and word in choices:
        return choices[word]
    context.problems.error(
        "invalid-value",
        expr.span,
        f"`{setting.name}` has no value `{word}`." if word else f"`{setting.name}` is one of a few words.",
        hint=(suggest_name(word, choices) if word else None) or list_names(choices, "one of"),
        fix=suggest_fix(expr.span, word, choices) if word else None,
    )
    return None


def read_names(context: Context, expr: Expr, what: str) -> tuple[Ref, ...] | None:
    """Bare names: one, or a list of them."""
    items = expr.items if isinstance(expr, ListExpr) else (expr,)
    names = [item for item in items if isinstance(item, Ref)]
    if len(names) < len(items):
        bad = next(item for item in items if not isinstance(item, Ref))
        _report_due(context, bad, what, "a list of names", "as [final, explain], without quotes")
        return None
    return tuple(names)


def _read_entries(context: Context, expr: Expr, setting: Setting) -> tuple[tuple[Entry, float], ...] | None:
    what = f"`{setting.name}`"
    example = "{ full: 4, partial: 4 }" if setting.due == "counts" else "{ lesson: 60%, drills: 40% }"
    if not isinstance(expr, Record) or expr.tag is not None:
        _report_due(context, expr, what, "a record", f"write {setting.name}: {example}")
        return None
    is_counts = setting.due == "counts"
    result: list[tuple[Entry, float]] = []
    seen: dict[str, Entry] = {}
    for entry in expr.entries:
        if entry.key.text in seen:
            context.problems.error("duplicate-key", entry.key.span, f"`{entry.key.text}` stands here twice.")
            continue
        seen[entry.key.text] = entry
        element = Setting(
            entry.key.text,
            "int" if is_counts else "number",
            unit=None if is_counts else "%",
            low=0 if is_counts else None,
            above=None if is_counts else 0,
            high=_MAX_ROLLOUTS if is_counts else 100,
        )
        value = read_constant(context, entry.value)
        number = read_number(context, entry.value, element, value) if value is not None else None
        if number is None:
            return None
        result.append((entry, number))
    return tuple(result)


def read_range(context: Context, expr: Expr, what: str) -> tuple[float, float] | None:
    """Both ends of `a..b`, with a < b."""
    if not isinstance(expr, Range):
        meant = _find_ends(expr)
        hint = (
            f"write {meant[0].text}..{meant[1].text}" if meant else "as 0..1, its lower end and its upper end"
        )
        _report_due(context, expr, what, "a range", hint)
        return None
    ends = [read_constant(context, end) for end in (expr.low, expr.high)]
    if any(end is None for end in ends):
        return None
    bound = Setting(what.strip("`"), "number")
    low, high = (
        read_number(context, side, bound, end)
        for side, end in zip((expr.low, expr.high), ends, strict=True)
        if end
    )
    if low is None or high is None:
        return None
    if low >= high:
        context.problems.error(
            "invalid-value",
            expr.span,
            f"A range goes upwards; {low:g}..{high:g} does not.",
            hint=f"write `{high:g}..{low:g}`" if high < low else "its second end is the larger one, as 0..1",
        )
        return None
    return float(low), float(high)


def _find_ends(expr: Expr) -> tuple[Number, Number] | None:
    """Both ends of a range that was written in another way: `0-4`, `[0, 4]`."""
    parts: tuple[Expr, ...] = ()
    if isinstance(expr, Binary) and expr.op == "sub":
        parts = (expr.left, expr.right)
    elif isinstance(expr, ListExpr):
        parts = expr.items
    numbers = tuple(part for part in parts if isinstance(part, Number))
    return (numbers[0], numbers[1]) if len(numbers) == len(parts) == 2 else None


def _report_due(context: Context, expr: Expr, what: str, due: str, hint: str) -> None:
    context.problems.error("type-mismatch", expr.span, f"{what} is {due}.", hint=hint)
