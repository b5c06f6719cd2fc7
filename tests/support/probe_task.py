"""A task whose first stage asks for one probe of each of N rows: what tests and benchmarks of probing run."""

from __future__ import annotations

import json
from pathlib import Path

SPEC = """exg 1

dataset sums {
  source = jsonl("rows.jsonl")
  split train = 100%
  field question: text
  secret field gold: number
}

rule why { instruction = "Ask why the first step comes first." }

model tutor = openai("teacher", base_url: env("TEACHER_BASE_URL")) { SETTINGS }

model tiny = scratch { layers = 1; width = 32; heads = 2; vocab = 384; context = 512 }

probes ask(item: sums) {
  rules   = [why]
  teacher = tutor
  prompt  = "Question: {{ item.question }} {{ rule.instruction }} Write one probe as JSON."
  yields { open question: text, rationale: text, answer: text }
}

dialogue lesson(item: sums, probes: ask) {
  system = "Answer."
  for probe in sample(probes, 1) {
    user = "{{ probe.question }}"
    assistant explain = "{{ probe.rationale }}"
  }
  user = "{{ item.question }}"
  assistant final: number.last = "The answer is {{ item.gold }}."
  scenario full = all
}

task asking {
  data    = sums
  student = tiny
  seed    = 0
  stage probe  = ask(split: train)
  stage warmup = sft(lesson, epochs: 1, batch: 2, lr: 1e-3)
}
"""


def write_probe_task(directory: Path, num_rows: int, *, settings: str = "limits { concurrency = 8 }") -> Path:
    """The spec, beside its rows; `settings` go into the teacher's block."""
    rows = [{"question": f"What is {i} plus {i % 7}?", "gold": i + i % 7} for i in range(num_rows)]
    (directory / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    spec = directory / "asking.exg"
    spec.write_text(SPEC.replace("SETTINGS", settings), "utf-8")
    return spec
