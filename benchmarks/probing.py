"""What asking costs: probes, a storm of 429 and a plan over stored replies, against a server on this machine.

    python benchmarks/probing.py [--peers DIR] [--rounds 5] [--write]

Every program asks the same loopback server, which runs in a process of its own and answers after 50 ms, for the same 2,000
prompts with the same number of requests in flight. CPU time and peak memory are those of the child process, from the kernel.
`--peers DIR`: a directory with virtual environments `data-designer` and `curator`, each with that package.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from tests.support.cli import build_command, build_environment  # noqa: E402
from tests.support.loopback import Loopback, serve_loopback  # noqa: E402
from tests.support.probe_task import write_probe_task  # noqa: E402

ROWS = 2_000
CONCURRENCY = 32
FEW = 8
"""exgrpo and the raw loop are compared with so few in flight too."""
LATENCY_S = 0.05
STORM_RATE = 200.0
"""Requests a second that the storming server takes; as many at once."""
STORED = 10_000
RESULTS = ROOT / "benchmarks" / "results" / "probing.md"
PEERS = {"data-designer": "NeMo Data Designer", "curator": "Curator"}


class Cost(NamedTuple):
    """One run of a child process. `rss` in MiB."""

    cpu_s: float
    rss: float
    wall_s: float


def measure(command: Sequence[str], cwd: Path, env: dict[str, str]) -> Cost:
    """Runs a command to its end."""
    started = time.monotonic()
    with (cwd / "output.txt").open("w") as output:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{(cwd / 'output.txt').read_text()[-3000:]}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, time.monotonic() - started)


def compile_task(directory: Path, num_rows: int, concurrency: int = CONCURRENCY) -> Path:
    """The artifact of a task that asks for so many probes."""
    spec = write_probe_task(directory, num_rows, settings=f"limits {{ concurrency = {concurrency} }}")
    subprocess.run(
        build_command("compile", spec, "-o", "build"),
        cwd=directory,
        env=build_environment(),
        check=True,
        capture_output=True,
    )
    return directory / "build" / "asking"


def write_prompts(directory: Path, server: Loopback) -> Path:
    """The prompts that the server was just asked, one JSON string a line."""
    path = directory / "prompts.jsonl"
    path.write_text("".join(json.dumps(prompt) + "\n" for prompt in server.get("/counts")["counts"]), "utf-8")
    return path


def ask_with_ours(artifact: Path, directory: Path, server: Loopback) -> Cost:
    """The real probe stage, started from a compiled artifact."""
    shutil.rmtree(directory / "out", ignore_errors=True)
    command = build_command("run", artifact, "--out", "out", "--stage", "probe")
    return measure(command, directory, build_environment({"TEACHER_BASE_URL": server.url}))


def ask_with_script(
    python: str, script: str, prompts: Path, directory: Path, server: Loopback, concurrency: int
) -> Cost:
    """A script beside this one, called as `SCRIPT URL PROMPTS OUT CONCURRENCY`."""
    path = ROOT / "benchmarks" / script
    command = [
        python,
        str(path),
        server.url,
        str(prompts),
        str(directory / "replies.jsonl"),
        str(concurrency),
    ]
    env = {**build_environment(), "PYTHONPATH": "", "HOME": str(directory), "OPENAI_API_KEY": "none"}
    env["NEMO_TELEMETRY_ENABLED"] = "false"
    return measure(command, directory, env)


def require_all_asked(server: Loopback, name: str, count: int = ROWS) -> None:
    """Ends the benchmark where a program did not ask for everything."""
    asked = server.get("/counts")["counts"]
    if len(asked) < count:
        raise SystemExit(f"{name} asked for {len(asked)} of {count} prompts")
    server.get("/forget")


def compare_programs(directory: Path, rounds: int, peers: Path | None, concurrency: int) -> list[str]:
    """Lines of the table of programs with so many requests in flight."""
    artifact = compile_task(directory, ROWS, concurrency)
    costs: dict[str, list[Cost]] = {}
    scripts = {"raw httpx loop": (sys.executable, "probing_raw.py"), **find_peers(peers)}
    with serve_loopback(latency_s=LATENCY_S) as server:
        for _ in range(rounds):
            costs.setdefault("exgrpo", []).append(ask_with_ours(artifact, directory, server))
            prompts = write_prompts(directory, server)
            require_all_asked(server, "exgrpo")
            for name, (python, script) in scripts.items():
                cost = ask_with_script(python, script, prompts, directory, server, concurrency)
                costs.setdefault(name, []).append(cost)
                require_all_asked(server, name)
    base = median(cost.cpu_s for cost in costs["raw httpx loop"])
    return [describe_costs(name, found, concurrency, base) for name, found in costs.items()]


def find_peers(peers: Path | None) -> dict[str, tuple[str, str]]:
    """Name -> Python and script, of the peers that are installed below that directory."""
    found = {}
    for folder, name in PEERS.items():
        python = peers / folder / "bin" / "python" if peers is not None else None
        if python is not None and python.exists():
            found[name] = (str(python.absolute()), f"probing_{folder.replace('-', '_')}.py")
    return found


def describe_costs(name: str, found: Sequence[Cost], concurrency: int, base_cpu_s: float) -> str:
    """A line of the table."""
    cpu, wall = median(cost.cpu_s for cost in found), median(cost.wall_s for cost in found)
    rss = median(cost.rss for cost in found)
    per_row = f"{1000 * cpu / ROWS:.2f} | {cpu / base_cpu_s:.2f}"
    return f"| {name} | {concurrency} | {ROWS / wall:.0f} | {per_row} | {rss:.0f} |"


def weather_storm(directory: Path, *, tells_when: bool) -> tuple[float, int]:
    """Seconds of the probe stage, and requests refused, where the server takes so many a second."""
    artifact = compile_task(directory, ROWS)
    with serve_loopback(
        latency_s=LATENCY_S, rate=STORM_RATE, burst=STORM_RATE, tells_when=tells_when
    ) as server:
        ask_with_ours(artifact, directory, server)
        refused = server.get("/counts")["refused"]
        require_all_asked(server, "exgrpo")
    done = json.loads(next((directory / "out" / "stages").glob("*-probe/done.json")).read_text("utf-8"))
    return done["seconds"], refused


def plan_stored(directory: Path, rounds: int) -> list[Cost]:
    """Planning so many probes that are all stored, as a command."""
    artifact = compile_task(directory, STORED)
    with serve_loopback(latency_s=0.0) as server:
        ask_with_ours(artifact, directory, server)
    command = build_command("plan", artifact, "--out", "out")
    return [measure(command, directory, build_environment()) for _ in range(rounds)]


def main() -> None:
    """Measures, prints and, where asked, writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        table = compare_programs(directory, given.rounds, given.peers, CONCURRENCY)
        table += compare_programs(directory, given.rounds, None, FEW)
        missing = [name for name in PEERS.values() if name not in find_peers(given.peers)]
        table += [f"| {name} | not installed | | | | |" for name in missing]
        ideal = (ROWS - STORM_RATE) / STORM_RATE
        storms = [(words, *weather_storm(directory, tells_when=tells)) for words, tells in STORMS.items()]
        plans = plan_stored(directory, given.rounds)
    lines = [
        "| program | in flight | rows/s | CPU-ms per row | of the raw loop | peak MiB |",
        "|---|---|---|---|---|---|",
        *table,
        "",
        "| storm of 429 | seconds | of the ideal | requests refused |",
        "|---|---|---|---|",
        *(f"| {words} | {s:.1f} | {s / ideal:.2f} | {refused} |" for words, s, refused in storms),
        "",
        f"`exgrpo plan` over {STORED:,} stored probes: {median(cost.cpu_s for cost in plans):.2f} s CPU, "
        f"{median(cost.wall_s for cost in plans):.2f} s, {median(cost.rss for cost in plans):.0f} MiB, start of the process included.",
    ]
    print("\n".join(lines))
    if given.write:
        write_results(lines, given.rounds, ideal)


STORMS = {"with Retry-After": True, "without Retry-After": False}


def write_results(lines: Sequence[str], rounds: int, ideal: float) -> None:
    """Writes the page."""
    head = f"""# What probing costs

Written by `python benchmarks/probing.py --peers DIR --rounds {rounds} --write`; medians of {rounds} runs. The machine is shared, so
CPU time says more than rows per second. {ROWS:,} probes, a server in a process of its own that answers
after {1000 * LATENCY_S:.0f} ms. CPU and memory are of the whole child process, from its start to its exit. exgrpo reads the
artifact and the rows, plans, renders, asks, commits every reply before it asks for the next, parses, filters, and writes probes,
a dataset with its card and a report.

The raw loop is `benchmarks/probing_raw.py`: httpx's client as its documentation shows it, and one JSON line for each reply. httpx's
pool looks at all of its connections for every request, which costs the more the busier the machine is; exgrpo gives each connection
a pool of its own.

The storm: the server takes {STORM_RATE:.0f} requests a second, {STORM_RATE:.0f} at once, and refuses the others with 429. The ideal
is {ideal:.1f} s.

"""
    RESULTS.write_text(head + "\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
