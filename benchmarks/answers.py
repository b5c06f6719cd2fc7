r"""Seconds that scoring a megabyte of junk costs with each extractor, beside a plain search of the standard library on the same text.

    python benchmarks/answers.py [--megabytes 1]

Of all kinds of junk the slowest is shown. The baseline is what a grader without any of the checks would do with the same
text: `re.findall` of digits with a sign, of the word, or of the same pattern. The second table shows what `re` takes on
patterns that make it turn back, at a length that it still ends on. The last one (with the extra `math`) is a megabyte that ends in a
`\boxed{…}` which would keep a symbolic library busy, some for ever: seconds by the clock, one after the other, and what became
of it. The processor time of a comparison is limited, so a machine that is busy with something else takes longer by the clock.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from typing import Any

from exgrpo_artifact.answers import answer_matches
from exgrpo_artifact.boxed import compare_plainly, has_math, prepare_comparing
from exgrpo_artifact.errors import UndecidedError
from exgrpo_artifact.manifest import AnswerKind, AnswerSpec
from exgrpo_artifact.regex import compile_regex

JUNK = {
    "letters": "a",
    "digits": "1",
    "numbers": "1 ",
    "commas": "1,",
    "slashes": "1/",
    "fractions": r"\frac{1",
    "vulgar fractions": "\u00bd",
    "boxes": r"\boxed{",
    "empty boxes": r"\boxed{}",
    "parentheses": "(",
    "options": "(A",
    "dashes": "-",
    "blanks": " ",
    "statements": "answer is ",
    "noes": "no ",
    "months": "May ",
    "dates": "1/1/2024",
    "alternating": "ab",
    "digits and dashes": "- 1",
    "fractions of fractions": r"\frac{1}{2} ",
    "wide digits": "\uff19",
    "Arabic digits": "\u0669",
    "boxes of boxes": r"\boxed{\boxed{1}",
}
PATTERN = r"(?i)answer(?: is|:) *\(?([a-z0-9]+)\)?"
Work = Callable[[str], Any]
BASELINES: dict[AnswerKind, tuple[str, Work]] = {
    "number.last": ("re.findall(-?[0-9.,]+)", re.compile(r"-?[0-9.,]+").findall),
    "number.boxed": (r"re.findall(\\boxed{(.*?)})", re.compile(r"\\boxed\{(.*?)\}").findall),
    "math.boxed": (r"re.findall(\\boxed{(.*?)})", re.compile(r"\\boxed\{(.*?)\}").findall),
    "choice.letter": (r"re.findall(\(([A-E])\))", re.compile(r"\(([A-E])\)").findall),
    "yesno.last": (r"re.findall(\b(yes|no)\b)", re.compile(r"\b(yes|no)\b", re.IGNORECASE).findall),
    "date.last": (r"re.findall(\d+/\d+/\d+)", re.compile(r"\d{1,2}/\d{1,2}/\d{4}").findall),
    "text.exact": ("str.strip", str.strip),
    "text.normalized": ("str.lower, str.split", lambda text: text.lower().split()),
    "regex": ("re.findall of the same pattern", re.compile(PATTERN).findall),
}
BOXED = {
    "a tower": "9^{9^{9^9}}",
    "a tower without braces": "9^9^9^9",
    "a large power": "9^{99999999}",
    "a factorial": "99999999!",
    "factorials of factorials": "((5!)!)!",
    "a binomial": r"\binom{100000000}{50000000}",
    "a sum": r"\sum_{n=1}^{1000000000} n^2",
    "a sum without end": r"\sum_{n=1}^{\infty} \frac{1}{n^{\sin n}}",
    "an integral": r"\int_0^1 \sin(x^2)e^{x} dx",
    "brackets": "(" * 200 + "1" + ")" * 200,
    "fractions in fractions": r"\frac{1}{" * 12 + "x" + "}" * 12,
    "a long digit string": "\\sqrt{" + "7" * 400 + "}",
    "wide digits": "\uff19^{\uff19\uff19\uff19\uff19\uff19\uff19\uff19\uff19}",
    "signs": "-" * 490 + "1",
    "names": "x" * 490,
    "indices": "x_{1}" * 95,
    "a product of powers": "(x+y+z)^{60}(x-y)^{60}",
    "a megabyte": "9^" * 500_000,
}
"""What stands in the last box."""
GOLD = {"choice.letter": "A", "yesno.last": "yes", "date.last": "2024-01-01"}
TURNING_BACK = ["(a+)+b", "(?:a|a)*b", "(?:a|aa)*b"]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=1.0)
    size = int(parser.parse_args().megabytes * 1_000_000)
    print(f"{'extractor':16} {'slowest junk':21} {'s/MB':>7}  {'baseline':32} {'s/MB':>7} {'ratio':>6}")
    for kind, (name, baseline) in BASELINES.items():
        spec = AnswerSpec(kind=kind, pattern=PATTERN if kind == "regex" else None)
        seconds, junk = max(
            (measure(lambda text, spec=spec: score(text, spec), make_junk(unit, size)), name)  # type: ignore[misc]
            for name, unit in JUNK.items()
        )
        plain = measure(baseline, make_junk(JUNK[junk], size))
        ratio = seconds / max(plain, 1e-6)
        scale = size / 1_000_000
        print(f"{kind:16} {junk:21} {seconds / scale:7.3f}  {name:32} {plain / scale:7.3f} {ratio:6.1f}")
    print(f"\n{'pattern':16} {'ours, s/MB':>12} {'re, 24 letters':>16}")
    for pattern in TURNING_BACK:
        ours = measure(compile_regex(pattern).find_last, "a" * size)
        theirs = measure(re.compile(pattern).findall, "a" * 24)
        print(f"{pattern:16} {ours / (size / 1_000_000):12.3f} {theirs:16.3f}")
    if has_math():
        print_boxed(size)


def score(text: str, spec: AnswerSpec) -> bool:
    """Whether a text gives an answer; expressions are compared as texts and numbers."""
    with compare_plainly():
        return answer_matches(text, GOLD.get(spec.kind, "18"), spec)


def print_boxed(size: int) -> None:
    """The table of expressions. As in a run, the process that compares is there before it is needed."""
    prepare_comparing()
    spec = AnswerSpec(kind="math.boxed")
    answer_matches(r"\boxed{\sqrt{8}}", r"2\sqrt{2}", spec)
    print(f"\n{'in the last box':26} {'s':>6}  outcome")
    for name, expression in BOXED.items():
        text = make_junk(r"\boxed{9^{9}} \frac{", size - len(expression)) + rf"\boxed{{{expression}}}"
        start = time.perf_counter()
        try:
            outcome = "right" if answer_matches(text, "3", spec) else "wrong"
        except UndecidedError as error:
            outcome = f"failed: {error}"
        print(f"{name:26} {time.perf_counter() - start:6.3f}  {outcome}")


def make_junk(unit: str, size: int) -> str:
    """So many bytes of it."""
    return unit * (size // len(unit.encode()))


def measure(work: Work, text: str) -> float:
    """CPU seconds, the better of two; the texts differ, since what was read last is remembered."""
    times = []
    for first in ("#", "%"):
        own = first + text
        start = time.process_time()
        work(own)
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
