from __future__ import annotations

import logging
import warnings

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from exgrpo_artifact.manifest import Lora
from exgrpo_runtime import generate, kv_batch
from exgrpo_runtime.draws import choose_tokens, keep_nucleus
from exgrpo_runtime.generate import DialoguePrompt, sample_dialogues
from exgrpo_runtime.student import attach_lora
from tests.support.tiny_student import TEXTS, make_student

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def student():
    return make_student(sharpness=25.0)


@pytest.fixture(params=["kept", "refilled"])
def engine(request, monkeypatch):
    """Both ways of remembering a dialogue."""
    if request.param == "refilled":
        monkeypatch.setattr(kv_batch, "keeps_plain_cache", lambda _: False)
    return request.param


def make_prompts(student, turns=(3, 1, 2, 3, 2)):
    chat = student.chat
    prompts = []
    for i, count in enumerate(turns):
        opening = chat.encode_opening("Steps." if i % 2 else None, TEXTS[3 * i][: 20 + 9 * i])
        followups = [chat.encode_followup(TEXTS[5 * i + j][: 5 + 8 * j]) for j in range(count - 1)]
        prompts.append(DialoguePrompt(opening, followups))
    return prompts


def continue_greedily(student, ids, max_new):
    """What transformers itself generates."""
    out = student.model.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=max_new,
        do_sample=False,
        eos_token_id=list(student.chat.stop_ids),
        pad_token_id=student.chat.pad_id,
    )
    return out[0, len(ids) :].tolist()


def make_ending_student():
    """One that ends turns often, at lengths that differ."""
    student = make_student(sharpness=20.0)
    with torch.no_grad():
        # Tied: a larger embedding of the end token raises or lowers its logit from place to place.
        student.model.get_input_embeddings().weight[student.chat.eos_id] *= 2.5
    return student


@pytest.mark.parametrize("max_new", [1, 12])
def test_greedy_dialogues_equal_those_of_transformers(student, engine, max_new):
    prompts = make_prompts(student)
    for prompt, sampled in zip(
        prompts, sample_dialogues(student, prompts, max_new=max_new, temperature=0), strict=True
    ):
        ids = list(prompt.opening)
        for asked, turn in zip([[], *prompt.followups], sampled.turns, strict=True):
            ids += asked
            expected = continue_greedily(student, ids, max_new)
            assert turn.token_ids == expected
            assert turn.truncated == (expected[-1] not in student.chat.stop_ids)
            ids += expected + ([student.chat.eos_id] if turn.truncated else [])
        assert sampled.input_ids + sampled.completion_ids == ids


def test_turns_that_end_early_leave_the_others_as_they_were(engine):
    student = make_ending_student()
    prompts = make_prompts(student, turns=(3,) * 10)
    together = sample_dialogues(student, prompts, max_new=16, seeds=range(10))
    lengths = {len(turn.token_ids) for dialogue in together for turn in dialogue.turns}
    assert len(lengths) > 4
    assert any(turn.truncated for dialogue in together for turn in dialogue.turns)
    for i, dialogue in enumerate(together):
        [alone] = sample_dialogues(student, [prompts[i]], max_new=16, seeds=[i])
        assert alone == dialogue


def test_both_engines_agree(monkeypatch):
    student = make_ending_student()
    prompts = make_prompts(student, turns=(1, 2, 3, 4) * 3)
    kept = sample_dialogues(student, prompts, max_new=16, seeds=range(12))
    monkeypatch.setattr(kv_batch, "keeps_plain_cache", lambda _: False)
    assert sample_dialogues(student, prompts, max_new=16, seeds=range(12)) == kept


def test_batch_size_and_order_change_nothing(student):
    prompts = make_prompts(student) * 4
    seeds = list(range(100, 120))
    whole = sample_dialogues(student, prompts, max_new=8, seeds=seeds)
    assert sample_dialogues(student, prompts, max_new=8, seeds=seeds, batch_size=3) == whole
    backwards = sample_dialogues(student, prompts[::-1], max_new=8, seeds=seeds[::-1])
    assert backwards[::-1] == whole


def test_long_openings_are_read_in_several_passes(student, monkeypatch):
    prompts = make_prompts(student) * 3
    whole = sample_dialogues(student, prompts, max_new=4, seeds=range(15))
    monkeypatch.setattr(generate, "TOKENS_PER_PASS", 30)
    rows = sorted(
        (generate._Row(prompt, i, i) for i, prompt in enumerate(prompts)), key=lambda r: len(r.prompt.opening)
    )
    batches = list(generate._split_rows(rows, 128))
    assert [row for batch in batches for row in batch] == rows
    assert len(batches) == 4
    assert sample_dialogues(student, prompts, max_new=4, seeds=range(15)) == whole


def test_seeds_give_different_dialogues(student):
    prompts = make_prompts(student)[:1] * 6
    dialogues = sample_dialogues(student, prompts, max_new=8, seeds=[1, 2, 3, 4, 5, 1])
    assert len({tuple(dialogue.completion_ids) for dialogue in dialogues}) == 5
    assert dialogues[0] == dialogues[5]


