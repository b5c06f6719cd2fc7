from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from random import Random

import pytest

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.graph import Graph, Node
from exgrpo_artifact.manifest import Cut, Dialogue, Exchange, ProbeLoop
from exgrpo_artifact.record import replace
from exgrpo_runtime.plans import (
    IGNORED,
    collect_turns,
    cut_probes,
    draw_probes,
    encode_plan,
    encode_prompt,
    make_rng,
    make_seed,
    plan_dialogue,
)
from exgrpo_runtime.records import Probe, Row
from exgrpo_runtime.templates import TemplateSet

TEMPLATES = TemplateSet(
    {
        "system": "Steps.",
        "ask": "{{ p.question }}",
        "explain": "{{ p.rationale }} So {{ item.gold }}.",
        "question": "{{ item.question }}",
        "final": "It is {{ item.gold }}.",
    }
)
ROW = Row("train:0:a", "train", {"question": "2+2?", "gold": 4})
PROBES = [
    Probe(ROW.uid, rule, {"question": f"{rule}?", "rationale": f"as {rule}"}, rule == "reversal")
    for rule in ("why", "cause", "process", "contrast", "reversal")
]
LOOP = ProbeLoop(variable="p", count=3, exchanges=(Exchange(name="explain", user="ask", target="explain"),))


def make_dialogue(loop: ProbeLoop | None = LOOP, target: str | None = "final") -> Dialogue:
    return Dialogue(
        name="d",
        dataset="sums",
        probes="invert",
        system="system",
        loop=loop,
        closing=(Exchange(name="final", user="question", target=target),),
        scenarios={},
    )


def make_count(*nodes: Node) -> Graph:
    return Graph(nodes=nodes, result=nodes[-1].id)


def make_first(value: int) -> Cut:
    return Cut(kind="first", count=make_count(Node(id="_0", op="const", params={"value": value})))


UNIFORM = make_count(
    Node(id="_0", op="const", params={"value": 1}),
    Node(id="_1", op="k"),
    Node(id="_2", op="sub", args=("_1", "_0")),
    Node(id="_3", op="call", args=("_0", "_2"), params={"fn": "uniform"}),
)


def test_draws_are_without_replacement_and_of_every_probe():
    seen = Counter()
    for seed in range(200):
        drawn = draw_probes(LOOP, PROBES, for_rollout=False, rng=Random(seed))
        assert len({probe.rule for probe in drawn}) == 3
        seen.update(probe.rule for probe in drawn)
    assert min(seen.values()) > 80


def test_probes_that_state_the_answer_never_reach_a_rollout():
    for seed in range(50):
        drawn = draw_probes(LOOP, PROBES, for_rollout=True, rng=Random(seed))
        assert len(drawn) == 3
        assert not any(probe.reveals for probe in drawn)


def test_fewer_probes_than_asked_for_are_all_taken():
    assert draw_probes(LOOP, PROBES[:2], for_rollout=True, rng=Random(0)) != []
    assert len(draw_probes(LOOP, PROBES[:2], for_rollout=True, rng=Random(0))) == 2
    assert draw_probes(None, PROBES, for_rollout=True, rng=Random(0)) == []


def test_a_loop_without_a_count_takes_all_in_order():
    loop = replace(LOOP, count=None)
    assert draw_probes(loop, PROBES, for_rollout=False, rng=Random(0)) == PROBES


@pytest.mark.parametrize(
    ("cut", "drawn", "kept"),
    [
        (Cut(kind="all"), 3, 3),
        (Cut(kind="all"), 0, 0),
        (make_first(0), 5, 0),
        (make_first(0), 0, 0),
        (make_first(2), 5, 2),
        (make_first(5), 3, 2),
        (make_first(1), 1, None),
        (Cut(kind="first", count=UNIFORM), 1, None),
        (Cut(kind="first", count=UNIFORM), 0, None),
        (Cut(kind="branch", of="full", count=UNIFORM), 2, 1),
    ],
)
def test_cuts(cut, drawn, kept):
    assert cut_probes(cut, drawn, Random(0)) == kept


