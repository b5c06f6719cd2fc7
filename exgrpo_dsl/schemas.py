"""The registry of JSON Schemas (draft 2020-12): of the artifact's files, and of everything that exgrpo prints or writes for machines.

An object whose keys are all known takes no other key; where names of a spec are keys, their values are described.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from exgrpo_artifact.named import NamedTuple
from exgrpo_dsl.errors import UsageError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


class Entry(NamedTuple):
    """A schema and what it describes."""

    about: str
    build: Callable[[], Schema]


def describe_output(name: str) -> Schema:
    """The schema of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in SCHEMAS:
        raise UsageError(f"There is no schema `{name}`; there are {', '.join(SCHEMAS)}.")
    entry = SCHEMAS[name]
    return {"$schema": DIALECT, "title": f"exgrpo {name}", "description": entry.about, **entry.build()}


# --- parts --------------------------------------------------------------------------------------------------

_TEXT: Final[Schema] = {"type": "string"}
_INT: Final[Schema] = {"type": "integer"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_NUMBER: Final[Schema] = {"type": "number"}
_BOOL: Final[Schema] = {"type": "boolean"}
_MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
_MAYBE_NUMBER: Final[Schema] = {"type": ["number", "null"]}
_ANY: Final[Schema] = {}


def _object(properties: Mapping[str, Schema], *, is_open: bool = False) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": is_open,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _enum(*values: str) -> Schema:
    return {"enum": list(values)}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_POSITION = _object({"line": _COUNT, "character": _COUNT})
_RANGE = _object({"start": _POSITION, "end": _POSITION})
_EDIT = _object({"uri": _TEXT, "range": _RANGE, "newText": _TEXT})
_FIX = _object({"title": _TEXT, "isSafe": _BOOL, "edits": _list(_EDIT)})
_DIAGNOSTIC = _object(
    {
        "uri": _TEXT,
        "range": _RANGE,
        "severity": {"enum": [1, 2]},
        "code": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)+$"},
        "codeDescription": _object({"href": _TEXT}),
        "source": {"const": "exgrpo"},
        "message": _TEXT,
        "relatedInformation": _list(
            _object({"location": _object({"uri": _TEXT, "range": _RANGE}), "message": _TEXT})
        ),
        "data": _object({"hint": _MAYBE_TEXT, "fix": _maybe(_FIX)}),
    }
)


# --- the artifact -------------------------------------------------------------------------------------------


def _describe_record(cls: type) -> Schema:
    import warnings

    from exgrpo_artifact.validation import describe_schema

    with warnings.catch_warnings():
        # Defaults that are records have no JSON form; that a key may be absent is said all the same.
        warnings.simplefilter("ignore")
        return describe_schema(cls)


def _describe_manifest() -> Schema:
    from exgrpo_artifact.manifest import Manifest

    return _describe_record(Manifest)


def _describe_reward() -> Schema:
    from exgrpo_artifact.graph import RewardFile

    return _describe_record(RewardFile)


# --- commands -----------------------------------------------------------------------------------------------


def _describe_explain() -> Schema:
    sample = _object({"spec": _TEXT, "files": _map(_TEXT), "commands": _list(_TEXT)})
    return _object(
        {
            "id": _TEXT,
            "severity": _enum("error", "warning"),
            "summary": _TEXT,
            "what": _TEXT,
            "why": _TEXT,
            "example": sample,
            "fix": sample,
            "url": _TEXT,
        }
    )