def test_mask_marks_just_what_was_sampled(student):
    for sampled in sample_dialogues(student, make_prompts(student), max_new=6, seeds=range(5)):
        assert len(sampled.mask) == len(sampled.completion_ids)
        marked = [token for token, bit in zip(sampled.completion_ids, sampled.mask, strict=True) if bit]
        assert marked == [token for turn in sampled.turns for token in turn.token_ids]


def test_cut_off_turn_is_closed_with_an_untrained_end_token(student):
    prompt = DialoguePrompt(student.chat.encode_opening(None, "Why?"), [student.chat.encode_followup("So?")])
    for seed in range(10):
        [sampled] = sample_dialogues(student, [prompt], max_new=3, seeds=[seed])
        if sampled.turns[0].truncated:
            assert sampled.completion_ids[3:4] == [student.chat.eos_id]
            assert sampled.mask[:4] == [1, 1, 1, 0]
            return
    pytest.fail("no turn of ten was cut off")


def test_a_full_context_ends_the_dialogue(engine):
    student = make_student(context=64)
    chat = student.chat
    opening, followup = chat.encode_opening(None, "Why?"), chat.encode_followup("Tom has 12 apples, so?")
    prompts = [DialoguePrompt(opening, [followup] * 9), DialoguePrompt(opening, [])]
    long, short = sample_dialogues(student, prompts, max_new=15, seeds=[1, 2])
    assert len(long.turns) == 10
    assert long.turns[-1].token_ids == []
    assert long.turns[-1].truncated
    assert 48 < len(long.input_ids) + len(long.completion_ids) <= 64
    assert len(short.turns) == 1
    assert short.turns[0].token_ids


def test_an_opening_that_fills_the_context_gives_empty_turns(student):
    prompts = [DialoguePrompt([5] * 255, [[5]]), DialoguePrompt([5] * 300, []), make_prompts(student)[0]]
    full, over, fine = sample_dialogues(student, prompts, max_new=4, seeds=[1, 2, 3])
    for sampled in (full, over):
        assert sampled.completion_ids == [student.chat.eos_id]
        assert sampled.mask == [0]
        assert all(turn.truncated and not turn.token_ids for turn in sampled.turns)
    assert len(full.turns) == 2
    assert sum(fine.mask) > 0


def test_frequencies_follow_the_distribution(student):
    prompt = make_prompts(student)[1]
    with torch.no_grad():
        logits = student.model(torch.tensor([prompt.opening])).logits[0, -1] / 0.7
    expected = logits.softmax(-1)
    count = 4000
    dialogues = sample_dialogues(
        student, [prompt] * count, max_new=1, temperature=0.7, seeds=range(count), batch_size=1000
    )
    drawn = torch.bincount(
        torch.tensor([dialogue.turns[0].token_ids[0] for dialogue in dialogues]), minlength=len(expected)
    )
    deviation = (expected * (1 - expected) / count).sqrt()
    assert ((drawn / count - expected).abs() < 5 * deviation + 1 / count).all()


def test_nucleus_keeps_the_likeliest_that_reach_its_share():
    probabilities = torch.tensor([[0.1, 0.5, 0.15, 0.25]])
    kept = keep_nucleus(probabilities, 0.7)
    assert kept.tolist() == [pytest.approx([0, 0.5, 0, 0.25])]
    assert keep_nucleus(probabilities, 0.01).tolist() == [pytest.approx([0, 0.5, 0, 0])]


def test_a_token_without_probability_is_never_drawn():
    logits = torch.tensor([[-1e9, 0.0, 0.0, -1e9]]).expand(3, 4)
    drawn = choose_tokens(logits, torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64), 1.0, 1.0)
    assert drawn.tolist() == [1, 2, 2]


def test_a_tiny_nucleus_is_greedy(student):
    prompts = make_prompts(student)
    greedy = sample_dialogues(student, prompts, max_new=8, temperature=0)
    assert sample_dialogues(student, prompts, max_new=8, top_p=1e-6, seeds=range(5)) == greedy


@pytest.mark.parametrize("lora", [None, Lora(rank=2, alpha=2)])
def test_the_cache_is_called_what_the_model_calls_it(engine, lora, monkeypatch):
    said = []
    monkeypatch.setattr(logging.Logger, "warning_once", lambda _, text, *args, **kwargs: said.append(text))
    student = make_student(lora=lora)
    attach_lora(student)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sample_dialogues(student, make_prompts(student), max_new=3, temperature=0)
    said += [str(warning.message) for warning in caught]
    assert not [text for text in said if "past_key_values" in text]


def test_a_model_of_another_author_may_call_its_cache_as_ever():
    class Old(torch.nn.Module):
        def forward(self, input_ids, past_key_values=None): ...

    class New(torch.nn.Module):
        def forward(self, input_ids, cache=None): ...

    assert kv_batch.find_cache_name(Old()) == "past_key_values"
    assert kv_batch.find_cache_name(New()) == "cache"


def test_sampling_without_seeds_is_refused(student):
    with pytest.raises(ValueError, match="seed"):
        sample_dialogues(student, make_prompts(student), max_new=4)


def test_the_model_trains_on_afterwards(student):
    student.model.train()
    sample_dialogues(student, make_prompts(student), max_new=2, temperature=0)
    assert student.model.training
    output = student.model(torch.tensor([[5, 6, 7]]), labels=torch.tensor([[5, 6, 7]]))
    output.loss.backward()
    student.model.zero_grad()
