"""Stages of a task: `name(split: …)` of a probes block, `sft`, `grpo`, `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from exgrpo_compiler.ast import Argument, Attribute, Call, Entry, Expr, NamedStmt, Record, Ref
from exgrpo_compiler.builtins import DEFAULT_LR, STAGES, Setting
from exgrpo_compiler.check.arguments import bind_arguments
from exgrpo_compiler.check.constants import read_setting
from exgrpo_compiler.check.context import Context, find_declaration, find_name
from exgrpo_compiler.diagnostics import Label
from exgrpo_compiler.ir import (
    CheckedDataset,
    CheckedDialogue,
    CheckedProbes,
    CheckedReward,
    CheckedStage,
)
from exgrpo_compiler.program import Key
from exgrpo_compiler.source import Span

StageKind = Literal["probe", "sft", "grpo", "evaluate"]
Bound = Mapping[str, Argument]


class Setup(NamedTuple):
    """What a stage stands in."""

    data: Key
    dataset: CheckedDataset
    earlier: tuple[CheckedStage, ...]


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
        value.arguments, list(table), required, f"`{called}`", value.span, context.problems, num_positional=positional
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
                _report_other_data(context, value.function.span, f"Probes `{probes.name}`", checked.dataset, setup.data)
            settings["split"] = _read_split(context, setup, bound)
        case "sft":
            settings |= _read_sft(context, setup, bound, value.span)
        case "grpo":
            settings |= _read_grpo(context, setup, bound)
        case "evaluate":
            settings |= _read_evaluate(context, setup, bound)
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
        known = ["sft", "grpo", "evaluate", *context.program.names_of(context.module, "probes")]
        context.problems.unknown(
            "unknown-stage", function.span, f"There is no stage `{function.name}`.", function.name, known, "stages are"
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


# --- what several stages share ------------------------------------------------------------------------------


def _read_split(context: Context, setup: Setup, bound: Bound) -> str:
    if "split" not in bound:
        default = str(STAGES["probe"]["split"].default)
        if default not in setup.dataset.splits:
            where = context.get_decl(setup.data).name.span
            context.problems.error(
                "unknown-split", where, f"A stage uses split `{default}`, which `{setup.data.name}` does not have."
            )
        return default
    return verify_split(context, bound["split"].value, setup.dataset, setup.data) or ""


def verify_split(context: Context, expr: Expr, dataset: CheckedDataset, key: Key) -> str | None:
    """The name of a split of the dataset, or None with a diagnostic."""
    if isinstance(expr, Ref) and expr.name in dataset.splits:
        return expr.name
    context.problems.unknown(
        "unknown-split",
        expr.span,
        f"Dataset `{key.name}` has no split `{expr.name}`." if isinstance(expr, Ref) else "The name of a split is due here.",
        expr.name if isinstance(expr, Ref) else "",
        dataset.splits,
        "its splits are",
    )
    return None


def _find_dialogue(context: Context, expr: Expr, setup: Setup, what: str) -> tuple[Key, CheckedDialogue] | None:
    key = find_declaration(context, expr, ("dialogue",), what)
    checked = context.known.get(key) if key is not None else None
    if key is None or not isinstance(checked, CheckedDialogue):
        return None
    if checked.dataset != setup.data:
        _report_other_data(context, expr.span, f"Dialogue `{key.name}`", checked.dataset, setup.data)
        return None
    return key, checked


def _report_other_data(context: Context, span: Span, what: str, actual: Key, due: Key) -> None:
    context.problems.error(
        "kind-mismatch", span, f"{what} is about dataset `{actual.name}`; the task's data is `{due.name}`."
    )


def _verify_targets(context: Context, span: Span, key: Key, dialogue: CheckedDialogue, turns: tuple[str, ...]) -> None:
    """Reports a dialogue that has nothing to learn from: a turn that carries the loss needs the teacher's words."""
    for exchange in dialogue.exchanges:
        if exchange.target is None and (not turns or exchange.name in turns):
            context.problems.error(
                "missing-target",
                span,
                f"Turn `{exchange.name}` of `{key.name}` has no text to learn from.",
                labels=(Label(context.get_decl(key).name.span, "the dialogue is here"),),
                hint='give it one: assistant NAME = "…"; or limit the loss: turns: [NAME]',
            )


# --- sft ----------------------------------------------------------------------------------------------------


def _read_sft(context: Context, setup: Setup, bound: Bound, span: Span) -> dict[str, Any]:
    if ("dialogue" in bound) == ("mix" in bound):
        context.problems.error(
            "missing-argument", span, "`sft` takes a dialogue or a mix of them.", hint="sft(lesson) or sft(mix: { lesson: 60%, drills: 40% })"
        )
        return {}
    dialogues: dict[Key, CheckedDialogue] = {}
    mix: dict[Key, float] = {}
    if "dialogue" in bound:
        found = _find_dialogue(context, bound["dialogue"].value, setup, "`sft`")
        if found is not None:
            dialogues[found[0]] = found[1]
            mix[found[0]] = 1.0
    else:
        mix, dialogues = _read_mix(context, setup, bound["mix"].value)
    turns = _read_turns(context, bound["turns"].value, dialogues) if "turns" in bound else None
    for key, dialogue in dialogues.items():
        _verify_targets(context, span, key, dialogue, turns or ())
    return {"mix": mix, "turns": turns, "split": _read_split(context, setup, bound)}


