"""Parameters of `probes`, `dialogue` and `reward`: a name and the declaration that says what it stands for."""

from __future__ import annotations

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.ast import Decl, Param
from exgrpo_compiler.check.context import KIND_TITLES, Context, find_type_name
from exgrpo_compiler.check.forms import report_double
from exgrpo_compiler.program import Key


class BoundParam(NamedTuple):
    """A parameter with its declaration."""

    param: Param
    key: Key

    @property
    def name(self) -> str:
        """As written."""
        return self.param.name.text


def bind_params(context: Context, decl: Decl, kinds: tuple[str, ...]) -> dict[str, BoundParam] | None:
    """Kind -> parameter, at most one for each of `kinds`, or None with diagnostics."""
    bound: dict[str, BoundParam] = {}
    names: dict[str, Param] = {}
    is_ok = True
    for param in decl.params:
        if param.name.text in names:
            report_double(
                context.problems,
                "duplicate-name",
                param.name,
                names[param.name.text].name.span,
                f"There are two parameters `{param.name.text}`.",
            )
            is_ok = False
            continue
        names[param.name.text] = param
        key = find_type_name(context, param.type, kinds, f"the parameter `{param.name.text}`")
        if key is None:
            is_ok = False
            continue
        kind = context.get_decl(key).kind
        if kind in bound:
            context.problems.error(
                "duplicate-key",
                param.span,
                f"There is one parameter for {KIND_TITLES[kind]}; this is the second.",
            )
            is_ok = False
            continue
        bound[kind] = BoundParam(param, key)
    return bound if is_ok else None


def require_param(
    context: Context, decl: Decl, bound: dict[str, BoundParam], kind: str, example: str
) -> BoundParam | None:
    """The parameter for `kind`, or None with a diagnostic."""
    if kind in bound:
        return bound[kind]
    if not decl.is_damaged:
        context.problems.error(
            "missing-argument",
            decl.name.span,
            f"{decl.kind.capitalize()} `{decl.name.text}` needs a parameter for {KIND_TITLES[kind]}.",
            hint=f"write {decl.kind} {decl.name.text}({example}) …",
        )
    return None
