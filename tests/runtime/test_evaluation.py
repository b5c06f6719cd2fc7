from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from exgrpo_artifact.graph import Node, RewardGraph
from exgrpo_artifact.judgements import restrict_reward
from exgrpo_artifact.manifest import (
    Cut,
    Dataset,
    Dialogue,
    EvaluateStage,
    Exchange,
    GrpoStage,
    Hashes,
    Manifest,
    Optimizer,
    ProbeLoop,
    ProbeStage,
    Provenance,
    SftStage,
    Source,
    Split,
)
from exgrpo_artifact.record import replace
from exgrpo_artifact.storage import Artifact
from exgrpo_artifact.validation import validate_plain
from exgrpo_runtime.context import Context
from exgrpo_runtime.evaluation import (
    answer_messages,
    evaluate_student,
    run_evaluate_stage,
    summarise_completions,
)
from exgrpo_runtime.intervals import wilson_interval
from exgrpo_runtime.plans import encode_plan, plan_dialogue
from exgrpo_runtime.records import Probe, Row
from exgrpo_runtime.student import load_for_stage, save_student
from exgrpo_runtime.templates import TemplateSet
from exgrpo_runtime.texts import collect_texts
from tests.support.tiny_student import make_model

pytestmark = pytest.mark.train

TRAIN = [Row(f"train:{a}:x", "train", {"question": f"{a}+{a}?", "gold": 2 * a}) for a in range(1, 9)]
TEST = [Row(f"test:{a}:x", "test", {"question": f"{a}+{a}?", "gold": 2 * a}) for a in range(1, 7)]
PROMPTS = {
    "system": "Add.",
    "ask": "{{ probe.question }}",
    "question": "{{ item.question }}",
    "final": "It is {{ item.gold }}.",
}
SPEC = {"kind": "number.last", "pattern": None, "which": "last", "type": None}
OPTIMIZER = Optimizer(lr=1e-3)
EVALUATE = EvaluateStage(
    name="test",
    dialogue="d",
    scenario="plain",
    dataset="sums",
    split="test",
    reward="r",
    term="outcome",
    max_new=8,
)


def make_reward() -> RewardGraph:
    nodes = (
        Node(id="_0", op="turn", params={"name": "final"}, level="rollout"),
        Node(id="_1", op="item", params={"field": "gold"}),
        Node(
            id="outcome",
            op="call",
            args=("_0", "_1"),
            params={"fn": "matches", "answer": SPEC},
            level="rollout",
        ),
        Node(
            id="_2",
            op="call",
            args=("_0",),
            params={"fn": "judge.score", "rubric": "clear", "model": "judge"},
        ),
        Node(id="total", op="add", args=("outcome", "_2"), level="rollout"),
    )
    return RewardGraph(
        name="r",
        dialogue="d",
        dataset="sums",
        range=(0, 2),
        nodes=nodes,
        terms=("outcome", "total"),
        result="total",
    )


def make_manifest() -> Manifest:
    first = validate_plain(
        Cut,
        {
            "kind": "first",
            "count": {"nodes": [{"id": "_0", "op": "const", "params": {"value": 0}}], "result": "_0"},
        },
    )
    one = validate_plain(
        Cut,
        {
            "kind": "first",
            "count": {"nodes": [{"id": "_0", "op": "const", "params": {"value": 1}}], "result": "_0"},
        },
    )
    dialogue = Dialogue(
        name="d",
        dataset="sums",
        probes="invert",
        system="system",
        loop=ProbeLoop(
            variable="probe", count=2, exchanges=(Exchange(name="explain", user="ask", target="ask"),)
        ),
        closing=(Exchange(name="final", user="question", target="final"),),
        scenarios={"full": Cut(kind="all"), "plain": first, "partial": one},
    )
    return Manifest(
        edition=1,
        task="t",
        seed=5,
        data="sums",
        student="tiny",
        datasets={
            "sums": Dataset(
                name="sums",
                source=Source(kind="jsonl"),
                splits={"train": Split(part="train"), "test": Split(part="test")},
                fields=(),
            )
        },
        models={"tiny": make_model()},
        rules={},
        probes={},
        dialogues={"d": dialogue},
        rubrics={},
        stages=(
            SftStage(name="base", mix={"d": 1.0}, split="train", epochs=1, batch=4, optimizer=OPTIMIZER),
            ProbeStage(name="probe", probes="invert", split="train"),
            EVALUATE,
        ),
        hashes=Hashes(data="", prompts="", reward="", train=""),
        files={},
        provenance=Provenance(compiler="", sources={}),
    )


class SilentBar:
    def advance(self, amount: int = 1, **figures: object) -> None:
        pass


class SilentProgress:
    @contextmanager
    def track(self, description, total):
        yield SilentBar()