def _read_mix(
    context: Context, setup: Setup, expr: Expr
) -> tuple[dict[Key, float], dict[Key, CheckedDialogue]]:
    entries: Any = read_setting(context, expr, STAGES["sft"]["mix"])
    mix: dict[Key, float] = {}
    dialogues: dict[Key, CheckedDialogue] = {}
    for entry, share in entries or ():
        key = find_name(context, entry.key.text, entry.key.span, ("dialogue",), "`mix`")
        found = _find_dialogue(context, Ref(entry.key.text, entry.key.span), setup, "`mix`") if key else None
        if found is not None:
            mix[found[0]] = share / 100
            dialogues[found[0]] = found[1]
    if entries is not None and abs(sum(share for _, share in entries) - 100) > 1e-9:
        total = sum(share for _, share in entries)
        context.problems.error("invalid-value", expr.span, f"The shares of a mix add up to 100%; these to {total:g}%.")
    return mix, dialogues


def _read_turns(context: Context, expr: Expr, dialogues: Mapping[Key, CheckedDialogue]) -> tuple[str, ...]:
    names: Any = read_setting(context, expr, STAGES["sft"]["turns"])
    known = [exchange.name for dialogue in dialogues.values() for exchange in dialogue.exchanges]
    for name in names or ():
        if name.name not in known and dialogues:
            context.problems.unknown(
                "unknown-field", name.span, f"There is no turn `{name.name}`.", name.name, known, "the turns are"
            )
    return tuple(name.name for name in names or ())


# --- grpo ---------------------------------------------------------------------------------------------------


def _read_grpo(context: Context, setup: Setup, bound: Bound) -> dict[str, Any]:
    found = _find_dialogue(context, bound["dialogue"].value, setup, "`grpo`")
    split = _read_split(context, setup, bound)
    reward_expr = bound["reward"].value
    reward_key = find_declaration(context, reward_expr, ("reward",), "`reward`")
    if found is None:
        return {}
    key, dialogue = found
    reward = context.known.get(reward_key) if reward_key is not None else None
    if isinstance(reward, CheckedReward) and reward.dialogue != key:
        context.problems.error(
            "kind-mismatch",
            reward_expr.span,
            f"Reward `{reward_key.name if reward_key else ''}` scores rollouts of `{reward.dialogue.name}`; this stage samples `{key.name}`.",
        )
    group = _read_counts(context, bound["group"].value, "group", key, dialogue)
    compare = _read_counts(context, bound["compare"].value, "compare", key, dialogue) if "compare" in bound else {}
    _verify_group(context, bound, group, dialogue)
    for scenario in compare:
        if scenario in group:
            context.problems.error(
                "duplicate-key", bound["compare"].value.span, f"Scenario `{scenario}` is in `group` and in `compare`."
            )
    if isinstance(reward, CheckedReward):
        _verify_sampled(context, reward, {*group, *compare}, bound["group"].value.span)
    aux = bound["aux"].value if "aux" in bound else None
    if read_aux(context, aux) > 0:
        _verify_targets(context, (aux or bound["dialogue"].value).span, key, dialogue, ())
    return {"dialogue": key, "reward": reward_key, "group": group, "compare": compare, "split": split}


def read_aux(context: Context, expr: Expr | None) -> float:
    """Weight of the auxiliary loss, its default where none is written; 0 where it is wrong (and reported elsewhere)."""
    setting = STAGES["grpo"]["aux"]
    if expr is None:
        return float(setting.default)
    value = read_setting(context, expr, setting)
    return float(value) if isinstance(value, int | float) else 0.0


def _read_counts(context: Context, expr: Expr, name: str, key: Key, dialogue: CheckedDialogue) -> dict[str, int]:
    entries: Any = read_setting(context, expr, STAGES["grpo"][name])
    counts: dict[str, int] = {}
    for entry, count in entries or ():
        if _verify_scenario(context, entry, key, dialogue) and count > 0:
            counts[entry.key.text] = int(count)
    return counts


def _verify_scenario(context: Context, entry: Entry, key: Key, dialogue: CheckedDialogue) -> bool:
    name = entry.key.text
    if name in dialogue.scenarios:
        return True
    context.problems.unknown(
        "unknown-scenario",
        entry.key.span,
        f"Dialogue `{key.name}` has no scenario `{name}`.",
        name,
        dialogue.scenarios,
        "its scenarios are",
    )
    return False


