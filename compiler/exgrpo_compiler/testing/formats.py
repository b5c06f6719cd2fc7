"""Results of tests as text, as one JSON object, and as JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from exgrpo_compiler.render.human import render_human
from exgrpo_compiler.render.json_lines import convert_to_lsp
from exgrpo_compiler.render.places import convert_range
from exgrpo_compiler.testing.describe import describe_failure, locate, summarize_failure
from exgrpo_compiler.testing.expectations import Judged
from exgrpo_compiler.testing.outcome import FileOutcome, count_results
from exgrpo_compiler.testing.run import Result

_RED, _GREEN, _RESET = "\x1b[1;31m", "\x1b[32m", "\x1b[0m"


def render_text(outcomes: tuple[FileOutcome, ...], *, color: bool, seconds: float | None = None) -> str:
    """For a person: a line for each test, more for those that failed, and the counts."""
    lines: list[str] = []
    for outcome in outcomes:
        if outcome.is_broken:
            lines += [render_human(outcome.diagnostics, color), "", f"{outcome.name}: no test was run", ""]
            continue
        if not outcome.results:
            continue
        lines.append(outcome.name)
        for result in outcome.results:
            sign = _paint("pass", _GREEN, color) if result.has_passed else _paint("FAIL", _RED, color)
            lines.append(f"  {sign}  {result.test.title}")
            if not result.has_passed:
                lines += [f"        {line}" for line in describe_failure(result)]
        lines.append("")
    return "\n".join([*lines, _summarize(outcomes, seconds)])


def _paint(text: str, style: str, color: bool) -> str:
    return f"{style}{text}{_RESET}" if color else text


def _summarize(outcomes: tuple[FileOutcome, ...], seconds: float | None) -> str:
    totals = count_results(outcomes)
    number = totals.passed + totals.failed
    parts = [
        f"{number} test{'' if number == 1 else 's'}",
        f"{totals.passed} passed",
        f"{totals.failed} failed",
    ]
    if totals.broken:
        parts.append(f"{totals.broken} file{'' if totals.broken == 1 else 's'} with errors")
    return ", ".join(parts) + (f" in {seconds:.2f} s" if seconds is not None else "")


def build_json(outcomes: tuple[FileOutcome, ...]) -> dict[str, Any]:
    """For a tool; `exgrpo schema test` is its JSON Schema."""
    totals = count_results(outcomes)
    return {
        "passed": totals.passed,
        "failed": totals.failed,
        "broken": totals.broken,
        "files": [
            {
                "uri": outcome.name,
                "diagnostics": [convert_to_lsp(one) for one in outcome.diagnostics],
                "tests": [_build_test(result) for result in outcome.results],
            }
            for outcome in outcomes
        ],
    }


def _build_test(result: Result) -> dict[str, Any]:
    return {
        "title": result.test.title,
        "range": convert_range(result.test.name_span),
        "passed": result.has_passed,
        "expects": [_build_expect(result, judged) for judged in result.judged],
        "scores": {
            key.name: {
                "terms": {term: list(values) for term, values in scores.terms.items()},
                "dropped": list(scores.dropped),
            }
            for key, scores in result.scores.items()
        },
    }


def _build_expect(result: Result, judged: Judged) -> dict[str, Any]:
    source = judged.expect.span
    return {
        "text": source.source.text[source.start : source.end],
        "range": convert_range(source),
        "passed": judged.is_met,
        "failing": [
            {
                "rollout": place,
                "scenario": result.test.group[place].scenario,
                "comparisons": [
                    {"op": one.op, "left": one.left, "right": one.right}
                    for one in judged.mismatches
                    if one.rollout == place
                ],
                "answers": [
                    {"turn": one.turn, "text": one.text, "answer": one.answer, "gold": one.gold}
                    for one in result.answers[place]
                ],
            }
            for place in judged.failing
        ],
    }


def render_json(outcomes: tuple[FileOutcome, ...]) -> str:
    """`build_json` as text."""
    return json.dumps(build_json(outcomes), ensure_ascii=False, indent=2)


# --- JUnit --------------------------------------------------------------------------------------------------


def render_junit(outcomes: Sequence[FileOutcome]) -> str:
    """JUnit XML: a suite for each file, a case for each test; a file with errors is a case with an error."""
    suites = [_build_suite(outcome) for outcome in outcomes]
    totals = count_results(tuple(outcomes))
    head = (
        f'<testsuites name="exgrpo" tests="{totals.passed + totals.failed + totals.broken}" '
        f'failures="{totals.failed}" errors="{totals.broken}">'
    )
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *suites, "</testsuites>", ""])


def _build_suite(outcome: FileOutcome) -> str:
    failed = sum(not result.has_passed for result in outcome.results)
    broken = int(outcome.is_broken)
    name = _quote(outcome.name)
    cases = [_build_case(name, result) for result in outcome.results]
    if outcome.is_broken:
        told = escape(_strip_controls(render_human(outcome.diagnostics, False)))
        cases.append(
            f'    <testcase classname={name} name="check"><error message="the spec has errors">{told}</error></testcase>'
        )
    return "\n".join(
        [
            f'  <testsuite name={name} tests="{len(cases)}" failures="{failed}" errors="{broken}">',
            *cases,
            "  </testsuite>",
        ]
    )


def _build_case(file: str, result: Result) -> str:
    head = f"    <testcase classname={file} name={_quote(result.test.title)}"
    if result.has_passed:
        return head + "/>"
    told = escape(_strip_controls("\n".join([locate(result.test.name_span), *describe_failure(result)])))
    return f"{head}><failure message={_quote(summarize_failure(result))}>{told}</failure></testcase>"


def _quote(text: str) -> str:
    return quoteattr(_strip_controls(text))


def _strip_controls(text: str) -> str:
    """XML 1.0 has no way to write most control characters, or halves of surrogate pairs."""
    return "".join(
        char
        if char in "\t\n" or (char >= " " and not "\ud800" <= char <= "\udfff" and char not in "\ufffe\uffff")
        else "\ufffd"
        for char in text
    )
