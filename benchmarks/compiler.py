"""CPU time of `exgrpo check`, beside the bare interpreter and stock Lark in the same run.

    python benchmarks/compiler.py                 # prints the table
    python benchmarks/compiler.py --runs 21 > benchmarks/results/compiler.md

Each figure is the median of user + system time of whole processes, so that a busy machine shows less than in wall time. The library
of 1,000 specs is written to a temporary folder from a seed: every spec has its own names, numbers, prompts and reward, and
all of them import `std.rules`, as the specs of a team would.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

CHECK = "import sys; from exgrpo_dsl.cli import main; main(['check', *sys.argv[1:]])"
CHECK_LIST = (
    "import sys; from exgrpo_dsl.cli import main; main(['check', *open(sys.argv[1]).read().split('\\n')])"
)
STOCK_LARK = """
import sys
from pathlib import Path
from lark import Lark
import exgrpo_compiler
grammar = (Path(exgrpo_compiler.__file__).parent / "grammar/exg.lark").read_text()
class Keep:
    always_accept = ("COMMENT", "DOC")
    def process(self, stream):
        return (token for token in stream if token.type not in self.always_accept)
parser = Lark(grammar, parser="lalr", lexer="basic", start="file", propagate_positions=True, maybe_placeholders=False, postlex=Keep())
for path in sys.argv[1:]:
    parser.parse(Path(path).read_text())
