# ruff: noqa: E402 - the imports below need what is asked for first
from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import Lora, Optimizer
from exgrpo_runtime.sft import build_examples, run_sft_stage
from exgrpo_runtime.student import load_for_stage, load_student
from exgrpo_runtime.training import (
    Example,
    choose_cheapest_micro_batch,
    choose_micro_batch,
    collate_examples,
    count_tokens_per_pass,
    split_by_length,
    trim_example,
)
from tests.runtime.factory import make_artifact, make_context, make_probes, make_rows, make_sft, read_lines

pytestmark = pytest.mark.train

MUON = Optimizer(name="muon", lr=2e-2, embed_lr=1e-2)


def build(tmp_path, stage, **settings):
    context = make_context(tmp_path, make_artifact(stage, scratch=settings.pop("scratch", None)), **settings)
    student = load_for_stage(context)
    return build_examples(stage, context, student), student


def read_targets(student, example: Example) -> list[str]:
    """The runs of tokens that carry loss, as text."""
    runs: list[list[int]] = []
    before = -100
    for label in example.labels:
        if label != -100:
            if before == -100:
                runs.append([])
            runs[-1].append(label)
        before = label
    return [student.tokenizer.decode(run) for run in runs]


# --- examples ---------------------------------------------------------------------------------------------


def test_loss_is_on_assistant_turns_only(tmp_path):
    examples, student = build(tmp_path, make_sft())
    for example in examples.examples:
        first, second, final = read_targets(student, example)
        assert first == second
        assert first.startswith("Add them. ")
        assert first.endswith("<|end|>")
        assert final.startswith("The answer is ")
        assert all(label in (-100, token) for token, label in zip(*example, strict=True))


def test_loss_can_be_limited_to_named_turns(tmp_path):
    examples, student = build(tmp_path, make_sft(turns=("explain",)))
    for example in examples.examples:
        assert [text[:9] for text in read_targets(student, example)] == ["Add them."] * 2


def test_a_dialogue_without_a_named_turn_is_counted_as_left_out(tmp_path):
    stage = make_sft(mix={"lesson": 0.5, "drills": 0.5}, turns=("explain",))
    examples, _ = build(tmp_path, stage)
    assert examples.dropped == {"no-target": 6}
    assert len(examples.examples) == 6


def test_every_row_is_seen_once_an_epoch_with_new_probes(tmp_path):
    examples, student = build(tmp_path, make_sft(epochs=3), num_rows=4)
    texts = [student.tokenizer.decode(example.input_ids) for example in examples.examples]
    assert len(texts) == 12
    questions = [text.rsplit("What is", 1)[1] for text in texts]
    for epoch in range(3):
        assert sorted(questions[4 * epoch : 4 * epoch + 4]) == sorted(questions[:4])
    assert len(set(texts)) > 4


def test_the_same_seed_gives_the_same_examples(tmp_path):
    first, _ = build(tmp_path / "a", make_sft(epochs=2))
    second, _ = build(tmp_path / "b", make_sft(epochs=2))
    assert first == second


