"""A spec that asks together, samples, and filters by agreement and novelty, from its text to the probes, as a user runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.support.cli import call_exgrpo, run_exgrpo
from tests.support.openai_server import serve_teacher
from tests.support.sums import write_sums

ROWS, RULES = 4, ("why", "decompose")


def write_spec(directory: Path) -> None:
    """`sums.exg` with the forms of this page."""
    path = write_sums(directory, rows=ROWS)
    text = path.read_text("utf-8")
    old = 'Rule "{{ rule.name }}": {{ rule.instruction }}'
    assert old in text
    text = text.replace(
        old, '{% for rule in rules %}Rule "{{ rule.name }}": {{ rule.instruction }}\n    {% endfor %}'
    )
    text = re.sub(
        r"  rules\s*=.*\n",
        f"  rules = [{', '.join(RULES)}]\n  ask = together\n  samples = 2\n  per_rule = 1\n",
        text,
    )
    text = re.sub(r"  keep probe.*\n|  keep item.*\n", "", text)
    text = re.sub(
        r"(  yields \{.*\}\n)",
        r"\1  keep probe sure where majority(tutor, 3)\n  keep probe fresh where not duplicate(threshold: 0.9)\n",
        text,
    )
    path.write_text(text, "utf-8")


class Teacher:
    """Its second sample says what the first said. About the row of 10 it has to be asked again; that of 13 it answers otherwise."""

    def __call__(self, prompt: str) -> str:
        if "cannot be read" in prompt:
            return self.write(40)
        found = re.search(r"has (\d+) apples and gets (\d+) more", prompt)
        if "Rule" in prompt and found:
            return "Let me think." if int(found[1]) == 10 else self.write(int(found[1]))
        count = int(re.findall(r"are (\d+) and", prompt)[0])
        return f"The answer is {count + 1 if count == 13 else count}."

    def write(self, count: int) -> str:
        return json.dumps(
            {
                rule: {
                    "question": f"By {rule}: what are {count} and nothing?",
                    "rationale": "Nothing adds nothing.",
                    "answer": f"It is {count}",
                }
                for rule in RULES
            }
        )


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_probes_asked_together_sampled_repaired_and_filtered(tmp_path: Path) -> None:
    write_spec(tmp_path)
    checked = call_exgrpo("check", "sums.exg", cwd=tmp_path)
    assert checked.code == 0, checked.err
    command = ("run", "sums.exg", "--stage", "probe", "--out")
    with serve_teacher(Teacher()) as server:
        first = run_exgrpo(*command, "out", cwd=tmp_path, env=server.env)
        asked = len(server.prompts)
        again = run_exgrpo(*command, "again", "--store", "out/replies.sqlite", cwd=tmp_path, env=server.env)
        assert len(server.prompts) == asked
    assert first.returncode == 0, first.stdout + first.stderr
    assert again.returncode == 0, again.stdout + again.stderr
    stage = tmp_path / "out/stages/01-probe"
    summary = json.loads((stage / "done.json").read_text("utf-8"))["summary"]
    # Four rows, two samples, both rules in each; the row of 13 disagrees with itself, every second sample repeats the first.
    assert summary["funnel"] == {
        rule: {"not-applicable": 0, "asked": 8, "fresh": 3, "sure": 2, "kept": 3} for rule in RULES
    }
    assert summary["repairs"]["asked"] == summary["repairs"]["mended"] == 4
    # 8 questions, 2 repairs, 3 votes about each of 8 different probes.
    assert summary["asked"] == asked == 8 + 2 + 24
    probes = read_lines(stage / "probes.jsonl")
    assert [(line["rule"], line["sample"]) for line in probes] == [
        (rule, 0) for _ in range(3) for rule in RULES
    ]
    reasons = {line["reason"]: line["detail"] for line in read_lines(stage / "rejections.jsonl")}
    assert reasons["sure"] == "the condition is not met: 0 of 3 answers of `tutor` are the probe's"
    assert reasons["fresh"] == "the condition is not met: 1.00 like the probe of rule `decompose`"
    for name in ("probes.jsonl", "rejections.jsonl"):
        assert (tmp_path / "again/stages/01-probe" / name).read_bytes() == (stage / name).read_bytes()
    assert "sent back to be mended: 4, of which 4 came right" in first.stdout + first.stderr
