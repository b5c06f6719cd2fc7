"""A run directory with every kind of stage in it, made without a model: what the report is tested on."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

from exgrpo_artifact.canonical import dump_canonical, hash_text, to_plain
from exgrpo_artifact.graph import Graph, Node, RewardFile, RewardGraph
from exgrpo_artifact.manifest import (
    AnswerSpec,
    Cut,
    DataField,
    Dataset,
    Dialogue,
    EnvRef,
    EvaluateStage,
    Exchange,
    FieldType,
    GrpoStage,
    Hashes,
    Keep,
    Manifest,
    Model,
    Optimizer,
    ProbeLoop,
    Probes,
    ProbeStage,
    Provenance,
    Rule,
    Sampling,
    Scratch,
    SftStage,
    Source,
    Split,
    Yield,
)
from exgrpo_artifact.record import replace
from exgrpo_artifact.storage import compute_content_hash

TEXT = FieldType(kind="text")
PROMPTS = {
    "prompts/ask.prompt.jinja": "Q: {{ item.question }}\nRule <{{ rule.name }}>: {{ rule.instruction }}\n",
    "prompts/tutorial.system.jinja": "Answer each question step by step. End with: The answer is N.",
    "prompts/tutorial.probe.user.jinja": "{{ probe.question }}",
    "prompts/tutorial.explain.target.jinja": "{{ probe.rationale }} The answer is {{ probe.answer }}.",
    "prompts/tutorial.user.jinja": "{{ item.question }}",
    "prompts/tutorial.final.target.jinja": "{{ item.solution }} The answer is {{ item.gold }}.",
}
TERMS = ("outcome", "p_full", "p_part", "bonus", "total")
STAGES = ("base", "probe", "warmup", "train", "test")
HOSTILE = '</pre></details><script>alert("x")</script><img src=http://evil.example/x.png onerror=alert(1)>'


def make_run(
    path: Path,
    *,
    stages: tuple[str, ...] = STAGES,
    status: str | None = "done",
    exit_code: int = 0,
    error: str | None = None,
    steps: int = 60,
    hostile: str = "",
) -> Path:
    """Writes a run directory in which `stages` have finished; without a `status` there is no result.json."""
    manifest = make_artifact(path / "artifact")
    _write_json(path / "run.json", _describe_run(manifest))
    writers = {
        "base": lambda to: write_sft(to, "base", 2.9, 0.9, 120),
        "probe": write_probe,
        "warmup": lambda to: write_sft(to, "warmup", 0.92, 0.35, 80),
        "train": lambda to: write_grpo(to, steps, hostile),
        "test": lambda to: write_evaluate(to, hostile),
    }
    records = [_finish(path, 0, "data", "data", 0.41, write_data(path / "stages" / "00-data"))]
    seconds = {"base": 31.2, "probe": 12.84, "warmup": 22.0, "train": 148.3, "test": 9.6}
    kinds = {"base": "sft", "probe": "probe", "warmup": "sft", "train": "grpo", "test": "evaluate"}
    for index, name in enumerate(STAGES, start=1):
        if name in stages:
            target = path / "stages" / f"{index:02d}-{name}"
            records.append(_finish(path, index, name, kinds[name], seconds[name], writers[name](target)))
    if status is not None:
        accuracy = {"test": ACCURACY} if "test" in stages else {}
        result = {
            "status": status,
            "exit_code": exit_code,
            "error": error,
            "stages": records,
            "accuracy": accuracy,
        }
        _write_json(path / "result.json", result)
    return path


ACCURACY = [
    {"after": "initial", "n": 400, "mean": 0.0, "low": 0.0, "high": 0.0095, "unscored": 0, "truncated": 0},
    {"after": "base", "n": 400, "mean": 0.3125, "low": 0.2684, "high": 0.3598, "unscored": 0, "truncated": 0},
    {
        "after": "warmup",
        "n": 400,
        "mean": 0.4125,
        "low": 0.3653,
        "high": 0.4613,
        "unscored": 1,
        "truncated": 0,
    },
    {
        "after": "train",
        "n": 400,
        "mean": 0.7825,
        "low": 0.7393,
        "high": 0.8203,
        "unscored": 0,
        "truncated": 0,
    },
]


def make_artifact(path: Path) -> Manifest:
    """A valid artifact directory of a task with all kinds of stages."""
    rewards = RewardFile(rewards={"exgrpo": _make_reward()})
    files = {**PROMPTS, "reward.json": dump_canonical(rewards)}
    manifest = _make_manifest({name: hash_text(text) for name, text in files.items()})
    manifest = replace(manifest, content_hash=compute_content_hash(manifest))
    for name, text in {**files, "manifest.json": dump_canonical(manifest)}.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text, "utf-8", newline="\n")
    return manifest


def _make_reward() -> RewardGraph:
    answer = to_plain(AnswerSpec(kind="number.last"))
    nodes = (
        Node(id="_0", op="turn", params={"name": "final"}, level="rollout"),
        Node(id="_1", op="item", params={"field": "gold"}),
        Node(
            id="outcome",
            op="call",
            args=("_0", "_1"),
            params={"fn": "matches", "answer": answer},
            level="rollout",
        ),
        Node(id="_2", op="scenario", level="rollout"),
        Node(id="_3", op="const", params={"value": "full"}),
        Node(id="_4", op="eq", args=("_2", "_3"), level="rollout"),
        Node(id="p_full", op="aggregate", args=("outcome", "_4"), params={"fn": "mean"}, level="group"),
        Node(id="_5", op="const", params={"value": "partial"}),
        Node(id="_6", op="eq", args=("_2", "_5"), level="rollout"),
        Node(id="p_part", op="aggregate", args=("outcome", "_6"), params={"fn": "mean"}, level="group"),
        Node(id="_7", op="gt", args=("p_full", "p_part"), level="group"),
        Node(id="_8", op="const", params={"value": 0.5}),
        Node(id="_9", op="const", params={"value": 0}),
        Node(id="bonus", op="if", args=("_7", "_8", "_9"), level="group"),
        Node(id="_10", op="const", params={"value": 1}),
        Node(id="_11", op="eq", args=("outcome", "_10"), level="rollout"),
        Node(id="_12", op="and", args=("_4", "_11"), level="rollout"),
        Node(id="_13", op="if", args=("_12", "bonus", "_9"), level="rollout"),
        Node(id="total", op="add", args=("outcome", "_13"), level="rollout"),
    )
    return RewardGraph(
        name="exgrpo",
        dialogue="tutorial",
        dataset="problems",
        range=(0, 1.5),
        nodes=nodes,
        terms=TERMS,
        result="total",
    )


def _make_manifest(files: dict[str, str]) -> Manifest:
    column = Graph(nodes=(Node(id="_0", op="column", params={"name": "question"}),), result="_0")
    true = Graph(nodes=(Node(id="_0", op="const", params={"value": True}),), result="_0")
    first = Graph(nodes=(Node(id="_0", op="const", params={"value": 0}),), result="_0")
    optimizer = Optimizer(name="muon", lr=0.02)
    return Manifest(
        edition=1,
        task="word_problems",
        doc="Multi-step word problems; a rule-based tutor asks about each step.",
        seed=17,
        data="problems",
        student="pupil",
        datasets={
            "problems": Dataset(
                name="problems",
                source=Source(kind="plugin", location="word-problems", options={"seed": 7}),
                splits={"train": Split(part="train"), "test": Split(part="test")},
                fields=(DataField(name="question", type=TEXT, secret=False, value=column),),
            )
        },
        models={
            "pupil": Model(
                name="pupil", kind="scratch", scratch=Scratch(layers=3, width=96, heads=4, vocab=512)
            ),
            "tutor": Model(
                name="tutor",
                kind="openai",
                id="tutor-large",
                base_url=EnvRef(env="TEACHER_BASE_URL"),
                api_key=EnvRef(env="TEACHER_API_KEY"),
                sampling=Sampling(temperature=0.8, max_tokens=1000),
            ),
        },
        rules={name: Rule(name=name, instruction=f"Ask {name}.") for name in RULES},
        probes={
            "ask": Probes(
                name="ask",
                dataset="problems",
                rules=RULES,
                teacher="tutor",
                prompt="prompts/ask.prompt.jinja",
                yields=(Yield(name="question", type=TEXT, open=True),),
                keeps=(
                    Keep(name="consistent", subject="probe", condition=true),
                    Keep(name="in_reach", subject="item", condition=true),
                ),
            )
        },
        dialogues={
            "tutorial": Dialogue(
                name="tutorial",
                dataset="problems",
                probes="ask",
                system="prompts/tutorial.system.jinja",
                loop=ProbeLoop(
                    variable="probe",
                    count=3,
                    exchanges=(
                        Exchange(
                            name="explain",
                            user="prompts/tutorial.probe.user.jinja",
                            target="prompts/tutorial.explain.target.jinja",
                        ),
                    ),
                ),
                closing=(
                    Exchange(
                        name="final",
                        user="prompts/tutorial.user.jinja",
                        target="prompts/tutorial.final.target.jinja",
                        answer=AnswerSpec(kind="number.last"),
                    ),
                ),
                scenarios={
                    "full": Cut(kind="all"),
                    "partial": Cut(kind="first", count=first),
                    "plain": Cut(kind="first", count=first),
                },
            )
        },
        rubrics={},
        stages=(
            SftStage(
                name="base",
                mix={"tutorial": 1.0},
                split="train",
                epochs=2,
                turns=None,
                batch=16,
                optimizer=optimizer,
            ),
            ProbeStage(name="probe", probes="ask", split="train"),
            SftStage(
                name="warmup",
                mix={"tutorial": 1.0},
                split="train",
                epochs=3,
                turns=None,
                batch=16,
                optimizer=optimizer,
            ),
            GrpoStage(
                name="train",
                dialogue="tutorial",
                reward="exgrpo",
                split="train",
                group={"full": 4, "partial": 4},
                items=8,
                steps=60,
                optimizer=Optimizer(lr=0.0003),
                kl=0.02,
                clip=0.2,
                aux=0.2,
                aux_batch=8,
                scale="group",
                baseline="scenario",
                loss="dapo",
                temperature=1.0,
                top_p=1.0,
                max_new=64,
            ),
            EvaluateStage(
                name="test",
                dialogue="tutorial",
                scenario="plain",
                dataset="problems",
                split="test",
                reward="exgrpo",
                term="outcome",
                max_new=64,
            ),
        ),
        hashes=Hashes(data="d" * 64, prompts="e" * 64, reward="f" * 64, train="a" * 64),
        files=files,
        provenance=Provenance(
            compiler="0.1.0",
            sources={"word_problems.exg": "b" * 64},
            overrides=("train.steps=60",),
            turned_off=("invert.in_reach",),
        ),
    )


REASONS = ("in_reach", "consistent", "states-answer", "malformed-reply")
RULES = ("why", "cause_effect", "process", "counterfactual", "contrast", "decompose", "reversal")


def write_data(path: Path) -> dict[str, Any]:
    """Summary of the data stage, with a few rejected rows."""
    rejections = [
        {
            "stage": "data",
            "row": f"problems/train/{i}",
            "rule": None,
            "reason": "not-a-number",
            "detail": "gold",
            "sample": None,
        }
        for i in range(6)
    ]
    _write_lines(path / "rejections.jsonl", rejections)
    return {
        "datasets": {
            "problems": {
                "rows": 994,
                "splits": {
                    "train": {"source": 600, "valid": 594, "rejected": 6},
                    "test": {"source": 400, "valid": 400, "rejected": 0},
                },
                "reasons": {"not-a-number": 6},
            }
        }
    }


def write_probe(path: Path) -> dict[str, Any]:
    """Summary of a probe stage: per rule, what became of the probes asked for."""
    rng = random.Random(3)
    funnel: dict[str, dict[str, int]] = {}
    for rule in RULES:
        skipped = 192 if rule == "reversal" else 0
        lost = {
            "in_reach": rng.randint(120, 160),
            "consistent": rng.randint(20, 60),
            "states-answer": rng.randint(0, 18),
            "malformed-reply": rng.randint(1, 9),
        }
        lost = {reason: count for reason, count in lost.items() if count}
        asked = 594 - skipped
        kept = asked - sum(lost.values())
        funnel[rule] = {"not-applicable": skipped, "asked": asked, **lost, "kept": kept}
    reasons = {reason: sum(counts.get(reason, 0) for counts in funnel.values()) for reason in REASONS}
    _write_lines(path / "probes.jsonl", [])
    detail = "The answer is 12,\nnot 11."
    rejections = [
        {
            "stage": "probe",
            "row": "train:3:ab12",
            "rule": "why",
            "reason": reason,
            "detail": detail,
            "sample": 0,
        }
        for reason in reasons
    ]
    _write_lines(path / "rejections.jsonl", rejections)
    return {
        "rows": 594,
        "asked": 7412,
        "from_store": 120,
        "tokens": {"prompt": 812345, "completion": 245678, "uncounted": 0},
        "failed_requests": 0,
        "funnel": funnel,
        "reasons": reasons,
        "probes_kept": sum(counts["kept"] for counts in funnel.values()),
        "items_kept": 431,
        "items_dropped": 163,
        "items_dropped_by": {"in_reach": 160, "no-probes": 3},
    }


def write_sft(path: Path, name: str, first: float, last: float, steps: int) -> dict[str, Any]:
    """A falling loss."""
    rng = random.Random(name)
    losses = [last + (first - last) * math.exp(-4 * i / steps) + rng.gauss(0, 0.03) for i in range(steps)]
    _write_lines(
        path / "metrics.jsonl",
        [
            {"step": i + 1, "loss": loss, "lr": 0.02, "token_accuracy": 1 - min(0.99, loss / 4)}
            for i, loss in enumerate(losses)
        ],
    )
    return {
        "examples": 1188,
        "steps": steps,
        "loss_first": losses[0],
        "loss_last": losses[-1],
        "dropped": {"too-long": 3},
        "tokens": 412345,
        "seconds": 22.0,
    }


def write_grpo(path: Path, steps: int, hostile: str) -> dict[str, Any]:
    """A training that learns, noisily."""
    rng = random.Random(11)
    metrics = [_make_step(rng, step, steps) for step in range(1, steps + 1)]
    _write_lines(path / "metrics.jsonl", metrics)
    rollouts = [
        _make_rollout(rng, step, steps, i, hostile) for step in range(1, steps + 1) for i in range(16)
    ]
    _write_lines(path / "rollouts.jsonl", rollouts)
    return {"steps": steps, "rollouts": len(rollouts), "tokens": sum(line["tokens"] for line in metrics)}


def _make_step(rng: random.Random, step: int, steps: int) -> dict[str, Any]:
    skill = 0.4 + 0.42 * (1 - math.exp(-3 * step / steps))
    full, part = (min(1.0, max(0.0, rng.gauss(skill + shift, 0.09))) for shift in (0.06, -0.03))
    fired = min(1.0, max(0.0, rng.gauss(0.45, 0.12)))
    bonus = 0.5 * fired
    terms = {
        "outcome": {"mean": (full + part) / 2, "fired": (full + part) / 2, "changed": 0.8},
        "p_full": {"mean": full, "fired": 0.95, "changed": 0.2},
        "p_part": {"mean": part, "fired": 0.9, "changed": 0.22},
        "bonus": {"mean": bonus, "fired": fired, "changed": fired * 0.6},
    }
    return {
        "step": step,
        "loss": rng.gauss(0.02, 0.01),
        "lr": 0.0003,
        "kl": 0.002 + 0.03 * step / steps + abs(rng.gauss(0, 0.002)),
        "clip_fraction": abs(rng.gauss(0.01, 0.005)),
        "aux_loss": 0.4 - 0.1 * step / steps + rng.gauss(0, 0.02),
        "tokens": 64 * rng.randint(80, 120),
        "tokens_per_s": rng.gauss(3900, 150),
        "seconds": rng.gauss(2.4, 0.1),
        "rollouts": 64,
        "voids": {"full": 0, "partial": 1 if step % 9 == 0 else 0},
        "dropped": {"no-final-turn": 1} if step % 7 == 0 else {},
        "truncated_turns": rng.randint(0, 4),
        "groups": 8,
        "groups_without_signal": rng.randint(0, 4),
        "scenarios": {
            "full": {
                "n": 32,
                "total": full + bonus * full,
                "outcome": full,
                "bonus": bonus,
                "p_full": full,
                "p_part": part,
            },
            "partial": {
                "n": 32,
                "total": part,
                "outcome": part,
                "bonus": bonus,
                "p_full": full,
                "p_part": part,
            },
        },
        "terms": terms,
    }


def _make_rollout(rng: random.Random, step: int, steps: int, index: int, hostile: str) -> dict[str, Any]:
    scenario = "full" if index < 8 else "partial"
    right = rng.random() < 0.4 + 0.4 * step / steps
    a, b = rng.randint(4, 30), rng.randint(2, 9)
    gold = a * b
    answer = gold if right else gold + rng.randint(1, 5)
    dialogue = [{"role": "system", "content": PROMPTS["prompts/tutorial.system.jinja"]}]
    for number in range(3 if scenario == "full" else 1):
        dialogue += [
            {
                "role": "user",
                "content": f"Why do you multiply {a} by {b} here, and not add them? ({number + 1})",
            },
            {
                "role": "assistant",
                "content": f"Each of the {b} boxes holds {a} pens, so the pens repeat {b} times.",
            },
        ]
    dialogue += [
        {
            "role": "user",
            "content": f"A shop has {b} boxes with {a} pens each. How many pens are there? {hostile}".strip(),
        },
        {
            "role": "assistant",
            "content": f"{b} boxes with {a} pens each:\n{a} * {b} = {answer}.\nThe answer is {answer}.",
        },
    ]
    outcome = 1.0 if right else 0.0
    bonus = 0.5 if index % 3 else 0.0
    total = outcome + (bonus if scenario == "full" and right else 0.0)
    dropped = "no-final-turn" if (step * 16 + index) % 61 == 0 else None
    return {
        "step": step,
        "row": f"problems/train/{(step * 16 + index) % 594}",
        "scenario": scenario,
        "dialogue": dialogue,
        "terms": {"outcome": outcome, "p_full": 0.625, "p_part": 0.375, "bonus": bonus},
        "total": None if dropped else total,
        "advantage": 0.0 if dropped else (total - 0.6) / 0.55,
        "dropped": dropped,
        "trained": True,
    }


def write_evaluate(path: Path, hostile: str) -> dict[str, Any]:
    """Accuracy after every state and the completions that it was counted from."""
    rng = random.Random(5)
    _write_json(path / "accuracy.json", ACCURACY)
    lines = []
    for state in ACCURACY:
        for i in range(400):
            right = i * 997 % 400 < round(state["mean"] * 400)
            a, b = 3 + i % 17, 2 + i % 7
            answer = a + b if right else a + b + rng.randint(1, 4)
            lines.append(
                {
                    "after": state["after"],
                    "row": f"problems/test/{i}",
                    "user": f"Ann has {a} nuts and finds {b} more. How many has she? {hostile}".strip(),
                    "completion": f"{a} + {b} = {answer}. The answer is {answer}.",
                    "score": 1.0 if right else 0.0,
                }
            )
    _write_lines(path / "completions.jsonl", lines)
    return {"accuracy": ACCURACY}


def _describe_run(manifest: Manifest) -> dict[str, Any]:
    return {
        "task": manifest.task,
        "spec": "word_problems.exg",
        "artifact": manifest.content_hash,
        "hashes": to_plain(manifest.hashes),
        "overrides": list(manifest.provenance.overrides),
        "turned_off": list(manifest.provenance.turned_off),
        "compiler": manifest.provenance.compiler,
        "seed": manifest.seed,
        "limit": None,
        "device": "cpu (2 threads)",
        "versions": {"exgrpo": "0.1.0", "torch": "2.9.0", "trl": "1.16.0", "transformers": "5.0.0"},
    }


def _finish(
    path: Path, index: int, name: str, kind: str, seconds: float, summary: dict[str, Any]
) -> dict[str, Any]:
    done = {"name": name, "kind": kind, "inputs": "c" * 64, "seconds": seconds, "summary": summary}
    _write_json(path / "stages" / f"{index:02d}-{name}" / "done.json", done)
    return {"name": name, "kind": kind, "seconds": seconds, "status": "reused" if name == "base" else "done"}


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), "utf-8")


def _write_lines(path: Path, values: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value) + "\n" for value in values), "utf-8")
