"""Where terms of a reward share what they read, a wrong answer is said to beat a right one only where it can."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from tests.support.compiling import check

SPEC = """exg 1

dataset rows {{
  source = jsonl("rows.jsonl")
  split train = 80%
  split test  = 20%
  field question: text
  secret field gold: number
}}

model tiny = scratch {{ layers = 1; width = 32; heads = 2; vocab = 300 }}

model judge_model = openai("j", base_url: env("JUDGE_URL"))

rubric good {{
  scale = 0..4
  text  = "Is it good?"
}}

dialogue d(item: rows) {{
  user = "{{{{ item.question }}}}"
  assistant final: number.last = "{{{{ item.gold }}}}"
  scenario plain = all
}}

reward r(d: d, item: rows) -> -100..100 {{
  right = matches(d.final, item.gold)
  x     = judge.score(d.final, rubric: good, by: judge_model) / 4
  y     = ramp(d.tokens, from: 100tok, to: 200tok)
  total = {total}
}}

task t {{
  data = rows; student = tiny; seed = 1
  stage warm  = sft(d, epochs: 1)
  stage train = grpo(d, reward: r, group: {{ plain: 4 }}, steps: 2)
  stage test  = evaluate(d.plain, on: rows.test, score: r.right)
}}
"""
"""`x` and `y` are any numbers from 0 to 1, independent of each other and of the answer."""


def find_message(total: str) -> str | None:
    found = [item.message for item in check(SPEC.format(total=total)) if item.id == "wrong-beats-right"]
    return found[0] if found else None


@pytest.mark.parametrize(
    "total",
    [
        "right + x - x",
        "right + 3 * x * (1 - x)",
        "right + x - x * x",
        "right + 1.2 * (max(x, 0.5) - x)",
        "right + 0.9 * clip(x, 0, 1) + 0.9 * clip(1 - x, 0, 1)",
        "right + 2 * (y + x) - 2 * y - 1.4 * x",
        "right + 0.9 * ramp(d.tokens, from: 0tok, to: 100tok) + 0.9 * ramp(d.tokens, from: 100tok, to: 0tok)",
        "right + 1.5 * ramp(d.tokens, from: 100tok, to: 300tok) - 1.2 * y",
        "right + (x if x > 0.5 else 1 - x) - (x if x > 0.5 else 1 - x)",
        "right * (1 + x) + (1 - right) * x * (1 - x)",
    ],
)
def test_terms_that_take_each_other_back_do_not_let_a_wrong_answer_win(total: str) -> None:
    assert find_message(total) is None


@pytest.mark.parametrize(
    ("total", "message"),
    [
        ("right + 1.2 * x", "A wrong answer can earn 1.2, and a right one as little as 1."),
        ("right + x - 2 * x", "A wrong answer can earn 0, and a right one as little as 0."),
        ("right + 4.1 * x * (1 - x)", "A wrong answer can earn 1.03, and a right one as little as 1."),
        ("right + 3 * abs(x - 0.5) - 1", "A wrong answer can earn 0.5, and a right one as little as 0."),
        ("right + x * y + x * (1 - y)", "A wrong answer can earn 1, and a right one as little as 1."),
    ],
)
def test_a_wrong_answer_that_can_win_is_told_with_what_it_earns(total: str, message: str) -> None:
    assert find_message(total) == message


Value = Callable[[float, float], float]
PARTS: tuple[tuple[str, Value], ...] = (
    ("x", lambda x, y: x),
    ("y", lambda x, y: y),
    ("clip(x, 0, 0.5)", lambda x, y: min(x, 0.5)),
    ("max(x, y)", lambda x, y: max(x, y)),
    ("min(x, 1 - y)", lambda x, y: min(x, 1 - y)),
    ("abs(x - 0.25)", lambda x, y: abs(x - 0.25)),
    ("x * y", lambda x, y: x * y),
    ("y * y", lambda x, y: y * y),
    ("(x if y > 0.5 else y)", lambda x, y: x if y > 0.5 else y),
)


@pytest.mark.parametrize("seed", range(30))
def test_a_wrong_answer_that_wins_on_a_grid_is_never_missed(seed: int) -> None:
    chance = random.Random(seed)
    chosen = [
        (round(chance.uniform(-1.2, 1.2), 1), *chance.choice(PARTS)) for _ in range(chance.randint(2, 4))
    ]
    total = "right" + "".join(f" + {scale} * {text}" for scale, text, _ in chosen).replace("+ -", "- ")
    grid = [step / 40 for step in range(41)]
    shaped = [sum(scale * part(x, y) for scale, _, part in chosen) for x, y in itertools.product(grid, grid)]
    message = find_message(total)
    if max(shaped) >= 1 + min(shaped) + 1e-9:
        assert message is not None, total
    if max(shaped) < 1 + min(shaped) - 0.1:
        assert message is None, total
