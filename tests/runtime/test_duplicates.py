"""Near-duplicates by hand, and on paraphrases that a real teacher wrote."""

from __future__ import annotations

import json
from itertools import groupby

import pytest

from exgrpo_runtime.probing.duplicates import compute_likeness, find_originals
from tests.support.data import find_data


@pytest.mark.parametrize(
    ("first", "second", "likeness"),
    [
        ("abc", "abc", 1.0),
        ("Abc!", " abc ", 1.0),
        ("Why, then?", "why then", 1.0),
        # " ab", "abc", "bc " against " ab", "abd", "bd ": one of five.
        ("abc", "abd", 1 / 5),
        # " ab", "ab " against " ab", "abc", "bc ": one of four.
        ("ab", "abc", 1 / 4),
        ("abc", "xyz", 0.0),
        ("", "", 1.0),
        ("!?", "", 1.0),
        ("a", "b", 0.0),
        ("\uff11\uff12\uff13", "123", 1.0),
        ("\u4e3a\u4ec0\u4e48", "\u4e3a\u4ec0\u4e48\uff1f", 1.0),
    ],
)
def test_texts_are_as_alike_as_their_trigrams(first: str, second: str, likeness: float) -> None:
    assert compute_likeness(first, second) == pytest.approx(likeness)
    assert compute_likeness(second, first) == compute_likeness(first, second)


def test_the_first_of_those_that_say_the_same_is_the_original() -> None:
    found = find_originals(["Why add?", "Why not?", "why  add", "Why add!!", "Why not ?"], 0.9)
    assert found == [None, None, (0, 1.0), (0, 1.0), (1, 1.0)]


def test_a_chain_of_small_changes_keeps_its_ends() -> None:
    chain = ["abcdefgh", "abcdefghij", "abcdefghijkl"]
    # 8 trigrams, 10, 12; neighbours share 7 of 11 and 9 of 13, the ends 7 of 13.
    near = compute_likeness(chain[0], chain[1]), compute_likeness(chain[1], chain[2])
    assert near == pytest.approx((7 / 11, 9 / 13))
    found = find_originals(chain, 0.6)
    assert [one is None for one in found] == [True, False, True], (
        "the last is like the second, which is no original"
    )


def test_a_threshold_of_one_takes_equal_texts_alone() -> None:
    assert find_originals(["abc", "abd", "ABC"], 1.0) == [None, None, (0, 1.0)]
    assert find_originals([], 0.5) == []


def test_paraphrases_of_a_real_teacher() -> None:
    """GPT-4o's rewordings of GSM8K questions, several for each: what is literally the same is found, what is new stays."""
    with find_data("teacher_lorid_gpt4o_knowledge_gsm8k.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(2000), strict=False)]
    num_texts = num_same = num_dropped = 0
    for _, group in groupby(rows, key=lambda row: row["id"]):
        texts = [row["question"] for row in group]
        found = find_originals(texts, 0.8)
        assert found[0] is None
        for place, (text, original) in enumerate(zip(texts, found, strict=True)):
            if text in texts[:place]:
                assert original is not None
                num_same += 1
            if original is not None:
                assert found[original.place] is None
                assert original.likeness == compute_likeness(texts[original.place], text) >= 0.8
            num_dropped += original is not None
        num_texts += len(texts)
    assert 0 < num_same <= num_dropped < num_texts
