"""Pictures of a spec: which diagrams were asked for, and in which form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from exgrpo_compiler.draw.as_json import build_diagram, build_reward
from exgrpo_compiler.draw.diagram import Diagram
from exgrpo_compiler.draw.mermaid import render_mermaid
from exgrpo_compiler.draw.pipeline import draw_pipeline
from exgrpo_compiler.draw.reward import draw_reward, infer_reward
from exgrpo_compiler.draw.svg import render_svg
from exgrpo_compiler.ir import CheckedProgram, CheckedReward
from exgrpo_compiler.lower.task import lower_task
from exgrpo_compiler.program import Key
from exgrpo_dsl.errors import UsageError


def draw_spec(
    program: CheckedProgram, module: str, format_: str, *, task: str | None, reward: str | None
) -> str:
    """The pipeline of a task and the rewards it uses; of a file without a task, its rewards; with `reward`, that one alone.

    Args:
        program: a spec without errors.
        module: name of its file.
        format_: mermaid, svg, json.
        task: where the file declares several.
        reward: name of a reward, as the file knows it.

    Raises:
        UsageError: there is no such task or reward, or nothing to draw.
    """
    name = None if reward is not None else _choose_task(program, task)
    keys = _choose_rewards(program, module, name, reward)
    if name is None and not keys:
        raise UsageError(f"{module} declares neither a task nor a reward: there is nothing to draw.")
    pipeline = [draw_pipeline(lower_task(program, name))] if name is not None else []
    if format_ == "json":
        return json.dumps(_build_json(program, pipeline, keys), ensure_ascii=False, indent=2) + "\n"
    diagrams = [*pipeline, *(draw_reward(program, key) for key in keys)]
    return render_svg(diagrams) if format_ == "svg" else render_mermaid(diagrams)


def _choose_task(program: CheckedProgram, task: str | None) -> str | None:
    if task is not None and task not in program.tasks:
        raise UsageError(f"There is no task `{task}`; the tasks are {', '.join(program.tasks) or 'none'}.")
    if task is None and len(program.tasks) > 1:
        raise UsageError(f"There are several tasks: {', '.join(program.tasks)}. Name one with --task.")
    return task or next(iter(program.tasks), None)


def _choose_rewards(program: CheckedProgram, module: str, task: str | None, reward: str | None) -> list[Key]:
    declared = {key: checked for key, checked in program.known.items() if isinstance(checked, CheckedReward)}
    if reward is not None:
        named = [key for key in declared if program.scope_names.get(key, key.name) == reward]
        if not named:
            known = ", ".join(program.scope_names.get(key, key.name) for key in declared) or "none"
            raise UsageError(f"There is no reward `{reward}`; the rewards are {known}.")
        return named[:1]
    if task is None:
        return [key for key in declared if key.module == module]
    stages = program.known[program.tasks[task]].stages
    used = [stage.settings["reward"] for stage in stages if "reward" in stage.settings]
    return list(dict.fromkeys(key for key in used if key in declared))


def _build_json(program: CheckedProgram, pipeline: Sequence[Diagram], keys: Sequence[Key]) -> dict[str, Any]:
    return {
        "pipeline": build_diagram(pipeline[0]) if pipeline else None,
        "rewards": [
            {**build_reward(infer_reward(program, key)), "diagram": build_diagram(draw_reward(program, key))}
            for key in keys
        ],
    }
