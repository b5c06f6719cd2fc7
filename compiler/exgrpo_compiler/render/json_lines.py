"""Diagnostics as JSON lines: one Language Server Protocol diagnostic each, with the `uri` of its file.

What the protocol leaves open stands in `data`: the hint, and the edits that mend the problem.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from exgrpo_compiler.diagnostics import Diagnostic, Fix
from exgrpo_compiler.hints import find_hint
from exgrpo_compiler.registry import build_link
from exgrpo_compiler.render.places import build_uri, convert_range

_SEVERITY_NUMBERS = {"error": 1, "warning": 2}


def render_json(diagnostics: Sequence[Diagnostic], base: str = "") -> str:
    """One object a line; an empty text if there is none. Paths below the directory `base` become relative to it."""
    return "".join(
        json.dumps(convert_to_lsp(diagnostic, base), ensure_ascii=False) + "\n" for diagnostic in diagnostics
    )


def convert_to_lsp(diagnostic: Diagnostic, base: str = "") -> dict[str, object]:
    """A Language Server Protocol diagnostic: lines from 0, columns from 0 in UTF-16 units."""
    return {
        "uri": build_uri(diagnostic.span.source.name, base),
        "range": convert_range(diagnostic.span),
        "severity": _SEVERITY_NUMBERS[diagnostic.severity],
        "code": diagnostic.id,
        "codeDescription": {"href": build_link(diagnostic.id)},
        "source": "exgrpo",
        "message": diagnostic.message,
        "relatedInformation": [
            {
                "location": {
                    "uri": build_uri(label.span.source.name, base),
                    "range": convert_range(label.span),
                },
                "message": label.text,
            }
            for label in diagnostic.labels
        ],
        "data": {"hint": find_hint(diagnostic), "fix": _convert_fix(diagnostic.fix, base)},
    }


def _convert_fix(fix: Fix | None, base: str) -> dict[str, object] | None:
    if fix is None:
        return None
    return {
        "title": fix.title,
        "isSafe": fix.is_safe,
        "edits": [
            {
                "uri": build_uri(edit.span.source.name, base),
                "range": convert_range(edit.span),
                "newText": edit.text,
            }
            for edit in fix.edits
        ],
    }
