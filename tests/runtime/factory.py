"""A small task built directly from the artifact's models: sums asked through probes, a student of a few layers.

Its reward moves with the length of a rollout, so that a student that has learned nothing still gives advantages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exgrpo_artifact.canonical import to_plain
from exgrpo_artifact.graph import Graph, Node, RewardGraph
from exgrpo_artifact.manifest import (
    AnswerSpec,
    Cut,
    DataField,
    Dataset,
    Dialogue,
    EvaluateStage,
    Exchange,
    FieldType,
    GrpoStage,
    Hashes,
    Lora,
    Manifest,
    Model,
    Optimizer,
    ProbeLoop,
    Probes,
    ProbeStage,
    Provenance,
    Rule,
    Scratch,
    SftStage,
    Source,
    Split,
    Stage,
    Yield,
)
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.context import Context, SilentProgress
from exgrpo_runtime.records import Probe, Row
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.templates import TemplateSet

NUMBER = AnswerSpec(kind="number.last")
TEXT = FieldType(kind="text")
PROMPTS = {
    "prompts/ask.jinja": "{{ rule.instruction }} {{ item.question }} {{ item.gold }}",
    "prompts/lesson.system.jinja": "Add.",
    "prompts/lesson.explain.user.jinja": "{{ probe.question }}",
    "prompts/lesson.explain.target.jinja": "{{ probe.rationale }} {{ probe.answer }}",
    "prompts/lesson.final.user.jinja": "{{ item.question }}",
    "prompts/lesson.final.target.jinja": "The answer is {{ item.gold }}",
    "prompts/drills.final.user.jinja": "{{ item.question }} Short!",
    "prompts/drills.final.target.jinja": "{{ item.gold }}",
}


def make_graph(*nodes: Node) -> Graph:
    """A graph whose value is its last node's."""
    return Graph(nodes=nodes, result=nodes[-1].id)


def const(name: str, value: object) -> Node:
    """A literal."""
    return Node(id=name, op="const", params={"value": value})


def make_count() -> Graph:
    """`uniform(1, k - 1)`."""
    return make_graph(
        const("one", 1),
        Node(id="k", op="k"),
        Node(id="most", op="sub", args=("k", "one")),
        Node(id="count", op="call", args=("one", "most"), params={"fn": "uniform"}),
    )


SCENARIOS = {
    "full": Cut(kind="all"),
    "partial": Cut(kind="first", count=make_count()),
    "plain": Cut(kind="first", count=make_graph(const("zero", 0))),
    "leaving": Cut(kind="branch", of="full", count=make_count()),
}


def make_reward() -> RewardGraph:
    """`outcome + length + (bonus if full)`, the bonus where full rollouts are the longer ones on average."""
    rollout, group = {"level": "rollout"}, {"level": "group"}
    nodes = (
        Node(id="final", op="turn", params={"name": "final"}, **rollout),
        Node(id="gold", op="item", params={"field": "gold"}),
        Node(
            id="outcome",
            op="call",
            args=("final", "gold"),
            params={"fn": "matches", "answer": to_plain(NUMBER)},
            **rollout,
        ),
        Node(id="tokens", op="tokens", **rollout),
        const("centi", 0.01),
        Node(id="length", op="mul", args=("tokens", "centi"), **rollout),
        Node(id="scenario", op="scenario", **rollout),
        const("name", "full"),
        Node(id="is_full", op="eq", args=("scenario", "name"), **rollout),
        Node(id="is_other", op="ne", args=("scenario", "name"), **rollout),
        Node(id="mean_full", op="aggregate", args=("length", "is_full"), params={"fn": "mean"}, **group),
        Node(id="mean_other", op="aggregate", args=("length", "is_other"), params={"fn": "mean"}, **group),
        Node(id="is_longer", op="gt", args=("mean_full", "mean_other"), **group),
        const("half", 0.5),
        const("zero", 0),
        Node(id="bonus", op="if", args=("is_longer", "half", "zero"), **group),
        Node(id="unpaid", op="mul", args=("zero", "tokens"), **rollout),
        Node(id="paid", op="if", args=("is_full", "bonus", "zero"), **rollout),
        Node(id="base", op="add", args=("outcome", "length"), **rollout),
        Node(id="raised", op="add", args=("base", "paid"), **rollout),
        Node(id="total", op="add", args=("raised", "unpaid"), **rollout),
    )
    return RewardGraph(
        name="sums",
        dialogue="lesson",
        dataset="sums",
        range=(0, 10),
        nodes=nodes,
        terms=("outcome", "length", "bonus", "unpaid", "total"),
        result="total",
    )


def make_sft(**changes: Any) -> SftStage:
    """A warm-up of a few steps on `lesson`."""
    settings: dict[str, Any] = {
        "name": "warmup",
        "mix": {"lesson": 1.0},
        "split": "train",
        "epochs": 1,
        "batch": 4,
        "optimizer": Optimizer(lr=1e-2),
    }
    return SftStage(**{**settings, **changes})


def make_grpo(**changes: Any) -> GrpoStage:
    """Two steps of two questions, four full and two partial rollouts each."""
    settings: dict[str, Any] = {
        "name": "train",
        "dialogue": "lesson",
        "reward": "sums",
        "split": "train",
        "group": {"full": 2, "partial": 2},
        "items": 2,
        "steps": 2,
        "optimizer": Optimizer(lr=1e-3),
        "kl": 0.0,
        "clip": 0.2,
        "aux": 0.0,
        "aux_batch": 2,
        "scale": "group",
        "baseline": "group",
        "loss": "dapo",
        "temperature": 1.0,
        "top_p": 1.0,
        "max_new": 6,
    }
    return GrpoStage(**{**settings, **changes})


