"""Time is linear in the length of any text: eight times the text takes at most some ten times as long, never sixty-four.

Ratios of CPU times are compared, and only where the longer text takes long enough to be measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from exgrpo_compiler.parse import parse_expression, parse_spec
from exgrpo_compiler.source import Source

FACTOR = 8
LIMIT = 24
"""Between 8, linear, and 64, quadratic; the middle on a logarithmic scale."""
SIZES = (400, 400 * FACTOR)
MEASURABLE = 0.05

TEXTS: dict[str, Callable[[int], str]] = {
    "unclosed quotes": lambda n: 'a = "\n' * n,
    "quotes on one line": lambda n: '"' * (2 * n + 1),
    "apostrophes": lambda n: "'" * (2 * n + 1),
    "curly quotes": lambda n: "“" * n,
    "backticks": lambda n: "`" * (2 * n + 1),
    "fences": lambda n: '"""' * (2 * n + 1),
    "unclosed fences before declarations": lambda n: 'const a = """\nconst b = 1\n// """\n' * n,
    "fences that never close": lambda n: 'const a = """\n' * (2 * n + 1),
    "spaces": lambda n: " " * (10 * n),
    "line breaks": lambda n: "\n" * (10 * n),
    "strange characters": lambda n: "§" * n,
    "backslashes": lambda n: "\\" * n,
    "a long name": lambda n: "a" * (10 * n),
    "a long number": lambda n: "1" * (10 * n),
    "comments": lambda n: "// x\n" * n,
    "documentation of nothing": lambda n: "/// x\n" * n,
    "open braces": lambda n: "{" * n,
    "closing braces": lambda n: "}" * n,
    "open parentheses": lambda n: "const x = " + "(" * n,
    "closing parentheses": lambda n: "const x = " + ")" * n,
    "open brackets, closing parentheses": lambda n: "const x = " + "[" * n + ")" * n,
    "open parentheses, closing braces": lambda n: "const x = " + "(" * n + "}" * n,
    "open braces, closing parentheses": lambda n: "task t " + "{" * n + ")" * n,
    "open braces, a line each": lambda n: "task t " + "{\n" * n + "x = )\n" * n,
    "nested lists": lambda n: "const x = " + "[" * n + "]" * n,
    "nested blocks": lambda n: "task t {" + "a { " * n + "}" * (n + 1),
    "nested blocks with a mistake in each": lambda n: "task t {" + "a = = 1\nb {\n" * n + "}" * (n + 1),
    "nested records": lambda n: "const x = " + "{ a: " * n + "1" + "}" * n,
    "calls on one line": lambda n: "const x = " + "f(" * n + ")" * n,
    "sums": lambda n: "const x = 1" + " + 1" * n,
    "minus signs": lambda n: "const x = " + "-" * n + "1",
    "attributes": lambda n: "const x = a" + ".b" * n,
    "pipes": lambda n: "const x = a" + " | f" * n,
    "conditionals": lambda n: "const x = " + "a if b else " * n + "c",
    "a list": lambda n: "const x = [" + "1, " * n + "]",
    "a list without commas": lambda n: "const x = [" + "1 " * n + "]",
    "arguments": lambda n: "const x = f(" + "a: 1, " * n + ")",
    "statements": lambda n: "exg 1 task t {" + "a = 1; " * n + "}",
    "statements with a mistake each": lambda n: "exg 1 task t {" + "a = = 1\n" * n + "}",
    "statements with a mistake each, on one line": lambda n: "exg 1 task t {" + "a = = 1; " * n + "}",
    "strange signs and mistakes": lambda n: "exg 1 task t {" + "a = & = # \n" * n + "}",
    "declarations": lambda n: "exg 1\n" + "const a = 1\n" * n,
    "declarations on one line": lambda n: "exg 1 " + "const a = 1 " * n,
    "declarations with a mistake each": lambda n: "exg 1\n" + "const a = = 1\n" * n,
    "declarations with a mistake each, on one line": lambda n: "exg 1 " + "task a { x = = 1 } " * n,
    "declarations with two mistakes each": lambda n: "exg 1\n" + "task a { x = = 1; y = ) }\n" * n,
    "declarations that are not closed": lambda n: "exg 1\n" + "task a {\n" * n,
    "imports": lambda n: "exg 1\n" + "use a.b.{c}\n" * n,
    "imports with a mistake each": lambda n: "exg 1\n" + "use a.{\n" * n,
    "lines that continue the one before": lambda n: "exg 1\ntask t {\n" + "a = b\n(1)\n" * n + "}",
    "words": lambda n: "exg 1 " + "task " * n,
}


def measure(text: str) -> float:
    """CPU seconds."""
    start = time.process_time()
    parse_spec(Source("spec.exg", text, "spec"))
    parse_expression(Source("spec.exg", text, "spec"))
    return time.process_time() - start


@pytest.mark.parametrize("name", TEXTS)
def test_time_is_linear_in_the_length(name: str) -> None:
    texts = [TEXTS[name](size) for size in SIZES]
    small, large = map(measure, texts)
    if large >= MEASURABLE and large / small >= LIMIT:  # a machine may be busy once
        small, large = (min(measure(text) for _ in range(3)) for text in texts)
    assert large < MEASURABLE or large / small < LIMIT, f"{small:.3f} s, {large:.3f} s"


def test_the_measure_above_would_see_a_quadratic_text() -> None:
    def work(size: int) -> float:
        start = time.process_time()
        text = "x" * size
        for at in range(0, size, 10):
            text[at:].count("y")
        return time.process_time() - start

    small, large = work(10_000), work(10_000 * FACTOR)
    assert large / small > LIMIT
