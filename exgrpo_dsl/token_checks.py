"""What only a tokenizer can tell: whether dialogues fit the model's context, and whether its chat template keeps earlier turns.

`prompt-budget` renders the dialogues of every grpo, evaluate and sft stage on real rows and counts their tokens as a run does.
`template-drift` compares the tokens of a dialogue with those of the same dialogue one turn later. torch is not needed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exgrpo_artifact.errors import MissingDependencyError, ModelError
from exgrpo_artifact.manifest import Dialogue, EvaluateStage, FieldType, GrpoStage, Manifest, SftStage
from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.storage import MANIFEST
from exgrpo_artifact.validation import validate_json
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.ir import CheckedProgram, CheckedTask
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.silences import drop_silenced
from exgrpo_compiler.source import Span
from exgrpo_dsl.api import compile_file
from exgrpo_dsl.errors import UsageError
from exgrpo_dsl.preview.rows import read_raw_rows
from exgrpo_dsl.specs import load_spec
from exgrpo_runtime.chat import ChatFormat
from exgrpo_runtime.data.rows import convert_row
from exgrpo_runtime.plans import (
    Plan,
    cut_probes,
    draw_probes,
    encode_plan,
    encode_prompt,
    make_rng,
    plan_dialogue,
)
from exgrpo_runtime.records import Probe, Row
from exgrpo_runtime.templates import TemplateSet

_UNBOUNDED = 1 << 40
"""Tokenizers that know no limit say a number beyond this."""


class TokenReport(NamedTuple):
    """What was found with the tokenizer, and the figures that were measured."""

    diagnostics: tuple[Diagnostic, ...]
    notes: tuple[str, ...]


def check_tokens(
    path: Path,
    tokenizer_path: Path,
    rows_path: Path,
    *,
    probes_path: Path | None = None,
    overrides: Sequence[str] = (),
) -> TokenReport:
    """`prompt-budget` and `template-drift` for every task of a spec; nothing where the spec has errors.

    Args:
        path: of the spec.
        tokenizer_path: folder of the student's tokenizer, and of its config.json for the context length.
        rows_path: raw rows of the task's data, JSON Lines.
        probes_path: a run's probes.jsonl; without it the texts of probes are not counted.
        overrides: as given with `--set`.

    Raises:
        UsageError: a file is not there, or no row converts.
        DataError: the rows are damaged.
        ModelError: the folder holds no tokenizer with a chat template.
        MissingDependencyError: transformers is not installed.
    """
    loaded = load_spec(path, overrides=overrides)
    compiled = compile_file(path, overrides=overrides)
    if loaded.spec is None or compiled.artifacts is None:
        return TokenReport((), ())
    tokenizer = load_tokenizer(tokenizer_path)
    context = find_context(tokenizer_path, tokenizer)
    raw = read_raw_rows(rows_path)
    probes = _read_probes(probes_path)
    problems, notes = Problems(), []
    for name, files in compiled.artifacts.items():
        manifest = validate_json(Manifest, files[MANIFEST])
        spans = _find_stage_spans(loaded.spec.program, name)
        drift = find_drift(tokenizer)
        if drift is not None and _has_long_dialogue(manifest):
            _report_drift(problems, spans, manifest, drift)
            continue
        rows = _convert_rows(manifest, raw, rows_path)
        measure = _Measure(manifest, TemplateSet(files), ChatFormat(tokenizer), rows, probes)
        student = manifest.models[manifest.student]
        limit = student.scratch.context if student.scratch is not None else context
        notes += _check_budget(problems, spans, manifest, measure, limit)
    return TokenReport(_drop_silenced(problems.found), tuple(notes))


def _drop_silenced(found: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    sources = {each.span.source.name: each.span.source for each in found}
    parsed = (parse_spec(source).value for source in sources.values())
    return drop_silenced([spec for spec in parsed if spec is not None], found)


def load_tokenizer(path: Path) -> Any:
    """The tokenizer in a folder on this machine; nothing is downloaded.

    Raises:
        UsageError: there is no such folder.
        ModelError: it holds no tokenizer, or one without a chat template.
        MissingDependencyError: transformers is not installed.
    """
    if not path.is_dir():
        raise UsageError(
            f"{path} is no folder; --tokenizer names the folder of a downloaded model or tokenizer."
        )
    try:
        from exgrpo_runtime.quiet import silence_libraries

        silence_libraries()
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingDependencyError(
            "--tokenizer needs transformers. Install it with: pip install 'exgrpo[train]'"
        ) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), local_files_only=True)
    except Exception as error:  # the library raises whatever its readers raise
        raise ModelError(f"{path} holds no tokenizer that can be loaded: {error}") from error
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(f"The tokenizer in {path} has no chat template, so no dialogue can be counted.")
    return tokenizer


def find_context(path: Path, tokenizer: Any) -> int | None:
    """The longest dialogue that the model takes, by its config.json, else by its tokenizer; None where neither says."""
    config = path / "config.json"
    if config.is_file():
        found = json.loads(config.read_text("utf-8"))
        text = found.get("text_config", found)
        positions = text.get("max_position_embeddings") if isinstance(text, dict) else None
        if isinstance(positions, int):
            return positions
    limit = getattr(tokenizer, "model_max_length", None)
    return int(limit) if isinstance(limit, int | float) and 0 < limit < _UNBOUNDED else None


# --- drift --------------------------------------------------------------------------------------------------


class Drift(NamedTuple):
    """Where the tokens of a dialogue stop being those of the same dialogue a turn later."""

    place: int
    before: str
    """The token that the student saw or wrote."""
    after: str
    """The token that stands there afterwards; empty where the dialogue became shorter."""


def find_drift(tokenizer: Any) -> Drift | None:
    """The first token that a further turn changes, or None where all are kept."""
    # As in training: the prompt that was rendered and the answer that was sampled after it, against the next prompt. Some
    # templates treat the second answer unlike the first.
    texts = ["What is 2 + 3?", "It is 5.", "Why?", "Because it is.", "Since when?"]
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
    return _find_rewriting(tokenizer, messages[:3]) or _find_rewriting(tokenizer, messages)


def _find_rewriting(tokenizer: Any, messages: list[dict[str, str]]) -> Drift | None:
    """What the last user's turn changes of all that stood before it."""
    *earlier, answer, _ = messages
    before = _render(tokenizer, earlier) + answer["content"]
    after = _render(tokenizer, messages)
    if after.startswith(before):
        return None
    return _compare(
        tokenizer,
        tokenizer.encode(before, add_special_tokens=False),
        tokenizer.encode(after, add_special_tokens=False),
    )


