"""Binding written arguments to parameters: positional ones first, then by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exgrpo_compiler.ast import Argument, Expr
from exgrpo_compiler.diagnostics import Edit, Fix, suggest_name
from exgrpo_compiler.problems import Problems, list_names, suggest_fix
from exgrpo_compiler.source import Span

_ELSEWHERE = {
    "learning_rate": "lr",
    "batch_size": "batch",
    "num_epochs": "epochs",
    "num_train_epochs": "epochs",
    "max_steps": "steps",
    "max_new_tokens": "max_new",
    "max_tokens": "max_new",
    "beta": "kl",
    "dataset": "on",
}
"""What other tools call an argument -> its name here."""


def bind_arguments(
    arguments: Sequence[Argument],
    names: Sequence[str],
    required: Sequence[str],
    what: str,
    span: Span,
    problems: Problems,
    *,
    num_positional: int | None = None,
    takes_any_name: bool = False,
) -> Mapping[str, Argument] | None:
    """Parameter name -> argument, or None with diagnostics.

    `what` is how messages call the function: "`clip`"; `num_positional` limits how many may stand without a name.
    """
    bound: dict[str, Argument] = {}
    positional = list(names if num_positional is None else names[:num_positional])
    is_ok = True
    for argument in arguments:
        if argument.name is None:
            if not positional:
                problems.error(
                    "unknown-argument",
                    argument.span,
                    f"{what} takes no further argument without a name.",
                    hint=list_names([name for name in names if name not in bound], "name it:"),
                )
                is_ok = False
                continue
            bound[positional.pop(0)] = argument
            continue
        name = argument.name.text
        if name not in names and not takes_any_name:
            problems.error(
                "unknown-argument",
                argument.name.span,
                f"{what} has no argument `{name}`.",
                hint=_suggest_argument(name, names) or list_names(names, "it has"),
                fix=_build_fix(argument.name.span, name, names),
            )
            is_ok = False
        elif name in bound:
            problems.error("duplicate-key", argument.name.span, f"The argument `{name}` is given twice.")
            is_ok = False
        else:
            bound[name] = argument
            if name in positional:
                positional.remove(name)
    missing = [name for name in required if name not in bound]
    if missing and is_ok:
        listed = " and ".join(f"`{name}`" for name in missing)
        problems.error(
            "missing-argument", span, f"{what} needs {listed}.", hint=_show_signature(what, names, required)
        )
        is_ok = False
    return bound if is_ok else None


def swap_places(first: Expr, second: Expr) -> Fix:
    """Two arguments, each in the place of the other."""
    texts = [each.span.source.text[each.span.start : each.span.end] for each in (first, second)]
    return Fix("swap the two", (Edit(first.span, texts[1]), Edit(second.span, texts[0])))


def _suggest_argument(name: str, names: Sequence[str]) -> str | None:
    known = _ELSEWHERE.get(name)
    return f"it is called `{known}` here" if known in names else suggest_name(name, names)


def _build_fix(span: Span, name: str, names: Sequence[str]) -> Fix | None:
    known = _ELSEWHERE.get(name)
    return suggest_fix(span, known if known is not None and known in names else name, names)


def _show_signature(what: str, names: Sequence[str], required: Sequence[str]) -> str:
    shown = ", ".join(name if name in required else f"[{name}]" for name in names[:10])
    return f"its arguments are ({shown}{', …' if len(names) > 10 else ''})" + (
        f", of {what}" if not names else ""
    )