def _verify_group(context: Context, bound: Bound, group: Mapping[str, int], dialogue: CheckedDialogue) -> None:
    expr = bound["group"].value
    if isinstance(expr, Record) and sum(group.values()) < 2 and all(entry.key.text in dialogue.scenarios for entry in expr.entries):
        context.problems.error(
            "invalid-value", expr.span, "A group needs at least two rollouts: advantages are differences inside it."
        )
    for scenario in group:
        cut = dialogue.scenarios[scenario]
        if cut.kind == "branch" and cut.of not in group:
            context.problems.error(
                "invalid-value",
                expr.span,
                f"Scenario `{scenario}` branches off rollouts of `{cut.of}`, and the group has none.",
                hint=f"add `{cut.of}` to the group",
            )


def _verify_sampled(context: Context, reward: CheckedReward, sampled: set[str], span: Span) -> None:
    for scenario, place in reward.scenarios.items():
        if scenario not in sampled:
            context.problems.error(
                "unsampled-scenario",
                span,
                f"The reward goes over rollouts of scenario `{scenario}`, and this stage samples none.",
                labels=(Label(place, "named here"),),
                hint=f"add `{scenario}` to `group` or `compare`",
            )


# --- evaluate -----------------------------------------------------------------------------------------------


def _read_evaluate(context: Context, setup: Setup, bound: Bound) -> dict[str, Any]:
    found = _read_scenario(context, bound["scenario"].value)
    on = _read_on(context, bound["on"].value)
    score = _read_score(context, bound["score"].value)
    if found is None or on is None or score is None:
        return {}
    key, dialogue, scenario = found
    reward_key, reward, term = score
    if reward.dialogue != key:
        context.problems.error(
            "kind-mismatch",
            bound["score"].value.span,
            f"Reward `{reward_key.name}` scores rollouts of `{reward.dialogue.name}`; this stage evaluates `{key.name}`.",
        )
    if reward.terms[term].level != "rollout":
        context.problems.error(
            "level-mismatch",
            bound["score"].value.span,
            f"`score` is one number for a rollout; `{term}` lives at level {reward.terms[term].level}.",
        )
    _verify_same_fields(context, bound["on"].value, on[0], dialogue.dataset)
    return {
        "dialogue": key,
        "scenario": scenario,
        "dataset": on[0],
        "split": on[1],
        "reward": reward_key,
        "term": term,
        "earlier": tuple(stage.name for stage in setup.earlier),
    }


def _read_scenario(context: Context, expr: Expr) -> tuple[Key, CheckedDialogue, str] | None:
    if not isinstance(expr, Attribute):
        context.problems.error("type-mismatch", expr.span, "`evaluate` takes a scenario of a dialogue: lesson.plain.")
        return None
    key = find_declaration(context, expr.value, ("dialogue",), "`evaluate`")
    dialogue = context.known.get(key) if key is not None else None
    if key is None or not isinstance(dialogue, CheckedDialogue):
        return None
    entry = Entry(expr.name, expr, expr.span)
    return (key, dialogue, expr.name.text) if _verify_scenario(context, entry, key, dialogue) else None


def _read_on(context: Context, expr: Expr) -> tuple[Key, str] | None:
    if not isinstance(expr, Attribute):
        context.problems.error("type-mismatch", expr.span, "`on` is a split of a dataset: rows.test.")
        return None
    key = find_declaration(context, expr.value, ("dataset",), "`on`")
    dataset = context.known.get(key) if key is not None else None
    if key is None or not isinstance(dataset, CheckedDataset):
        return None
    split = verify_split(context, Ref(expr.name.text, expr.name.span), dataset, key)
    return (key, split) if split else None


def _read_score(context: Context, expr: Expr) -> tuple[Key, CheckedReward, str] | None:
    term = "total"
    if isinstance(expr, Attribute) and context.program.find(context.module, _get_base(expr)) is not None:
        term, expr = expr.name.text, expr.value
    key = find_declaration(context, expr, ("reward",), "`score`")
    reward = context.known.get(key) if key is not None else None
    if key is None or not isinstance(reward, CheckedReward):
        return None
    if term not in reward.terms:
        context.problems.unknown(
            "unknown-term", expr.span, f"Reward `{key.name}` has no term `{term}`.", term, reward.terms, "its terms are"
        )
        return None
    return key, reward, term


def _get_base(expr: Attribute) -> str:
    return expr.value.name if isinstance(expr.value, Ref) else ""


def _verify_same_fields(context: Context, expr: Expr, on: Key, due: Key) -> None:
    """Reports evaluation on another dataset that lacks what the dialogue's rows have."""
    if on == due:
        return
    actual, wanted = context.known.get(on), context.known.get(due)
    if not isinstance(actual, CheckedDataset) or not isinstance(wanted, CheckedDataset):
        return
    for field in wanted.fields:
        other = actual.row_type.get_field(field.name)
        if other != field.type:
            context.problems.error(
                "kind-mismatch",
                expr.span,
                f"`{on.name}` has no field `{field.name}` like the one of `{due.name}`, which the dialogue is about.",
            )
            return
