"""A task of seconds: sums of two numbers, a teacher on loopback, a student of a few thousand parameters."""

from __future__ import annotations

import json
import re
from pathlib import Path

SPEC = '''exg 1

use std.rules.{why, decompose}

/// Sums of two numbers.
dataset sums {
  source = jsonl(train: "train.jsonl", test: "test.jsonl")
  split train = "train"
  split test  = "test"

  field question: text
  secret field solution: text
  secret field gold: number
}

model tutor = openai("tutor", base_url: env("TEACHER_BASE_URL"), api_key: env("TEACHER_API_KEY")) {
  temperature = 0.5
  max_tokens  = 200tok
}

model student = scratch { layers = 1; width = 32; heads = 2; vocab = 320 }

probes invert(item: sums) {
  rules   = [why, decompose]
  teacher = tutor
  prompt  = """
    Question: {{ item.question }}
    Solution: {{ item.solution }}
    Answer: {{ item.gold }}
    Rule "{{ rule.name }}": {{ rule.instruction }}
    """
  yields { open question: text, rationale: text, answer: text }
  keep probe consistent where agrees(tutor, [probe.question, probe.rationale, probe.answer, item.question], item.gold)
}

dialogue tutorial(item: sums, probes: invert) {
  for probe in sample(probes, 2) {
    user = "{{ probe.question }}"
    assistant explain = "{{ probe.rationale }}"
  }
  user = "{{ item.question }}"
  assistant final: number.last = "{{ item.solution }} The answer is {{ item.gold }}."

  scenario full    = all
  scenario partial = first(uniform(1, k - 1))
  scenario plain   = first(0)
}

reward exgrpo(d: tutorial, item: sums) -> 0..1.5 {
  outcome = matches(d.final, item.gold)
  p_full  = mean(outcome where d.scenario == full)
  p_part  = mean(outcome where d.scenario == partial)
  bonus   = 0.5 if p_full > 1.0 * p_part else 0
  total   = outcome + (bonus if d.scenario == full and outcome == 1 else 0)
}

task sums_exgrpo {
  data    = sums
  student = student
  seed    = 3

  stage probe  = invert(split: train)
  stage warmup = sft(tutorial, epochs: 1, lr: 1e-3, batch: 4)
  stage train  = grpo(tutorial, reward: exgrpo, group: { full: 2, partial: 2 }, items: 2, steps: 2, lr: 1e-4,
                      kl: 0.02, aux: 0.2, aux_batch: 2, max_new: 6tok)
  stage test   = evaluate(tutorial.plain, on: sums.test, score: exgrpo.outcome, max_new: 6tok)
}
'''


def write_sums(directory: Path, *, rows: int = 6) -> Path:
    """Writes sums.exg, train.jsonl and test.jsonl; the spec's path."""
    for split, start in (("train", 10), ("test", 50)):
        lines = []
        for index in range(rows):
            a, b = start + 3 * index, index + 2
            question = f"Ann has {a} apples and gets {b} more. How many apples has she?"
            lines.append(
                json.dumps({"question": question, "solution": f"{a} + {b} = {a + b}.", "gold": a + b})
            )
        (directory / f"{split}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    spec = directory / "sums.exg"
    spec.write_text(SPEC, "utf-8")
    return spec


def answer_sums(prompt: str) -> str:
    """A teacher that is always right: writes a probe, or answers the question."""
    numbers = re.findall(r"has (\d+) apples and gets (\d+) more", prompt)
    a, b = (int(number) for number in numbers[-1])
    rule = re.search(r'Rule "(\w+)"', prompt)
    if rule is not None:
        question = f"By {rule[1]}: what do {a} apples and some more make?"
        return json.dumps({"question": question, "rationale": "Adding counts both.", "answer": "a sum"})
    return f"The answer is {a + b}."