def test_shares_of_a_mix_are_kept(tmp_path):
    stage = make_sft(mix={"lesson": 0.25, "drills": 0.75}, epochs=2)
    examples, student = build(tmp_path, stage, num_rows=8)
    short = ["Short!" in student.tokenizer.decode(example.input_ids) for example in examples.examples]
    # `drills` has the largest share: two passes over 8 rows, and a third as many lessons.
    assert short.count(True) == 16
    assert short.count(False) in (5, 6)
    assert 0 < short[: len(short) // 2].count(False) < short.count(False)


def test_fractions_of_an_epoch_are_kept(tmp_path):
    examples, _ = build(tmp_path, make_sft(epochs=1.5), num_rows=6)
    assert len(examples.examples) == 9


def test_rows_without_probes_are_counted(tmp_path):
    rows = make_rows(4)
    probes = {row.uid: make_probes(row, 2) for row in rows[:3]}
    examples, _ = build(tmp_path, make_sft(), num_rows=4, probes=probes)
    assert examples.dropped == {"no-probe": 1}
    assert len(examples.examples) == 3


def test_probes_that_reveal_the_answer_are_taught(tmp_path):
    probes = {row.uid: make_probes(row, 2, reveals=True) for row in make_rows(4)}
    examples, student = build(tmp_path, make_sft(), num_rows=4, probes=probes)
    assert all(len(read_targets(student, example)) == 3 for example in examples.examples)


def test_no_probe_at_all_is_an_error_that_says_so(tmp_path):
    with pytest.raises(DataError, match="no row left \\(6 no-probe\\)"):
        build(tmp_path, make_sft(), probes={})


def test_examples_longer_than_the_context_are_left_out_whole(tmp_path):
    rows = make_rows(4)
    probes = {row.uid: make_probes(row, 2) for row in rows}
    probes[rows[0].uid][0].fields["question"] = "7" * 400
    probes[rows[0].uid][1].fields["question"] = "7" * 400
    examples, student = build(tmp_path, make_sft(), num_rows=4, probes=probes)
    assert examples.dropped == {"too-long": 1}
    assert len(examples.examples) == 3
    assert all(len(example.input_ids) <= student.context for example in examples.examples)


def test_nothing_that_fits_is_an_error(tmp_path):
    with pytest.raises(DataError, match="6 too-long"):
        build(tmp_path, make_sft(), scratch={"context": 16})


# --- batches ----------------------------------------------------------------------------------------------


def test_collated_rows_are_padded_on_the_right():
    batch = collate_examples([Example([5, 6, 7], [-100, 6, 7]), Example([8], [8])], pad_id=0)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 7], [8, -100, -100]]


def test_trimming_keeps_all_targets():
    assert trim_example(Example([1, 2, 3, 4], [-100, 2, -100, -100])) == Example([1, 2], [-100, 2])
    assert trim_example(Example([1, 2], [-100, -100])) == Example([], [])


@pytest.mark.parametrize(
    ("rows", "longest", "expected"),
    [(128, 100, 128), (128, 200, 64), (12, 3000, 4), (7, 10_000, 1), (3, 99_999, 1)],
)
def test_micro_batches_divide_the_step_and_fit_a_pass(rows, longest, expected):
    assert choose_micro_batch(rows, longest, 16_384) == expected


def test_micro_batches_are_chosen_for_little_padding():
    cpu = torch.device("cpu")
    # Two steps of four: halves of equal length need two passes each, and no padding.
    assert choose_cheapest_micro_batch([10, 10, 400, 400] * 2, 4, 99_999, cpu) == 2
    assert choose_cheapest_micro_batch([10, 10, 12, 12] * 2, 4, 99_999, cpu) == 4
    assert choose_cheapest_micro_batch([10, 10, 12, 12] * 2, 4, 20, cpu) == 1


def test_rows_of_like_length_are_read_together():
    cpu = torch.device("cpu")
    assert split_by_length([500, 10, 510, 12], cpu) == [[1, 3], [0, 2]]
    assert split_by_length([10, 12, 11], cpu) == [[0, 2, 1]]
    parts = split_by_length([1000 * row for row in range(1, 17)], cpu)
    assert sorted(row for part in parts for row in part) == list(range(16))
    assert len(parts) == 8
    assert split_by_length([5], cpu) == [[0]]


def test_a_pass_holds_fewer_tokens_of_a_larger_student(tmp_path):
    sizes = [{"layers": 1, "width": 32}, {"layers": 2, "width": 32}, {"layers": 2, "width": 64}]
    counts = []
    for number, size in enumerate(sizes):
        context = make_context(tmp_path / str(number), make_artifact(make_sft(), scratch=size))
        counts.append(count_tokens_per_pass(load_for_stage(context)))
    assert counts[0] == pytest.approx(2 * counts[1], rel=1e-3)
    assert counts[1] == pytest.approx(2 * counts[2], rel=1e-3)


# --- the stage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lora", [None, Lora(rank=8, alpha=16)])
def test_the_student_learns_its_targets_and_is_saved(tmp_path, lora):
    stage = make_sft(epochs=20, batch=8, optimizer=MUON, mix={"drills": 1.0})
    context = make_context(tmp_path, make_artifact(stage, lora=lora))
    summary = run_sft_stage(stage, context)
    assert summary["examples"] == 120
    assert summary["steps"] == 15
    assert summary["loss_last"] < summary["loss_first"] - 0.05
    lines = read_lines(context.work / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, 16))
    assert all(math.isfinite(line["loss"]) and line["tokens_per_s"] > 0 for line in lines)
    assert sum(line["tokens"] for line in lines) == summary["tokens"]
    assert sorted(path.name for path in context.work.iterdir()) == ["metrics.jsonl", "student"]
    before, after = (
        load_for_stage(context),
        load_student(context.work / "student", context.manifest.models["tiny"]),
    )
    assert type(after.model) is type(before.model)
    assert any(
        not torch.equal(a, b)
        for a, b in zip(after.model.parameters(), before.model.parameters(), strict=True)
    )