def _describe_test() -> Schema:
    answer = _object({"turn": _TEXT, "text": _TEXT, "answer": _MAYBE_TEXT, "gold": _ANY})
    comparison = _object(
        {"op": _enum("eq", "ne", "lt", "le", "gt", "ge"), "left": _MAYBE_NUMBER, "right": _MAYBE_NUMBER}
    )
    failing = _object(
        {"rollout": _COUNT, "scenario": _TEXT, "comparisons": _list(comparison), "answers": _list(answer)}
    )
    expect = _object({"text": _TEXT, "range": _RANGE, "passed": _BOOL, "failing": _list(failing)})
    scores = _object({"terms": _map(_list(_MAYBE_NUMBER)), "dropped": _list(_MAYBE_TEXT)})
    test = _object(
        {"title": _TEXT, "range": _RANGE, "passed": _BOOL, "expects": _list(expect), "scores": _map(scores)}
    )
    mutant = _object(
        {
            "reward": _TEXT,
            "term": _TEXT,
            "range": _RANGE,
            "change": _TEXT,
            "fate": _enum("noticed", "missed", "same"),
            "noticedBy": _MAYBE_TEXT,
        }
    )
    mutation = _object(
        {
            "uri": _TEXT,
            "noticed": _COUNT,
            "missed": _COUNT,
            "same": _COUNT,
            "untested": _list(_TEXT),
            "mutants": _list(mutant),
        }
    )
    file = _object({"uri": _TEXT, "diagnostics": _list(_DIAGNOSTIC), "tests": _list(test)})
    schema = _object({"passed": _COUNT, "failed": _COUNT, "broken": _COUNT, "files": _list(file)})
    schema["properties"]["mutation"] = _list(mutation)
    return schema


def _describe_preview() -> Schema:
    parts = _list(_object({"text": _TEXT, "secret": _MAYBE_TEXT}))
    message = _object({"role": _enum("system", "user", "assistant"), "turn": _MAYBE_TEXT, "parts": parts})
    section = _object(
        {
            "kind": _enum("teacher", "dialogue", "evaluate", "judge"),
            "title": _TEXT,
            "notes": _list(_TEXT),
            "messages": _list(message),
        }
    )
    return _object({"task": _TEXT, "row": _TEXT, "fields": _map(parts), "sections": _list(section)})


def _describe_graph() -> Schema:
    box = _object({"id": _TEXT, "kind": _TEXT, "title": _TEXT, "lines": _list(_TEXT), "note": _TEXT})
    arrow = _object({"source": _TEXT, "target": _TEXT, "label": _TEXT, "is_dashed": _BOOL})
    diagram = _object({"title": _TEXT, "subtitle": _TEXT, "boxes": _list(box), "arrows": _list(arrow)})
    interval = _object(
        {"text": _TEXT, "low": _MAYBE_NUMBER, "high": _MAYBE_NUMBER, "mayBeMissing": _BOOL, "mayFail": _BOOL}
    )
    node = _object(
        {
            "id": _TEXT,
            "op": _TEXT,
            "args": _list(_TEXT),
            "params": _map(_ANY),
            "level": _enum("const", "turn", "rollout", "group"),
            "interval": interval,
        }
    )
    reward = _object(
        {
            "name": _TEXT,
            "dialogue": _TEXT,
            "range": {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2},
            "terms": _list(_TEXT),
            "nodes": _list(node),
            "diagram": diagram,
        }
    )
    return _object({"pipeline": _maybe(diagram), "rewards": _list(reward)})


def _describe_stress() -> Schema:
    paid = _object(
        {
            "family": _TEXT,
            "text": _TEXT,
            "scenario": _TEXT,
            "total": _MAYBE_NUMBER,
            "right": _MAYBE_NUMBER,
            "wrong": _MAYBE_NUMBER,
            "hack": _BOOL,
        }
    )
    return _list(
        _object({"reward": _TEXT, "rows": _COUNT, "attacks": _COUNT, "hackable": _BOOL, "paid": _list(paid)})
    )


