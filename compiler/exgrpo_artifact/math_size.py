r"""How much work a LaTeX expression would be, told from its text: what is too much is never handed to math-verify.

Symbolic libraries work out powers and factorials of numbers as they read them, so `9^{9^{9}}` never ends, and their parser of LaTeX
takes seconds for brackets in brackets. The size of a number is its common logarithm. It is bounded from above: a sum by its largest
term, a product or a row of atoms by all of them; names count as 1, so that `x^{2n}` costs nothing.
"""

from __future__ import annotations

import math
import re

MAX_NESTING = 12
"""Brackets in brackets: a fraction in a root in a power takes 3, and from 12 on reading alone takes a second."""
MAX_DIGITS = 100
"""Digits of a number as written: the roots of a longer one may have to be looked for."""
MAX_SIZE = 10_000.0
"""Digits of a number that is worked out: `2^{2024}` has 610, and `1000!` 2,568."""
MAX_TERMS = 3.0
"""Size of the bounds of a sum or a product: 1,000 terms are added within the time limit."""

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|\S", re.DOTALL)
_OPENERS = frozenset(("{", "(", "[", "\\{"))
_CLOSERS = frozenset(("}", ")", "]", "\\}"))
_SEPARATORS = frozenset(
    ("+", "-", "\u2212", ",", ";", "=", "<", ">", "&", "\\\\", "\\pm", "\\cup", "\\cap", "\\in")
)
_BINOMIALS = frozenset(("\\binom", "\\tbinom", "\\dbinom"))
_RANGES = frozenset(("\\sum", "\\prod"))
_MAX_EXPONENT = 6.0
"""Size from which on an exponent or the argument of a factorial is too large for any base."""


def find_excess(text: str) -> str | None:
    r"""Why an expression is not worked out, as a clause about it; None where it may be.

    >>> find_excess(r"\frac{3^{20}}{2\sqrt{5}}") is None
    True
    >>> find_excess("9^{9^{9}}")
    'comes to a number of more than 10,000 digits'
    """
    tokens = _TOKEN.findall(text)
    depth = deepest = 0
    for token in tokens:
        depth = max(0, depth + (token in _OPENERS) - (token in _CLOSERS))
        deepest = max(deepest, depth)
        if token[0].isdecimal() and len(token) > MAX_DIGITS:
            return f"has a number of more than {MAX_DIGITS} digits"
    if deepest > MAX_NESTING:
        return f"has more than {MAX_NESTING} brackets in each other"
    reader = _Reader(tokens)
    size = 0.0
    while not reader.is_at_end:
        size = max(size, reader.read_sum())
    return f"comes to a number of more than {MAX_SIZE:,.0f} digits" if size > MAX_SIZE else None


class _Reader:
    """Sizes of parts, read from left to right; no deeper in calls than brackets are in each other."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._tokens)

    def read_sum(self) -> float:
        """Size of everything up to the bracket that closes it, which is read too."""
        largest = term = 0.0
        count = 1
        while not self.is_at_end:
            token = self._take()
            if token in _CLOSERS:
                break
            if token in _SEPARATORS:
                largest, term, count = max(largest, term), 0.0, count + 1
            else:
                term += self._read_factor(token)
        return max(largest, term) + math.log10(count)

    def _read_factor(self, token: str) -> float:
        """Size of an atom with what is raised to, and its factorials."""
        if token in _RANGES:
            return self._read_range()
        size = self._read_atom(token)
        while not self.is_at_end and self._tokens[self._at] in ("^", "!", "_"):
            sign = self._take()
            if sign == "!":
                size = _apply_factorial(size)
            else:
                size = _raise(size, self._read_power()) if sign == "^" else max(size, self._read_argument())
        return size

    def _read_atom(self, token: str) -> float:
        if token in _OPENERS:
            return self.read_sum()
        if token in _BINOMIALS and not self.is_at_end:
            # n choose k is less than 2 to the n; k follows as a factor of its own.
            return _raise(math.log10(2), self._read_argument())
        return math.log10(int(token.replace(".", "")) or 1) if token[0].isdecimal() else 0.0

    def _read_power(self) -> float:
        """Size of an exponent, which may have one of its own."""
        sizes = [self._read_argument()]
        while not self.is_at_end and self._tokens[self._at] == "^":
            self._at += 1
            sizes.append(self._read_argument())
        size = sizes.pop()
        while sizes:
            size = _raise(sizes.pop(), size)
        return size

    def _read_argument(self) -> float:
        """Size of what `^` or `_` is about: a group or a single atom, with its sign."""
        while not self.is_at_end and self._tokens[self._at] in ("-", "+", "\u2212"):
            self._at += 1
        if self.is_at_end or self._tokens[self._at] in _CLOSERS:
            return 0.0
        return self._read_atom(self._take())

    def _read_range(self) -> float:
        """0, or infinite where a bound of the sum is too large."""
        sizes = [0.0]
        while not self.is_at_end and self._tokens[self._at] in ("^", "_"):
            self._at += 1
            sizes.append(self._read_argument())
        return math.inf if max(sizes) > MAX_TERMS else 0.0

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]


def _raise(base: float, exponent: float) -> float:
    if base == 0:
        # A name, which stays as it is: only its exponent is worked out.
        return exponent
    if exponent > _MAX_EXPONENT:
        return math.inf
    return float(base * 10**exponent)


def _apply_factorial(size: float) -> float:
    """By Stirling's formula: n! is about (n / e)^n times the root of 2 pi n."""
    if size > _MAX_EXPONENT:
        return math.inf
    n = 10**size
    return max(0.0, n * (size - math.log10(math.e)) + 0.5 * math.log10(2 * math.pi * n))