"""

NAMES = (
    "orders",
    "tickets",
    "recipes",
    "trips",
    "budgets",
    "lessons",
    "scores",
    "parcels",
    "meters",
    "loans",
)
VERBS = ("Explain", "Show", "State", "Derive", "Justify", "Describe", "Check", "Compare")

TEMPLATE = '''exg 1

use std.rules.{{why, cause_effect, process, counterfactual, contrast}}

/// {verb} the {name} of batch {number}.
dataset {name} {{
  source = jsonl(train: "{name}_{number}.jsonl", test: "{name}_test.jsonl")
  split train = "train"
  split test  = "test"

  field question: text
  secret field solution: text   = row.answer | before("####") | strip
  secret field gold:     number = row.answer | after("####") | number
}}

model tutor = openai("tutor-{number}", base_url: env("TEACHER_URL"), api_key: env("TEACHER_KEY")) {{
  temperature = {temperature}
  max_tokens  = {tokens}tok
}}
model student = scratch {{ layers = {layers}; width = 64; heads = 4; vocab = 512 }}

probes ask(item: {name}) {{
  rules   = [why, cause_effect, process, counterfactual, contrast]
  teacher = tutor
  prompt  = """
    {verb} what stands behind an answer about {name}.
    Question: {{{{ item.question }}}}
    Correct answer: {{{{ item.gold }}}}
    Worked solution: {{{{ item.solution }}}}
    Rule "{{{{ rule.name }}}}": {{{{ rule.instruction }}}} Write probe number {number}.
    """
  yields {{ open question: text, rationale: text, answer: text }}
  keep probe consistent where agrees(tutor, [probe.question, probe.rationale, probe.answer, item.question], item.gold)
}}

dialogue tutorial(item: {name}, probes: ask) {{
  system = "{verb} step by step. End with: The answer is N. ({number})"
  for probe in sample(probes, {count}) {{
    user = "{verb}: {{{{ probe.question }}}}"
    assistant explain = "{{{{ probe.rationale }}}} The answer is {{{{ probe.answer }}}}."
  }}
  user = "{{{{ item.question }}}}"
  assistant final: number.last = "{{{{ item.solution }}}} The answer is {{{{ item.gold }}}}."
  scenario full    = all
  scenario partial = first(uniform(1, k - 1))
  scenario plain   = first(0)
}}

reward score(d: tutorial, item: {name}) -> 0..1.6 {{
  outcome = matches(d.final, item.gold)
  p_full  = mean(outcome where d.scenario == full) else 0
  p_part  = mean(outcome where d.scenario == partial) else 0
  bonus   = {bonus} if p_full > p_part else 0
  total   = outcome + (bonus if d.scenario == full and outcome == 1 else 0)
}}

task main {{
  data = {name}; student = student; seed = {number}
  stage probe  = ask(split: train)
  stage warmup = sft(tutorial, epochs: {epochs}, lr: 2e-4)
  stage train  = grpo(tutorial, reward: score, group: {{ full: 4, partial: 4 }}, steps: {steps}, baseline: scenario)
  stage test   = evaluate(tutorial.plain, on: {name}.test, score: score.outcome)
}}
'''


class Row(NamedTuple):
    """One line of the table."""

    what: str
    ms: float
    target: str


def write_library(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """So many specs, each different."""
    rng = random.Random(seed)
    paths = []
    for number in range(count):
        text = TEMPLATE.format(
            name=f"{rng.choice(NAMES)}_{number}",
            number=number,
            verb=rng.choice(VERBS),
            temperature=round(rng.uniform(0, 1.5), 2),
            tokens=rng.randrange(100, 2000),
            layers=rng.randint(1, 8),
            count=rng.randint(2, 6),
            bonus=round(rng.uniform(0.1, 0.59), 3),
            epochs=rng.randint(1, 9),
            steps=rng.randrange(1, 900),
        )
        path = folder / f"spec_{number:04}.exg"
        path.write_text(text, "utf-8")
        paths.append(path)
    return paths


def measure(command: Sequence[str], runs: int, env: dict[str, str], code: int | None = 0) -> float:
    """Median CPU time of a process in ms.

    Raises:
        SystemExit: the command ended with another code.
    """
    taken = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if code is not None and done.returncode != code:
            sys.exit(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(taken) * 1e3


def run_benchmark(runs: int, count: int) -> list[Row]:
    """All figures, the bare interpreter's first."""
    python = sys.executable
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "lib").mkdir()
        paths = write_library(folder / "lib", count)
        listing = folder / "listing"
        listing.write_text("\n".join(map(str, paths)))
        one = str(paths[0])
        # As after an installation: every module has its byte code.
        plain = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        cold = {**plain, "EXGRPO_CACHE": ""}
        warm = {**plain, "EXGRPO_CACHE": str(folder / "cache")}
        measure([python, "-c", CHECK, one], 1, cold)
        rows.append(Row("python -c pass", measure([python, "-c", "pass"], runs, cold), ""))
        rows.append(
            Row(
                "stock Lark, 1 file (import, build, parse only)",
                measure([python, "-c", STOCK_LARK, one], runs, cold),
                "",
            )
        )
        rows.append(Row("check 1 file, cold", measure([python, "-c", CHECK, one], runs, cold), "8x"))
        measure([python, "-c", CHECK, one], 1, warm)
        rows.append(
            Row("check 1 file, from the cache", measure([python, "-c", CHECK, one], runs, warm), "2.5x")
        )
        few = max(3, runs // 5)
        all_paths = list(map(str, paths))
        rows.append(
            Row(
                f"stock Lark, {count} files (parse only)",
                measure([python, "-c", STOCK_LARK, *all_paths], 1, cold),
                "",
            )
        )
        rows.append(
            Row(
                f"check {count} files, cold",
                measure([python, "-c", CHECK_LIST, str(listing)], few, cold),
                "3500 ms",
            )
        )
        measure([python, "-c", CHECK_LIST, str(listing)], 1, warm)
        rows.append(
            Row(
                f"check {count} files, nothing changed",
                measure([python, "-c", CHECK_LIST, str(listing)], runs, warm),
                "50 ms",
            )
        )
        changed = []
        for number in range(runs):
            path = paths[number % count]
            path.write_text(
                path.read_text("utf-8").replace("step by step", f"step by step {number}"), "utf-8"
            )
            changed.append(measure([python, "-c", CHECK_LIST, str(listing)], 1, warm))
        rows.append(Row(f"check {count} files, 1 changed", statistics.median(changed), "120 ms"))
    return rows


def print_table(rows: Sequence[Row], count: int, runs: int) -> None:
    """As Markdown."""
    bare = rows[0].ms
    lark = {row.what.split(",")[1].strip(): row.ms for row in rows if row.what.startswith("stock Lark")}
    print(
        f"# Checking specs: CPU time\n\n`python benchmarks/compiler.py --runs {runs}` on {platform.python_implementation()}",
        end=" ",
    )
    print(
        f"{platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores; medians of whole processes, user + system.\n"
    )
    print("| what | ms | x python -c pass | x stock Lark | target |\n|---|---|---|---|---|")
    for row in rows:
        oracle = lark.get(f"{count} files (parse only)" if f"{count} files" in row.what else "1 file (import")
        against = f"{row.ms / oracle:.2f}" if oracle and row.what.startswith("check") else ""
        print(f"| {row.what} | {row.ms:.1f} | {row.ms / bare:.2f} | {against} | {row.target} |")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=15, help="processes per figure")
    parser.add_argument("--count", type=int, default=1000, help="specs in the library")
    options = parser.parse_args()
    print_table(run_benchmark(options.runs, options.count), options.count, options.runs)


if __name__ == "__main__":
    main()
