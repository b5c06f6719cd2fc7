"""A failed test in words: which expectation, at which rollouts, what every term came to, what was read from the texts.

FAIL  right answers earn one
      spec.exg:31:3  expect score.total == [1, 1]
        score.total is [1, 0]
        rollout 2 `plain`: expected 1, got 0
          outcome 0 · total 0
          final: "The answer is 5." gives 5, gold is 4
"""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_compiler.source import Span
from exgrpo_compiler.testing.expectations import Judged, Mismatch, Number
from exgrpo_compiler.testing.run import ReadAnswer, Result

_MAX_TEXT = 90
_OPS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def describe_failure(result: Result) -> list[str]:
    """Lines about every expectation that is not met."""
    return [line for judged in result.judged if not judged.is_met for line in _describe(result, judged)]


def summarize_failure(result: Result) -> str:
    """One line about the first expectation that is not met."""
    judged = next(one for one in result.judged if not one.is_met)
    place = judged.failing[0]
    mismatch = next((one for one in judged.mismatches if one.rollout == place), None)
    where = f"rollout {place + 1} ({result.test.group[place].scenario})"
    return f"{quote_source(judged.expect.span)}: {where}{f', {_explain(mismatch)}' if mismatch else ''}"


def _describe(result: Result, judged: Judged) -> list[str]:
    lines = [f"{locate(judged.expect.span)}  {quote_source(judged.expect.span)}"]
    lines += [f"  {quote_source(span)} is {show_column(values)}" for span, values in judged.values]
    for place in judged.failing:
        mismatches = [one for one in judged.mismatches if one.rollout == place]
        told = "; ".join(_explain(one) for one in mismatches) or "it does not hold"
        lines.append(f"  rollout {place + 1} `{result.test.group[place].scenario}`: {told}")
        lines += [f"    {line}" for line in _describe_rollout(result, place)]
    return lines


def _describe_rollout(result: Result, place: int) -> list[str]:
    lines: list[str] = []
    for key, scores in result.scores.items():
        prefix = f"{key.name}: " if len(result.scores) > 1 else ""
        terms = " · ".join(f"{term} {show_number(values[place])}" for term, values in scores.terms.items())
        lines.append(prefix + terms)
        dropped = scores.dropped[place]
        if dropped is not None:
            lines.append(f"{prefix}dropped: {dropped}")
    return lines + [_describe_answer(answer) for answer in result.answers[place]]


def _describe_answer(answer: ReadAnswer) -> str:
    found = "gives no answer" if answer.answer is None else f"gives {answer.answer}"
    gold = "" if answer.gold is None else f", gold is {answer.gold}"
    return f"{answer.turn}: {show_text(answer.text)} {found}{gold}"


def _explain(mismatch: Mismatch) -> str:
    left, right = show_number(mismatch.left), show_number(mismatch.right)
    if mismatch.op == "eq":
        return f"expected {right}, got {left}"
    return f"expected {left} {_OPS[mismatch.op]} {right}"


def locate(span: Span) -> str:
    """`file:line:column`."""
    position = span.source.locate(span.start)
    return f"{span.source.name}:{position.line}:{position.column}"


def quote_source(span: Span) -> str:
    """What stands at a place, on one line."""
    text = " ".join(span.source.text[span.start : span.end].split())
    return text if len(text) <= 2 * _MAX_TEXT else text[: 2 * _MAX_TEXT - 1] + "…"


def show_column(values: Sequence[Number]) -> str:
    """Values of all rollouts as a list."""
    return f"[{', '.join(show_number(value) for value in values)}]"


def show_number(value: Number) -> str:
    """A number as an author would write it, `_` where there is none.

    >>> show_number(1.0), show_number(0.1 + 0.2), show_number(None)
    ('1', '0.3', '_')
    """
    return "_" if value is None else f"{value:.12g}"


def show_text(text: str) -> str:
    """A text in quotes, on one line and shortened; control characters are shown as `?`."""
    flat = "".join(char if char.isprintable() else " " if char.isspace() else "?" for char in text)
    return (
        f'"{flat}"' if len(flat) <= _MAX_TEXT else f'"{flat[: _MAX_TEXT // 2]} … {flat[-_MAX_TEXT // 3 :]}"'
    )