def _describe_plan() -> Schema:
    figure = _object({"low": _NUMBER, "expected": _NUMBER, "worst": _MAYBE_NUMBER})
    asked = {"sent": figure, "prompt_tokens": figure, "completion_tokens": figure}
    calls = _object(
        {"stage": _TEXT, "what": _TEXT, "model": _TEXT, "planned": figure, "held": _COUNT, **asked}
    )
    price = _object({"input": _NUMBER, "output": _NUMBER, "from": _enum("spec", "file", "local")})
    model = _object(
        {
            "model": _TEXT,
            "kind": _TEXT,
            "id": _MAYBE_TEXT,
            **asked,
            "price": _maybe(price),
            "usd": _maybe(figure),
            "spent_usd": _MAYBE_NUMBER,
            "budget_usd": _MAYBE_NUMBER,
            "budget_exceeded_by": {"enum": ["worst", "expected", None]},
            "seconds": _maybe(figure),
            "is_timed": _BOOL,
        }
    )
    return _object(
        {
            "task": _TEXT,
            "rows": _map(_COUNT),
            "store": _MAYBE_TEXT,
            "calls": _list(calls),
            "models": _list(model),
            "usd": _maybe(figure),
            "seconds": _maybe(figure),
            "measured": _map(_TEXT),
            "assumptions": _list(_TEXT),
            "declassified": _list(_object({"where": _TEXT, "what": _TEXT, "reason": _TEXT})),
            "open": _list(_TEXT),
            "reveals": _map(_list(_TEXT)),
        }
    )


# --- runs ---------------------------------------------------------------------------------------------------


def _describe_store() -> Schema:
    counts = ("replies", "prompt_tokens", "completion_tokens", "uncounted", "uncosted", "failures")
    model = {"model": _TEXT, **dict.fromkeys(counts, _COUNT), "cost_usd": _MAYBE_NUMBER}
    return _object({"store": _TEXT, "models": _list(_object(model))})


def _describe_eval() -> Schema:
    estimate = {"name": _TEXT, **dict.fromkeys(("mean", "low", "high"), _NUMBER), "n": _COUNT}
    counts = dict.fromkeys(("num_rows", "samples", "max_new", "unscored", "truncated"), _COUNT)
    texts = dict.fromkeys(("model", "rows", "asked", "term"), _TEXT)
    settings = {"temperature": _NUMBER, "top_p": _NUMBER, "estimates": _list(_object(estimate))}
    return _object({**texts, **counts, **settings})


def _describe_run() -> Schema:
    known = {
        "task": _TEXT,
        "spec": _MAYBE_TEXT,
        "artifact": _TEXT,
        "hashes": _object({"data": _TEXT, "prompts": _TEXT, "reward": _TEXT, "train": _TEXT}),
        "overrides": _list(_TEXT),
        "turned_off": _list(_TEXT),
        "compiler": _TEXT,
        "seed": _INT,
        "limit": {"type": ["integer", "null"]},
    }
    return _object(known, is_open=True)


def _describe_result() -> Schema:
    stage = _object({"name": _TEXT, "kind": _TEXT, "status": _TEXT, "seconds": _MAYBE_NUMBER})
    accuracy = _object(
        {"after": _TEXT, "n": _COUNT, "mean": _MAYBE_NUMBER, "low": _MAYBE_NUMBER, "high": _MAYBE_NUMBER},
        is_open=True,
    )
    return _object(
        {
            "status": _TEXT,
            "exit_code": _INT,
            "error": _MAYBE_TEXT,
            "stages": _list(stage),
            "accuracy": _map(_maybe(_list(accuracy))),
        }
    )


def _describe_metrics() -> Schema:
    return _object(
        {"stage": _TEXT, "kind": _enum("sft", "grpo"), "step": _COUNT, "loss": _MAYBE_NUMBER}, is_open=True
    )


def _describe_probe() -> Schema:
    return _object({"row": _TEXT, "rule": _TEXT, "fields": _map(_ANY), "reveals": _BOOL, "sample": _COUNT})


def _describe_rejection() -> Schema:
    known = {"stage": _TEXT, "row": _TEXT, "rule": _MAYBE_TEXT, "reason": _TEXT, "detail": _TEXT}
    return _object({**known, "sample": {"type": ["integer", "null"]}})