def test_a_uniform_cut_reaches_both_ends_and_all_between():
    rng = Random(1)
    cuts = Counter(cut_probes(Cut(kind="first", count=UNIFORM), 5, rng) for _ in range(400))
    assert set(cuts) == {1, 2, 3, 4}
    assert min(cuts.values()) > 60


def test_the_question_comes_last_after_the_probes():
    plan = plan_dialogue(make_dialogue(), ROW, PROBES[:2], TEMPLATES, "full")
    assert plan.system == "Steps."
    assert [turn.user for turn in plan.turns] == ["why?", "cause?", "2+2?"]
    assert [turn.target for turn in plan.turns] == ["as why So 4.", "as cause So 4.", "It is 4."]
    assert [turn.in_loop for turn in plan.turns] == [True, True, False]
    assert plan.num_probes == 2


def test_turns_of_the_loop_are_lists_even_without_probes():
    dialogue = make_dialogue()
    full = plan_dialogue(dialogue, ROW, PROBES[:2], TEMPLATES, "full")
    plain = plan_dialogue(dialogue, ROW, [], TEMPLATES, "plain")
    assert collect_turns(dialogue, full, ["a", "b", "c"]) == {"explain": ("a", "b"), "final": "c"}
    assert collect_turns(dialogue, plain, ["c"]) == {"explain": (), "final": "c"}


def test_seeds_depend_on_every_part_and_on_nothing_else():
    assert (
        len(
            {
                make_seed(1, "a"),
                make_seed("1", "a"),
                make_seed(1, "b"),
                make_seed("1a"),
                make_seed(1, "a", None),
            }
        )
        == 5
    )
    assert 0 <= make_seed(17, "train", "uid", 3) < 2**63
    code = "from exgrpo_runtime.plans import make_rng; print(make_rng(17, 'train', None, 2.5).random())"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "5"}
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert float(other.stdout) == make_rng(17, "train", None, 2.5).random()


@pytest.fixture(scope="module")
def chat():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tests.support.tiny_student import make_student

    return make_student().chat


@pytest.mark.train
def test_labels_stand_on_the_teachers_words_only(chat):
    plan = plan_dialogue(make_dialogue(), ROW, PROBES[:2], TEMPLATES, "full")
    input_ids, labels = encode_plan(plan, chat)
    assert len(input_ids) == len(labels)
    assert all(label in (IGNORED, token) for token, label in zip(input_ids, labels, strict=True))
    labelled = [label for label in labels if label != IGNORED]
    assert labelled == [token for turn in plan.turns for token in chat.encode_answer(turn.target)]
    assert labelled.count(chat.eos_id) == 3


@pytest.mark.train
def test_loss_can_be_kept_to_named_turns(chat):
    plan = plan_dialogue(make_dialogue(), ROW, PROBES[:2], TEMPLATES, "full")
    whole, _ = encode_plan(plan, chat)
    input_ids, labels = encode_plan(plan, chat, {"final"})
    assert input_ids == whole
    assert [label for label in labels if label != IGNORED] == chat.encode_answer("It is 4.")


@pytest.mark.train
def test_prompt_and_answers_make_the_supervised_dialogue(chat):
    plan = plan_dialogue(make_dialogue(), ROW, PROBES[:2], TEMPLATES, "full")
    prompt = encode_prompt(plan, chat)
    ids = list(prompt.opening)
    for turn, followup in zip(plan.turns, [*prompt.followups, []], strict=True):
        ids += chat.encode_answer(turn.target) + followup
    assert ids == encode_plan(plan, chat)[0]


@pytest.mark.train
def test_a_turn_without_words_to_imitate_is_refused(chat):
    plan = plan_dialogue(make_dialogue(target=None), ROW, [], TEMPLATES, "plain")
    with pytest.raises(DataError, match="`final` has no text"):
        encode_plan(plan, chat)