def make_evaluate(**changes: Any) -> EvaluateStage:
    """Accuracy of `plain` on the train split."""
    settings: dict[str, Any] = {
        "name": "test",
        "dialogue": "lesson",
        "scenario": "plain",
        "dataset": "sums",
        "split": "train",
        "reward": "sums",
        "term": "outcome",
        "max_new": 6,
    }
    return EvaluateStage(**{**settings, **changes})


def make_artifact(
    *stages: Stage, lora: Lora | None = None, scratch: Mapping[str, int] | None = None, count: int | None = 2
) -> Artifact:
    """The task with these stages after its probe stage; `count` probes are sampled."""
    size = {"layers": 1, "width": 32, "heads": 2, "vocab": 300, "context": 256, **(scratch or {})}
    explain = Exchange(
        name="explain", user="prompts/lesson.explain.user.jinja", target="prompts/lesson.explain.target.jinja"
    )
    final = Exchange(
        name="final",
        user="prompts/lesson.final.user.jinja",
        target="prompts/lesson.final.target.jinja",
        answer=NUMBER,
    )
    short = Exchange(
        name="final",
        user="prompts/drills.final.user.jinja",
        target="prompts/drills.final.target.jinja",
        answer=NUMBER,
    )
    fields = ("question", TEXT), ("gold", FieldType(kind="number"))
    manifest = Manifest(
        edition=1,
        task="sums",
        seed=3,
        data="sums",
        student="tiny",
        datasets={
            "sums": Dataset(
                name="sums",
                source=Source(kind="jsonl", location="sums.jsonl"),
                splits={"train": Split(fraction=1.0)},
                fields=tuple(
                    DataField(
                        name=name,
                        type=kind,
                        secret=name == "gold",
                        value=make_graph(Node(id="value", op="column", params={"name": name})),
                    )
                    for name, kind in fields
                ),
            )
        },
        models={
            "tiny": Model(name="tiny", kind="scratch", scratch=Scratch(**size), lora=lora),
            "tutor": Model(name="tutor", kind="plugin", id="none"),
        },
        rules={"why": Rule(name="why", instruction="Ask why.")},
        probes={
            "ask": Probes(
                name="ask",
                dataset="sums",
                rules=("why",),
                teacher="tutor",
                prompt="prompts/ask.jinja",
                yields=tuple(
                    Yield(name=name, type=TEXT, open=name == "question")
                    for name in ("question", "rationale", "answer")
                ),
                keeps=(),
            )
        },
        dialogues={
            "lesson": Dialogue(
                name="lesson",
                dataset="sums",
                probes="ask",
                system="prompts/lesson.system.jinja",
                loop=ProbeLoop(variable="probe", count=count, exchanges=(explain,)),
                closing=(final,),
                scenarios=SCENARIOS,
            ),
            "drills": Dialogue(
                name="drills",
                dataset="sums",
                probes=None,
                system=None,
                loop=None,
                closing=(short,),
                scenarios={"plain": Cut(kind="all")},
            ),
        },
        rubrics={},
        stages=(ProbeStage(name="probe", probes="ask", split="train"), *stages),
        hashes=Hashes(data="0", prompts="0", reward="0", train="0"),
        files={},
        provenance=Provenance(compiler="0", sources={}),
    )
    return Artifact(manifest, PROMPTS, {"sums": make_reward()})


def make_rows(count: int) -> list[Row]:
    """Sums of two digits."""
    return [
        Row(
            uid=f"train:{i}:0",
            split="train",
            fields={"question": f"What is {i % 7} + {i % 5}?", "gold": i % 7 + i % 5},
        )
        for i in range(count)
    ]


def make_probes(row: Row, count: int, *, reveals: bool = False) -> list[Probe]:
    """Probes that differ by their number."""
    return [
        Probe(
            row=row.uid,
            rule="why",
            fields={"question": f"Step {i}?", "rationale": "Add them.", "answer": str(row.fields["gold"])},
            reveals=reveals,
        )
        for i in range(count)
    ]


def make_context(
    path: Path,
    artifact: Artifact,
    *,
    num_rows: int = 6,
    probes: Mapping[str, list[Probe]] | None = None,
    student_dir: Path | None = None,
) -> Context:
    """A context over `make_rows(num_rows)`, three probes each unless `probes` says otherwise, working in `path`."""
    rows = make_rows(num_rows)
    if probes is None:
        probes = {row.uid: make_probes(row, 3) for row in rows}
    work, probe_dir = path / "work", path / "probe"
    for directory in (work, probe_dir):
        directory.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(probe.to_json()) + "\n" for found in probes.values() for probe in found]
    (probe_dir / "probes.jsonl").write_text("".join(lines), encoding="utf-8")
    return Context(
        artifact=artifact,
        templates=TemplateSet(artifact.prompts),
        work=work,
        rows={"sums": {"train": rows}},
        stage_dirs={"probe": probe_dir},
        store=ReplyStore(path / "replies.sqlite"),
        progress=SilentProgress(),
        student_dir=student_dir,
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