@pytest.fixture
def context(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    return Context(
        artifact=Artifact(make_manifest(), PROMPTS, {"r": make_reward()}),
        templates=TemplateSet(PROMPTS),
        work=work,
        rows={"sums": {"train": TRAIN, "test": TEST}},
        stage_dirs={},
        store=None,
        progress=SilentProgress(),
        student_dir=None,
    )


def with_stage(context, tmp_path, name, **changes):
    directory = tmp_path / name
    directory.mkdir()
    return directory, Context(
        **{
            name: getattr(context, name)
            for name in ("artifact", "templates", "work", "rows", "store", "progress", "student_dir")
        }
        | {"stage_dirs": {**context.stage_dirs, name: directory}}
        | changes
    )


def learn_by_heart(student, context, rows):
    """Trains until the plain dialogue of each row is known."""
    dialogue = context.manifest.dialogues["d"]
    pairs = [
        encode_plan(plan_dialogue(dialogue, row, [], context.templates, "plain"), student.chat)
        for row in rows
    ]
    width = max(len(ids) for ids, _ in pairs)
    ids = torch.tensor([ids + [student.chat.pad_id] * (width - len(ids)) for ids, _ in pairs])
    labels = torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in pairs])
    optimizer = torch.optim.AdamW(student.model.parameters(), lr=5e-3)
    for _ in range(150):
        loss = student.model(ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


def test_what_was_learned_shows_after_its_stage_and_not_before(context, tmp_path):
    student = load_for_stage(context)
    assert learn_by_heart(student, context, TEST[:5]) < 0.05
    directory, context = with_stage(context, tmp_path, "base")
    save_student(student, directory / "student")
    summary = run_evaluate_stage(EVALUATE, context)
    lines = json.loads((context.work / "accuracy.json").read_text())
    assert summary["accuracy"] == lines
    before, after = lines
    assert (before["after"], after["after"]) == ("initial", "base")
    assert before["mean"] == 0
    assert after["mean"] >= 5 / 6
    assert (after["n"], after["unscored"]) == (6, 0)
    assert [after["low"], after["high"]] == list(wilson_interval(round(6 * after["mean"]), 6))
    completions = [json.loads(line) for line in (context.work / "completions.jsonl").read_text().splitlines()]
    assert len(completions) == 12
    assert completions[6] == {
        "after": "base",
        "row": "test:1:x",
        "user": "1+1?",
        "completion": "It is 2.",
        "score": 1,
    }


def test_only_the_asked_term_is_computed():
    # `total` needs a judge that does not exist; the outcome does not.
    restricted = restrict_reward(make_reward(), "outcome")
    assert [node.id for node in restricted.nodes] == ["_0", "_1", "outcome"]
    assert restricted.result == "outcome"


def test_rows_whose_scenario_cannot_be_formed_are_counted_not_scored(context):
    student = load_for_stage(context)
    stage = replace(EVALUATE, scenario="partial")
    completions = evaluate_student(student, stage, context)
    assert [entry.score for entry in completions] == [None] * 6
    line = summarise_completions("initial", completions)
    assert (line.n, line.mean, line.low, line.unscored) == (0, None, None, 6)


def test_evaluation_asks_the_probes_of_its_scenario(context, tmp_path):
    directory, context = with_stage(context, tmp_path, "probe")
    probes = [Probe(row.uid, rule, {"question": f"{rule}?"}, rule == "c") for row in TEST for rule in "abc"]
    (directory / "probes.jsonl").write_text("".join(json.dumps(probe.to_json()) + "\n" for probe in probes))
    student = load_for_stage(context)
    one = evaluate_student(student, replace(EVALUATE, scenario="partial"), context)
    assert all(entry.score is not None for entry in one)
    assert [entry.user for entry in one] == [row.fields["question"] for row in TEST]


def test_answers_are_those_of_the_template(context):
    student = load_for_stage(context)
    learn_by_heart(student, context, TEST)
    asked = [{"role": "system", "content": "Add."}, {"role": "user", "content": "3+3?"}]
    later = [*asked, {"role": "assistant", "content": "It is 6."}, {"role": "user", "content": "4+4?"}]
    first, second = answer_messages(student, [asked, later], max_new=8)
    assert first == "It is 6."
    ids = student.tokenizer.apply_chat_template(
        later, add_generation_prompt=True, return_dict=False, return_tensors="pt"
    )
    out = student.model.generate(ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1] :]
    assert second == student.tokenizer.decode(out, skip_special_tokens=True)


def test_a_conversation_that_does_not_end_with_the_user_is_refused(context):
    student = load_for_stage(context)
    with pytest.raises(ValueError, match="ends with the user"):
        answer_messages(
            student, [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]], 4
        )


def test_texts_of_the_task_are_those_of_its_training_rows(context, tmp_path):
    texts = list(collect_texts(context))
    assert texts[:3] == ["Add.", "1+1?", "It is 2."]
    assert len(texts) == 3 * len(TRAIN)
    directory, context = with_stage(context, tmp_path, "probe")
    probe = Probe(TRAIN[0].uid, "why", {"question": "Why so?"}, False)
    (directory / "probes.jsonl").write_text(json.dumps(probe.to_json()) + "\n")
    assert list(collect_texts(context)).count("Why so?") == 2


def test_a_grpo_stage_counts_as_training(context):
    stage = GrpoStage(
        name="train",
        dialogue="d",
        reward="r",
        split="test",
        group={"full": 4},
        items=1,
        steps=1,
        optimizer=OPTIMIZER,
        kl=0,
        clip=0.2,
        aux=0,
        aux_batch=1,
        scale="group",
        baseline="group",
        loss="grpo",
        temperature=1,
        top_p=1,
        max_new=8,
    )
    manifest = replace(context.manifest, stages=(stage,))
    changed = Context(
        artifact=Artifact(manifest, PROMPTS, {}),
        templates=context.templates,
        work=context.work,
        rows=context.rows,
        stage_dirs={},
        store=None,
        progress=context.progress,
        student_dir=None,
    )
    assert "6+6?" in list(collect_texts(changed))
    assert "8+8?" not in list(collect_texts(changed))
