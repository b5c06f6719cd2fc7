r"""The content of `\boxed{…}`, and whether two such contents are mathematically equal.

Equality is math-verify's (symbolic, through sympy), so it needs the extra `math`. What is equal as text or as plain numbers is told
without it; all else is compared in a process that is killed when it takes too long, unless it can be told from the text that it would
(`math_size`). So any text is scored within a second of processor time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from exgrpo_artifact.errors import MissingDependencyError, UndecidedError
from exgrpo_artifact.math_size import find_excess
from exgrpo_artifact.numbers import is_same_number, parse_number

MAX_MATH = 500
"""Characters; a longer answer is compared as text only. Reading alone takes up to a millisecond for each."""

_BRACE = r"\\(?:boxed|fbox) ?\{|\\[{}]|[{}]"


def find_last_boxed(text: str) -> str | None:
    r"""What stands in the last complete `\boxed{…}` (the outermost, where they nest), stripped; None without one.

    >>> find_last_boxed(r"\boxed{1} and \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    """
    starts: list[int | None] = []
    span: tuple[int, int] | None = None
    for match in re.finditer(_BRACE, text):
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
        MissingDependencyError: neither text nor number tells, and math-verify is not installed.
        UndecidedError: it took too long or too much memory to find out, or it can be told from the text that it would;
            or an expression has more than MAX_MATH characters.
    """
    answer, gold = answer.strip(), gold.strip()
    if answer == gold:
        return True
    if max(len(answer), len(gold)) > MAX_MATH:
        raise UndecidedError(f"mathematical answers of more than {MAX_MATH} characters are not compared")
    left, right = parse_number(answer), parse_number(gold)
    if left is not None and right is not None:
        return is_same_number(left, right)
    if _IS_PLAIN.get():
        return False
    require_math()
    for text in (answer, gold):
        excess = find_excess(text)
        if excess is not None:
            raise UndecidedError(f"a mathematical answer {excess}, and is not compared")
    verdict = _compare(answer, gold)
    if isinstance(verdict, str):
        raise UndecidedError(f"the comparison of two mathematical answers {verdict}")
    return verdict


_IS_PLAIN: ContextVar[bool] = ContextVar("is_plain", default=False)


@contextmanager
def compare_plainly() -> Iterator[None]:
    """Mathematical answers are compared as texts and numbers only, inside: no process is started and nothing is needed.

    For looking at a reward on made-up answers, of which it is known that those which look different are.
    """
    token = _IS_PLAIN.set(True)
    try:
        yield
    finally:
        _IS_PLAIN.reset(token)


@lru_cache(maxsize=1)
def has_math() -> bool:
    """Whether math-verify is installed; it is not imported."""
    from importlib.util import find_spec

    try:
        return find_spec("math_verify") is not None
    except ValueError:
        return False


def require_math() -> None:
    """Returns where math-verify is installed.

    Raises:
        MissingDependencyError: it is not.
    """
    if not has_math():
        raise MissingDependencyError(
            "Comparing mathematical answers (math.boxed) needs math-verify. Install it with: pip install 'exgrpo[math]'"
        )


def prepare_comparing() -> None:
    """Starts the process that compares, so that the first comparison need not wait for its imports.

    Raises:
        MissingDependencyError: math-verify is not installed.
    """
    require_math()
    from exgrpo_artifact.math_worker import get_worker

    get_worker().start()


@lru_cache(maxsize=4096)
def _compare(answer: str, gold: str) -> bool | str:
    from exgrpo_artifact.math_worker import get_worker

    return get_worker().compare(answer, gold)
