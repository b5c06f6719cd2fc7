"""Stages of a task: `name(split: …)` of a probes block, `sft`, `grpo`, `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exgrpo_compiler.ast import Call, NamedStmt, Ref
from exgrpo_compiler.builtins import DEFAULT_LR, STAGES, Setting
from exgrpo_compiler.check.arguments import bind_arguments
from exgrpo_compiler.check.constants import read_setting
from exgrpo_compiler.check.context import Context, find_declaration
from exgrpo_compiler.check.stage_evaluate import read_evaluate
from exgrpo_compiler.check.stage_grpo import read_grpo
from exgrpo_compiler.check.stage_parts import Bound, Setup, StageKind, read_split, report_other_data
from exgrpo_compiler.check.stage_sft import read_sft
from exgrpo_compiler.ir import CheckedProbes, CheckedStage
from exgrpo_compiler.program import Key


def check_stage(context: Context, setup: Setup, statement: NamedStmt) -> CheckedStage | None:
    """A checked stage, or None with diagnostics."""
    value = statement.value
    if not isinstance(value, Call):
        context.problems.error(
            "type-mismatch",
            value.span,
            "A stage is NAME_OF_A_PROBES_BLOCK(…), sft(…), grpo(…) or evaluate(…).",
            hint=f"`stage {statement.name.text} = …` runs one step of the task",
        )
        return None
    before = len(context.problems)
    kind, probes = _get_kind(context, value)
    if kind is None:
        return None
    table = STAGES[kind]
    required = [name for name, setting in table.items() if setting.is_required]
    positional = 0 if kind == "probe" else 1
    called = value.function.name if isinstance(value.function, Ref) else kind
    bound = bind_arguments(
        value.arguments,
        list(table),
        required,
        f"`{called}`",
        value.span,
        context.problems,
        num_positional=positional,
    )
    if bound is None:
        return None
    settings = _read_plain(context, table, bound)
    match kind:
        case "probe":
            assert probes is not None
            settings["probes"] = probes
            checked = context.known.get(probes)
            if isinstance(checked, CheckedProbes) and checked.dataset != setup.data:
                report_other_data(
                    context,
                    value.function.span,
                    f"The probes block `{probes.name}`",
                    checked.dataset,
                    setup.data,
                )
            settings["split"] = read_split(context, setup, bound)
        case "sft":
            settings |= read_sft(context, setup, bound, value.span)
        case "grpo":
            settings |= read_grpo(context, setup, bound)
        case "evaluate":
            settings |= read_evaluate(context, bound)
    if len(context.problems) > before:
        return None
    if "optimizer" in settings and settings["lr"] is None:
        settings["lr"] = DEFAULT_LR[kind, settings["optimizer"]]
    return CheckedStage(statement.name.text, kind, settings, statement.span)


def _get_kind(context: Context, call: Call) -> tuple[StageKind | None, Key | None]:
    function = call.function
    if isinstance(function, Ref) and context.program.find(context.module, function.name) is None:
        if function.name == "sft" or function.name == "grpo" or function.name == "evaluate":
            kinds: dict[str, StageKind] = {"sft": "sft", "grpo": "grpo", "evaluate": "evaluate"}
            return kinds[function.name], None
        if context.is_lost(function.name):
            return None, None
        known = ["sft", "grpo", "evaluate", *context.program.names_of(context.module, "probes")]
        context.problems.unknown(
            "unknown-stage",
            function.span,
            f"There is no stage `{function.name}`.",
            function.name,
            known,
            "stages are",
        )
        return None, None
    key = find_declaration(context, function, ("probes",), "a stage")
    return ("probe", key) if key is not None else (None, None)


def _read_plain(context: Context, table: Mapping[str, Setting], bound: Bound) -> dict[str, Any]:
    """Settings that name nothing; defaults filled in."""
    settings: dict[str, Any] = {}
    for name, setting in table.items():
        if setting.due in ("ref", "counts", "shares", "names"):
            continue
        if name in bound:
            settings[name] = read_setting(context, bound[name].value, setting)
        else:
            settings[name] = setting.default
    return settings