def _render(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text


def _compare(tokenizer: Any, before: Sequence[int], after: Sequence[int]) -> Drift | None:
    for place, token in enumerate(before):
        other = after[place] if place < len(after) else None
        if token != other:
            shown = "" if other is None else tokenizer.convert_ids_to_tokens(other)
            return Drift(place, tokenizer.convert_ids_to_tokens(token), shown)
    return None


def _has_long_dialogue(manifest: Manifest) -> bool:
    """Whether any dialogue that is trained on has more than one turn."""
    trained = [
        manifest.dialogues[stage.dialogue] for stage in manifest.stages if isinstance(stage, GrpoStage)
    ]
    return any(one.loop is not None or len(one.closing) > 1 for one in trained)


def _report_drift(problems: Problems, spans: dict[str, Span], manifest: Manifest, drift: Drift) -> None:
    stage = next(stage for stage in manifest.stages if isinstance(stage, GrpoStage))
    became = f"{drift.after!r} a turn later" if drift.after else "gone a turn later"
    problems.error(
        "template-drift",
        spans[stage.name],
        f"The student's chat template does not keep earlier turns: token {drift.place} is {drift.before!r} and {became}.",
        hint="take a model whose template keeps earlier turns, or change the chat_template of its tokenizer",
    )


# --- budget -------------------------------------------------------------------------------------------------


class _Measure(NamedTuple):
    """What dialogues are measured with."""

    manifest: Manifest
    templates: TemplateSet
    chat: ChatFormat
    rows: list[Row]
    probes: dict[str, list[Probe]] | None

    def describe_gap(self) -> str:
        """What the counts leave out."""
        is_whole = self.probes is not None or not self.manifest.probes
        return "" if is_whole else "; the probes' own texts are not counted yet: give --probes FILE"

    def count_rollouts(self, dialogue: Dialogue, scenario: str, max_new: int) -> list[int]:
        """Positions of each row's dialogue if every turn used all of `max_new` and had to be closed."""
        counts = []
        for row in self.rows:
            plan = self._plan(dialogue, scenario, row)
            if plan is None:
                continue
            prompt = encode_prompt(plan, self.chat)
            asked = len(prompt.opening) + sum(len(followup) for followup in prompt.followups)
            counts.append(asked + (len(prompt.followups) + 1) * (max_new + 1))
        return counts

    def count_examples(self, dialogue: Dialogue) -> list[int]:
        """Tokens of each row's dialogue in the teacher's words."""
        if any(exchange.target is None for exchange in dialogue.closing):
            return []
        plans = [self._plan(dialogue, None, row) for row in self.rows]
        return [len(encode_plan(plan, self.chat)[0]) for plan in plans if plan is not None]

    def _plan(self, dialogue: Dialogue, scenario: str | None, row: Row) -> Plan | None:
        probes = self._make_probes(dialogue, row)
        rng = make_rng(self.manifest.seed, row.uid)
        drawn = draw_probes(dialogue.loop, probes, for_rollout=scenario is not None, rng=rng)
        cut = dialogue.scenarios.get(scenario) if scenario is not None else None
        kept = cut_probes(cut, len(drawn), rng) if cut is not None else len(drawn)
        if kept is None:
            return None
        return plan_dialogue(dialogue, row, drawn[:kept], self.templates, scenario or "")

    def _make_probes(self, dialogue: Dialogue, row: Row) -> list[Probe]:
        if dialogue.probes is None:
            return []
        if self.probes is not None:
            return self.probes.get(row.uid, [])
        declared = self.manifest.probes[dialogue.probes]
        # Nobody knows yet how long they will be: as empty texts they make the count a lower bound.
        fields: dict[str, Any] = {field.name: _make_empty(field.type) for field in declared.yields}
        return [Probe(row.uid, rule, fields, False) for rule in declared.rules]


def _make_empty(kind: FieldType) -> Any:
    if kind.kind == "record":
        return {field.name: _make_empty(field.type) for field in kind.fields}
    return 0 if kind.kind in ("number", "int") else [] if kind.kind == "list" else ""


def _check_budget(
    problems: Problems, spans: dict[str, Span], manifest: Manifest, measure: _Measure, limit: int | None
) -> list[str]:
    notes: list[str] = []
    for stage in manifest.stages:
        for what, counts in _measure_stage(stage, measure).items():
            if not counts:
                continue
            told = f"stage `{stage.name}`, {what}: {_describe(counts)}"
            if limit is None:
                notes.append(f"{told}; neither config.json nor the tokenizer says how many the model takes")
                continue
            notes.append(f"{told} of {limit} tokens")
            over = sum(count > limit for count in counts)
            if over:
                report = problems.error if over == len(counts) else problems.warning
                report(
                    "prompt-budget",
                    spans[stage.name],
                    f"{over} of {len(counts)} rows do not fit the model's context of {limit} tokens in {what}: {_describe(counts)}.",
                    hint=f"{_HINT}{measure.describe_gap()}",
                )
    return notes


_HINT = "lower `max_new`, sample fewer probes, shorten the prompts, or take a model with a longer context"


def _measure_stage(stage: Any, measure: _Measure) -> dict[str, list[int]]:
    dialogues = measure.manifest.dialogues
    if isinstance(stage, GrpoStage):
        dialogue = dialogues[stage.dialogue]
        names = dict.fromkeys([*stage.group, *stage.compare])
        return {
            f"`{dialogue.name}.{name}`": measure.count_rollouts(dialogue, name, stage.max_new)
            for name in names
        }
    if isinstance(stage, EvaluateStage):
        dialogue = dialogues[stage.dialogue]
        counts = measure.count_rollouts(dialogue, stage.scenario, stage.max_new)
        return {f"`{dialogue.name}.{stage.scenario}`": counts}
    if isinstance(stage, SftStage):
        return {
            f"`{name}` in the teacher's words": measure.count_examples(dialogues[name]) for name in stage.mix
        }
    return {}


def _describe(counts: Sequence[int]) -> str:
    ordered = sorted(counts)

    def at(share: float) -> int:
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]

    return f"p50 {at(0.5)}, p95 {at(0.95)}, longest {ordered[-1]}"


# --- inputs -------------------------------------------------------------------------------------------------


def _find_stage_spans(program: CheckedProgram, task: str) -> dict[str, Span]:
    checked: CheckedTask = program.known[program.tasks[task]]
    return {stage.name: stage.span for stage in checked.stages}


def _convert_rows(manifest: Manifest, raw: Sequence[dict[str, Any]], path: Path) -> list[Row]:
    dataset = manifest.datasets[manifest.data]
    split = next(iter(dataset.splits))
    found = [convert_row(dataset, split, index, one) for index, one in enumerate(raw)]
    rows = [one for one in found if isinstance(one, Row)]
    if not rows:
        first = next((one for one in found if not isinstance(one, Row)), None)
        reason = f": the first was rejected, {first.detail}" if first is not None else ", it is empty"
        raise UsageError(f"{path} holds no row of dataset `{dataset.name}`{reason}.")
    return rows


def _read_probes(path: Path | None) -> dict[str, list[Probe]] | None:
    if path is None:
        return None
    by_row: dict[str, list[Probe]] = {}
    for value in read_raw_rows(path):
        probe = Probe.from_json(value)
        by_row.setdefault(probe.row, []).append(probe)
    return by_row
