"""`study` declarations: names and paths only. A variant's values are checked when it is compiled as a set of overrides."""

from __future__ import annotations

from exgrpo_compiler.ast import Decl, DropStmt, GroupBlock, ListExpr, Name, Number
from exgrpo_compiler.check.constants import read_constant
from exgrpo_compiler.check.context import Context, find_name
from exgrpo_compiler.check.forms import report_double, sort_statements
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.problems import list_names, suggest_fix
from exgrpo_compiler.program import Key
from exgrpo_compiler.targets import find_targets, list_paths, list_stages, may_be_lost


def check_study(context: Context, decl: Decl) -> None:
    """Reports names and paths in a study that lead nowhere."""
    assert decl.block is not None
    assert decl.base is not None
    title = f"study `{decl.name.text}`"
    block = sort_statements(
        decl.block, "study", title, decl.name.span, context.problems, is_damaged=decl.is_damaged
    )
    base = find_name(context, decl.base.text, decl.base.span, ("task",), "a study")
    seeds = block.get("seeds")
    if seeds:
        constant = read_constant(context, seeds.value)
        is_seeds = (
            isinstance(seeds.value, ListExpr) and constant is not None and isinstance(constant.value, list)
        )
        given = constant.value if constant is not None and isinstance(constant.value, list) else []
        text = seeds.value.span.source.text[seeds.value.span.start : seeds.value.span.end]
        if constant is not None and not (
            is_seeds
            and isinstance(constant.value, list)
            and all(isinstance(item, int) and not isinstance(item, bool) for item in constant.value)
        ):
            context.problems.error(
                "type-mismatch",
                seeds.value.span,
                "`seeds` is a list of whole numbers: [1, 2, 3].",
                hint=f"write [{text}]" if isinstance(seeds.value, Number) else "as [1, 2, 3]",
            )
        elif constant is not None and (not given or len(set(given)) < len(given)):
            context.problems.error(
                "invalid-value",
                seeds.value.span,
                "`seeds` holds at least one number, and each once.",
                hint="as [1, 2, 3]",
            )
    first: dict[str, Name] = {}
    for statement in block.others:
        if not isinstance(statement, GroupBlock):
            continue
        if statement.label is None:
            context.problems.error(
                "missing-key", statement.keyword.span, "A variant has a name: variant NAME { … }."
            )
        elif statement.label.text in first:
            report_double(
                context.problems,
                "duplicate-name",
                statement.label,
                first[statement.label.text].span,
                f"There are two variants `{statement.label.text}`.",
            )
        else:
            first[statement.label.text] = statement.label
        if base is not None:
            _check_variant(context, base, statement)


def _check_variant(context: Context, base: Key, variant: GroupBlock) -> None:
    name = variant.label.text if variant.label else ""
    block = sort_statements(
        variant.block, "variant", f"variant `{name}`", variant.keyword.span, context.problems
    )
    for assign in block.assigns.values():
        path = tuple(part.text for part in assign.path)
        if find_targets(context.written, base.module, path, base):
            continue
        if not may_be_lost(context.written, base.module, path, base):
            _report_unknown_path(context, base, assign.path)
    for statement in block.others:
        if isinstance(statement, DropStmt):
            _check_drop(context, base, statement)


def _report_unknown_path(context: Context, base: Key, path: tuple[Name, ...]) -> None:
    whole = ".".join(part.text for part in path)
    known = list_paths(context.written, base.module, base)
    span = path[0].span.to(path[-1].span)
    fix = suggest_fix(span, whole, known)
    closest = fix.edits[0].text if fix is not None else None
    context.problems.add(
        Diagnostic(
            "unknown-path",
            "error",
            f"`{whole}` names nothing that a variant of `{base.name}` could change.",
            span,
            hint=f"did you mean `{closest}`?" if closest is not None else list_names(known, "there is"),
            fix=fix,
            missed=_find_missed(whole, closest),
        )
    )


def _find_missed(whole: str, closest: str | None) -> tuple[str, str | None]:
    """The one part of a path that is another but for a slip; the path where it is not one part."""
    pairs = list(zip(whole.split("."), (closest or "").split("."), strict=False))
    different = [pair for pair in pairs if pair[0] != pair[1]]
    return different[0] if closest is not None and len(different) == 1 else (whole, closest)


def _check_drop(context: Context, base: Key, statement: DropStmt) -> None:
    if statement.kind.text != "stage":
        context.problems.error(
            "unknown-key", statement.kind.span, f"A variant drops a `stage`, not a `{statement.kind.text}`."
        )
        return
    stages = list_stages(context.written, base)
    if statement.name.text not in stages and not context.get_decl(base).is_damaged:
        context.problems.unknown(
            "unknown-name",
            statement.name.span,
            f"Task `{base.name}` has no stage `{statement.name.text}`.",
            statement.name.text,
            stages,
            "its stages are",
        )