def _describe_row() -> Schema:
    row = _object({"uid": _TEXT, "split": _TEXT, "fields": _map(_ANY)})
    return _object({"dataset": _TEXT, "row": row})


def _describe_stage() -> Schema:
    summary = {"type": "object"}
    return _object(
        {"name": _TEXT, "kind": _TEXT, "inputs": _TEXT, "seconds": _NUMBER, "summary": summary}, is_open=True
    )


def _describe_step() -> Schema:
    return _object({"step": _COUNT, "loss": _MAYBE_NUMBER, "lr": _NUMBER, "seconds": _NUMBER}, is_open=True)


def _describe_rollout() -> Schema:
    message = _object({"role": _enum("system", "user", "assistant"), "content": _TEXT}, is_open=True)
    return _object(
        {
            "step": _COUNT,
            "row": _TEXT,
            "scenario": _TEXT,
            "trained": _BOOL,
            "dialogue": _list(message),
            "terms": _map(_MAYBE_NUMBER),
            "dropped": _MAYBE_TEXT,
        },
        is_open=True,
    )


def _describe_shown_rollout() -> Schema:
    schema = _describe_rollout()
    added = {"stage": _TEXT, "verdict": _enum("right", "wrong", "unscored", "dropped")}
    return {
        **schema,
        "properties": {**added, **schema["properties"]},
        "required": [*added, *schema["required"]],
    }


def _describe_completion() -> Schema:
    known = {"after": _TEXT, "row": _TEXT, "user": _TEXT, "completion": _TEXT, "score": _MAYBE_NUMBER}
    return _object(known, is_open=True)


def _describe_accuracy() -> Schema:
    interval = {"mean": _MAYBE_NUMBER, "low": _MAYBE_NUMBER, "high": _MAYBE_NUMBER}
    return _list(_object({"after": _TEXT, "n": _COUNT, **interval}, is_open=True))


SCHEMAS: Final[Mapping[str, Entry]] = {
    "manifest": Entry("manifest.json of an artifact.", _describe_manifest),
    "reward": Entry("reward.json of an artifact.", _describe_reward),
    "check": Entry("A line of `check`, `compile` or `lint` with --format json.", lambda: _DIAGNOSTIC),
    "explain": Entry("A line of `explain --format json`.", _describe_explain),
    "test": Entry("`test --format json`.", _describe_test),
    "preview": Entry("`preview --format json`.", _describe_preview),
    "graph": Entry("`graph --format json`.", _describe_graph),
    "stress": Entry("`stress --format json`.", _describe_stress),
    "plan": Entry("`plan --format json`; null is unknown.", _describe_plan),
    "store": Entry("`store info --format json`.", _describe_store),
    "eval": Entry("`eval --format json`.", _describe_eval),
    "rollouts": Entry("A line of `rollouts --format json`.", _describe_shown_rollout),
    "run": Entry("run.json of a run directory.", _describe_run),
    "result": Entry("result.json of a run directory.", _describe_result),
    "metrics": Entry("A line of metrics.jsonl of a run directory.", _describe_metrics),
    "stage": Entry("done.json of a stage.", _describe_stage),
    "row": Entry("A line of rows.jsonl of the data stage.", _describe_row),
    "step": Entry("A line of metrics.jsonl of a training stage.", _describe_step),
    "rollout": Entry("A line of rollouts.jsonl of a grpo stage.", _describe_rollout),
    "completion": Entry("A line of completions.jsonl of an evaluation.", _describe_completion),
    "accuracy": Entry("accuracy.json of an evaluation.", _describe_accuracy),
    "probe": Entry("A line of probes.jsonl of a probe stage.", _describe_probe),
    "rejection": Entry("A line of rejections.jsonl of a stage.", _describe_rejection),
}
"""Name -> schema, in the order of `exgrpo schema`."""
