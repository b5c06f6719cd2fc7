"""The quickstart over seeds, with its controls at equal wall time; writes results/quickstart_seeds.md.

For each seed the product runs once up to the warm-up. From that same student every arm goes its own way, in place
of the stage `train`: the spec as it stands, more supervised fine-tuning, the auxiliary loss's data alone, and
ExGRPO without the auxiliary loss or without the bonus. An arm that takes over a tenth more or less wall time
than the spec's own `train` is run again with its length scaled, once. "Before" and "after" are what the spec's
stage `test` measures: greedy, single turn, held out.

    python benchmarks/quickstart_seeds.py [--seeds 0 1 2] [--runs DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SPEC = ROOT / "specs" / "exgrpo_specs" / "quickstart" / "word_problems.exg"
RESULTS = ROOT / "benchmarks" / "results" / "quickstart_seeds.md"
VERSIONS = ("exgrpo", "torch", "transformers", "trl", "datasets", "accelerate", "tokenizers")
TOLERANCE = 0.1
"""Wall time of an arm may differ from the spec's by this share."""
LEAST_GAIN = 20
"""Points that the spec's own arm is meant to gain."""


class Score(NamedTuple):
    """Held-out accuracy and its 95 % interval, shares of 1."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f} ({100 * self.low:.1f} to {100 * self.high:.1f})"


class Result(NamedTuple):
    """One arm of one seed."""

    seed: int
    arm: str
    before: Score
    after: Score
    seconds: float
    """Wall time of the stage `train`."""
    amount: str
    memory: float
    """Peak of the largest process so far, GiB."""

    @property
    def gain(self) -> float:
        """Points."""
        return 100 * (self.after.mean - self.before.mean)


class Plan(NamedTuple):
    """What the arms take from the spec as it is compiled."""

    source: dict[str, Any]
    """The dataset's plugin: `location` and `options`."""
    warmup: dict[str, Any]
    train: dict[str, Any]

    def write_source(self, seed: int) -> str:
        """`--set` value: the spec's data, drawn from another seed."""
        options = {**self.source["options"], "seed": seed}
        given = ", ".join(f"{name}: {json.dumps(value)}" for name, value in options.items())
        return f"word_problems.source=plugin({json.dumps(self.source['location'])}, {given})"

    def write_sft(self, what: str, epochs: float) -> str:
        """`--set` value: supervised fine-tuning in place of `train`, with the warm-up's own settings."""
        optimizer = self.warmup["optimizer"]
        settings = {
            "split": self.warmup["split"],
            "epochs": f"{epochs:.3f}",
            "batch": self.warmup["batch"],
            "optimizer": optimizer["name"],
            **{name: optimizer[name] for name in ("lr", "embed_lr", "warmup_steps", "schedule")},
        }
        given = ", ".join(f"{name}: {value}" for name, value in settings.items())
        return f"quickstart.train=sft({what}, {given})"

    def write_mix(self) -> str:
        """The warm-up's mix, as an argument of `sft`."""
        shares = ", ".join(f"{name}: {100 * share:g}%" for name, share in self.warmup["mix"].items())
        return f"mix: {{ {shares} }}"


class Arm(NamedTuple):
    """What stands in place of the spec's `train`. `write` makes its `--set` values from its length in `unit`."""

    name: str
    unit: str
    write: Callable[[Plan, float], list[str]]


def _vary_grpo(*overrides: str) -> Callable[[Plan, float], list[str]]:
    return lambda _, steps: [*overrides, f"train.steps={round(steps)}"]


ARMS = (
    Arm("ExGRPO, the spec as it is", "steps", _vary_grpo()),
    Arm("ExGRPO, aux: 0", "steps", _vary_grpo("train.aux=0")),
    Arm("ExGRPO, no bonus", "steps", _vary_grpo("exgrpo.bonus=off")),
    Arm("more SFT, the warm-up's mix", "epochs", lambda plan, n: [plan.write_sft(plan.write_mix(), n)]),
    Arm(
        "aux only: SFT on probe turns",
        "epochs",
        lambda plan, n: [plan.write_sft("tutorial, turns: [explain]", n)],
    ),
)


# --- running ----------------------------------------------------------------------------------------------


