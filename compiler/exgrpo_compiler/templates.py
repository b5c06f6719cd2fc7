"""Templates: a typed subset of Jinja, checked name by name and attribute by attribute.

Allowed: expressions, `if`, `for` over lists, `set`, the filters of the builtins table, `declassify`, `raw`, comments. Whatever else
Jinja has is refused, since composition is the language's job and a prompt must be readable on its own. Every mistake is
reported at its place inside the string, wherever that string stands. A text is analysed once for the types of its names.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from exgrpo_compiler.ast import Text
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Severity
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.template.findings import Analysis, Finding, Remedy, Replacement
from exgrpo_compiler.template.words import ARGUMENT_HINT, LATEX_HINT, find_argument, find_latex, make_span
from exgrpo_compiler.value_types import Type

Names = Mapping[str, Type]
_PLAIN = Analysis((), frozenset())
_MEMO_SIZE = 4096


def check_template(text: Text, names: Names, problems: Problems, what: str) -> Analysis | None:
    """What the template reads, or None with diagnostics. `what` says which template: "the prompt of `invert`"."""
    if "{" not in text.value:
        return _PLAIN
    analysis = _analyse(text.value, tuple(names.items()))
    for finding in analysis.findings:
        problems.add(_place(finding, text, what))
    return None if any(not finding.is_warning for finding in analysis.findings) else analysis


def _place(finding: Finding, text: Text, what: str) -> Diagnostic:
    fix = None
    if finding.remedy is not None:
        edits = tuple(
            Edit(make_span(text, edit.start, edit.length), edit.text) for edit in finding.remedy.edits
        )
        fix = Fix(finding.remedy.title, edits, finding.remedy.is_safe)
    message = f"{finding.message} in {what}." if finding.is_placed else finding.message
    severity: Severity = "warning" if finding.is_warning else "error"
    return Diagnostic(
        finding.id, severity, message, make_span(text, finding.start, finding.length), (), finding.hint, fix
    )


@lru_cache(_MEMO_SIZE)
def _analyse(text: str, names: tuple[tuple[str, Type], ...]) -> Analysis:
    from exgrpo_compiler.template.check import TemplateChecker
    from exgrpo_compiler.template.flow import FlowFinder
    from exgrpo_compiler.template.syntax import parse_template
    from exgrpo_compiler.template.tokens import TemplateError

    types = dict(names)
    try:
        parsed = parse_template(text)
    except TemplateError as error:
        triple = find_argument(text, error.at)
        if triple is not None and text.startswith("{{{", triple):
            message = "LaTeX's brace and those of the template run into each other."
            remedy = Remedy("put a space between them", (Replacement(triple + 1, 0, " "),))
            return Analysis(
                (Finding("template-syntax", triple, 3, message, ARGUMENT_HINT, remedy),), frozenset()
            )
        latex = find_latex(text, error.at)
        finding = Finding(
            "template-syntax",
            error.at,
            error.length,
            f"This template is malformed: {error.message}.",
            LATEX_HINT if latex else error.hint,
            wrap_latex(text, latex) if latex else None,
        )
        return Analysis((finding,), frozenset())
    checker = TemplateChecker(text, types)
    for refusal in parsed.refusals:
        checker.report("template-construct", *refusal)
    checker.check(parsed.body)
    findings = tuple(sorted(checker.findings, key=lambda finding: finding.start))
    if any(not finding.is_warning for finding in findings):
        return Analysis(findings, checker.used)
    flow = FlowFinder(text, types)
    flow.walk(parsed.body)
    clearances = tuple(flow.clearances[start] for start in sorted(flow.clearances))
    return Analysis(findings, checker.used, flow.reads, clearances)


def wrap_latex(text: str, place: tuple[int, int]) -> Remedy:
    """LaTeX put between `raw` and `endraw`."""
    start, end = place
    written = f"{{% raw %}}{text[start:end]}{{% endraw %}}"
    return Remedy("keep the braces: {% raw %}…{% endraw %}", (Replacement(start, end - start, written),))