def test_the_loss_is_equation_3_token_by_token(tmp_path):
    # One step over all examples: the mean over the teacher's tokens of -log softmax, at the weights before the step.
    stage = make_sft(epochs=1, batch=6)
    examples, student = build(tmp_path / "hand", stage)
    total, count = 0.0, 0
    for example in examples.examples:
        with torch.no_grad():
            [logits] = student.model.double()(input_ids=torch.tensor([example.input_ids])).logits.tolist()
        for place, label in enumerate(example.labels):
            if label != -100:
                total += math.log(math.fsum(map(math.exp, logits[place - 1]))) - logits[place - 1][label]
                count += 1
    context = make_context(tmp_path / "run", make_artifact(stage))
    run_sft_stage(stage, context)
    [line] = read_lines(context.work / "metrics.jsonl")
    assert len(examples.examples) == 6
    assert line["loss"] == pytest.approx(total / count, abs=1e-5)


def test_the_last_step_may_be_a_short_one(tmp_path):
    stage = make_sft(batch=4, mix={"drills": 1.0})
    context = make_context(tmp_path, make_artifact(stage), num_rows=6)
    assert run_sft_stage(stage, context)["steps"] == 2
    assert len(read_lines(context.work / "metrics.jsonl")) == 2


def test_a_batch_larger_than_all_examples_is_one_step(tmp_path):
    stage = make_sft(batch=64, mix={"drills": 1.0})
    context = make_context(tmp_path, make_artifact(stage), num_rows=5)
    assert run_sft_stage(stage, context)["steps"] == 1


@pytest.mark.parametrize("micro", [1, 2])
def test_micro_batches_change_nothing(tmp_path, monkeypatch, micro):
    stage = make_sft(mix={"lesson": 0.5, "drills": 0.5}, epochs=2, batch=4)
    contexts = [make_context(tmp_path / name, make_artifact(stage)) for name in "ab"]
    monkeypatch.setattr("exgrpo_runtime.sft.choose_cheapest_micro_batch", lambda *_: 4)
    whole = run_sft_stage(stage, contexts[0])
    monkeypatch.setattr("exgrpo_runtime.sft.choose_cheapest_micro_batch", lambda *_: micro)
    parts = run_sft_stage(stage, contexts[1])
    assert parts["steps"] == whole["steps"] == 6
    one, two = (read_lines(context.work / "metrics.jsonl") for context in contexts)
    assert [line["loss"] for line in two] == pytest.approx([line["loss"] for line in one], rel=1e-4)
    models = [
        load_student(context.work / "student", context.manifest.models["tiny"]).model for context in contexts
    ]
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_the_schedule_and_the_warm_up_are_followed(tmp_path):
    optimizer = Optimizer(lr=1e-2, schedule="linear", warmup_steps=2)
    stage = make_sft(batch=3, epochs=3, mix={"drills": 1.0}, optimizer=optimizer)
    context = make_context(tmp_path, make_artifact(stage), num_rows=6)
    run_sft_stage(stage, context)
    rates = [line["lr"] for line in read_lines(context.work / "metrics.jsonl")]
    assert rates == pytest.approx([0.0, 0.005, 0.01, 0.0075, 0.005, 0.0025])


def test_a_later_stage_goes_on_from_the_saved_student(tmp_path):
    stage = make_sft(epochs=10, batch=8, optimizer=MUON, mix={"drills": 1.0})
    first = make_context(tmp_path / "a", make_artifact(stage))
    one = run_sft_stage(stage, first)
    again = make_context(tmp_path / "b", make_artifact(stage), student_dir=first.work / "student")
    two = run_sft_stage(stage, again)
    assert two["loss_first"] < one["loss_first"] - 0.1