def call_product(*arguments: str) -> None:
    """`exgrpo ARGUMENTS` in a process of its own."""
    command = [sys.executable, "-m", "exgrpo_dsl.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def read_plan(scratch: Path) -> Plan:
    """Compiles the spec and reads what the arms need."""
    call_product("compile", str(SPEC), "-o", str(scratch))
    manifest = json.loads((scratch / "quickstart" / "manifest.json").read_text(encoding="utf-8"))
    stages = {stage["name"]: stage for stage in manifest["stages"]}
    return Plan(manifest["datasets"]["word_problems"]["source"], stages["warmup"], stages["train"])


def run_spec(plan: Plan, out: Path, seed: int, overrides: Sequence[str], *options: str) -> None:
    """`exgrpo run` on the spec; the seed is that of the data and of all training."""
    values = (f"quickstart.seed={seed}", plan.write_source(seed), *overrides)
    sets = [part for value in values for part in ("--set", value)]
    call_product("run", str(SPEC), "--out", str(out), *sets, *options)


def read_stage(run: Path, name: str) -> dict[str, Any]:
    """done.json of a finished stage."""
    (path,) = (run / "stages").glob(f"[0-9][0-9]-{name}/done.json")
    stage: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stage


def read_score(run: Path, after: str) -> Score:
    """Accuracy of the student that a stage left, as the stage `test` measured it."""
    lines = json.loads((run / "result.json").read_text(encoding="utf-8"))["accuracy"]["test"]
    (line,) = (line for line in lines if line["after"] == after)
    return Score(line["mean"], line["low"], line["high"])


def find_arm_dir(shared: Path, arm: Arm) -> Path:
    """Where the arm of a seed runs."""
    return shared.with_name(f"{shared.name}-{ARMS.index(arm)}")


def run_arm(plan: Plan, shared: Path, arm: Arm, seed: int, amount: float) -> Result:
    """One arm from the shared warm-up on."""
    run = find_arm_dir(shared, arm)
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(shared, run)
    run_spec(plan, run, seed, arm.write(plan, amount), "--resume")
    shown = f"{amount:.0f} steps" if arm.unit == "steps" else f"{amount:.1f} epochs"
    seconds = float(read_stage(run, "train")["seconds"])
    return Result(
        seed, arm.name, read_score(run, "warmup"), read_score(run, "train"), seconds, shown, measure_peak()
    )


def run_seed(plan: Plan, runs: Path, seed: int) -> Iterator[Result]:
    """Every arm of a seed, the spec's own first; arms that an earlier call finished in `runs` are read."""
    shared = runs / f"seed-{seed}"
    run_spec(plan, shared, seed, (), "--stage", "warmup", "--resume")
    own: Result | None = None
    for arm in ARMS:
        kept = find_arm_dir(shared, arm) / "arm.json"
        if kept.is_file():
            result = read_result(kept)
        else:
            result = run_timed_arm(plan, shared, arm, seed, own)
            kept.write_text(json.dumps(result), encoding="utf-8")
        own = own or result
        yield result


def read_result(path: Path) -> Result:
    """A result that an earlier call left."""
    seed, name, before, after, seconds, amount, memory = json.loads(path.read_text(encoding="utf-8"))
    return Result(seed, name, Score(*before), Score(*after), seconds, amount, memory)


def run_timed_arm(plan: Plan, shared: Path, arm: Arm, seed: int, own: Result | None) -> Result:
    """The arm at the wall time of the spec's own; run once more where the first guess of its length is off."""
    if own is None:
        return run_arm(plan, shared, arm, seed, plan.train["steps"])
    amount = plan.train["steps"] if arm.unit == "steps" else guess_epochs(plan, shared, own.seconds)
    result = run_arm(plan, shared, arm, seed, amount)
    if abs(result.seconds / own.seconds - 1) <= TOLERANCE:
        return result
    return run_arm(plan, shared, arm, seed, amount * own.seconds / result.seconds)


def guess_epochs(plan: Plan, shared: Path, seconds: float) -> float:
    """Passes of supervised fine-tuning that take so long, by the pace of the warm-up's steps and its set-up."""
    (metrics,) = (shared / "stages").glob("[0-9][0-9]-warmup/metrics.jsonl")
    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    stepping = sum(float(line["seconds"]) for line in lines)
    set_up = float(read_stage(shared, "warmup")["seconds"]) - stepping
    epochs: float = plan.warmup["epochs"] * (seconds - set_up) / stepping
    return epochs


# --- the page ---------------------------------------------------------------------------------------------


def write_table(results: Sequence[Result]) -> str:
    """The results as a page of Markdown."""
    lines = [
        "# Quickstart: seeds and controls",
        "",
        "Single-turn (`plain`) greedy accuracy on the held-out problems, in per cent with 95 % Wilson intervals, of",
        "the same warmed-up student before and after what stands in place of the stage `train`. A seed is that of",
        "the data and of all training. Written by `python benchmarks/quickstart_seeds.py`.",
        "",
        "| seed | in place of `train` | before | after | gain, points | wall time, s | length |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.seed} | {r.arm} | {r.before} | {r.after} | {r.gain:+.1f} | {r.seconds:.0f} | {r.amount} |"
        for r in results
    ]
    return "\n".join([*lines, "", *summarize(results), "", *describe_machine(results)]) + "\n"


def summarize(results: Sequence[Result]) -> list[str]:
    """What the table says about the spec's own arm and about each control."""
    own = [result for result in results if result.arm == ARMS[0].name]
    apart = [r for r in own if r.gain >= LEAST_GAIN and r.after.low > r.before.high]
    lines = [
        f"The spec gains {LEAST_GAIN} points or more, with intervals that do not overlap, "
        f"in {len(apart)} of {len(own)} seeds.",
        "",
        "Mean gain over the seeds, in points:",
        "",
    ]
    for arm in ARMS:
        gains = [result.gain for result in results if result.arm == arm.name]
        lines.append(f"- {arm.name}: {sum(gains) / len(gains):+.1f}")
    return lines


def measure_peak() -> float:
    """Memory of the largest process that this one has started, GiB."""
    # Linux counts in KiB, macOS in bytes.
    unit = 1024**3 if sys.platform == "darwin" else 1024**2
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit


def describe_machine(results: Sequence[Result]) -> list[str]:
    """Versions and machine, without names."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in VERSIONS)
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    peak = max(result.memory for result in results)
    return [
        f"Python {platform.python_version()}, {versions}; {os.cpu_count()} CPU cores ({platform.machine()}), "
        f"OMP_NUM_THREADS {threads}; largest process {peak:.1f} GiB."
    ]


def main() -> None:
    """Runs it all, printing each result as it comes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--runs",
        type=Path,
        help="Where the runs go and are kept; finished arms in it are read, not run. [default: a temporary directory]",
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="exgrpo-seeds-") as scratch:
        plan = read_plan(Path(scratch) / "spec")
        for seed in options.seeds:
            for result in run_seed(plan, options.runs or Path(scratch), seed):
                results.append(result)
                figures = f"{result.before} -> {result.after} in {result.seconds:.0f} s"
                print(f"seed {seed}  {result.arm:30} {figures}", flush=True)
    page = write_table(results)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
