r"""The content of `\boxed{…}`, and whether two such contents are mathematically equal.

Equality is math-verify's (symbolic, through sympy), so it needs the extra `math`.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

from exgrpo_artifact.errors import MissingDependencyError

MAX_MATH = 1000
"""Characters; a longer answer, like a costly one, equals its own text only."""

_COSTLY = re.compile(r"\^ {0,3}\{? {0,3}[0-9]+ {0,3}\^|\^ {0,3}\{? {0,3}-?[0-9]{4}|[0-9]{3} {0,3}!|! {0,3}!")
"""Towers of powers and large factorials, which sympy would work out digit by digit until memory ends."""

_BRACE = re.compile(r"\\(?:boxed|fbox) ?\{|\\[{}]|[{}]")


def find_last_boxed(text: str) -> str | None:
    r"""What stands in the last complete `\boxed{…}` (the outermost, where they nest), stripped; None without one.

    >>> find_last_boxed(r"\boxed{1} and \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    """
    starts: list[int | None] = []
    span: tuple[int, int] | None = None
    for match in _BRACE.finditer(text):
        token = match.group()
        if token in ("\\{", "\\}"):
            continue
        if token == "}":
            start = starts.pop() if starts else None
            if start is not None:
                span = (start, match.start())
        else:
            starts.append(match.end() if len(token) > 1 else None)
    return (text[span[0] : span[1]].strip() or None) if span is not None else None


def is_same_math(answer: str, gold: str) -> bool:
    """Whether two LaTeX or plain expressions are equal. The order matters to math-verify: the gold one is second here.

    Raises:
        MissingDependencyError: math-verify is not installed.
    """
    parse, verify = _load_math_verify()
    if answer.strip() == gold.strip():
        return True
    if max(len(answer), len(gold)) > MAX_MATH or _COSTLY.search(answer) or _COSTLY.search(gold):
        return False
    # Their time limits rest on signals, which work in no thread but the main one.
    parsed = [parse(f"\\boxed{{{text}}}", parsing_timeout=None) for text in (gold, answer)]
    return bool(all(parsed) and verify(*parsed, timeout_seconds=None))


@lru_cache(maxsize=1)
def _load_math_verify() -> tuple[Any, Any]:
    try:
        from math_verify import parse, verify
    except ImportError as error:
        raise MissingDependencyError(
            "Comparing mathematical answers (math.boxed) needs math-verify. Install it with: pip install 'exgrpo[math]'"
        ) from error
    # They warn that no time limit is set, which is on purpose.
    for name in ("math_verify.parser", "math_verify.grader"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return parse, verify
