"""Diagnostics as one SARIF 2.1.0 log (OASIS standard, 27 March 2020), which code scanning services read.

A log is valid whatever was found: nothing, warnings, or a file that could not be read as text. The rules are the pages of the
diagnostics that were found, and no others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from exgrpo_artifact.version import VERSION
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix
from exgrpo_compiler.hints import find_hint
from exgrpo_compiler.registry import build_link, find_page
from exgrpo_compiler.render.places import build_region, build_uri
from exgrpo_compiler.source import Span

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_HOME: Final = "https://github.com/exgrpo/exgrpo"
Json = dict[str, object]


def render_sarif(diagnostics: Sequence[Diagnostic], base: str = "") -> str:
    """One document. Paths below the directory `base` become relative to it, as code scanning needs them."""
    ids = tuple(dict.fromkeys(diagnostic.id for diagnostic in diagnostics))
    indices = {id_: index for index, id_ in enumerate(ids)}
    run: Json = {
        "tool": {
            "driver": {
                "name": "exgrpo",
                "version": VERSION,
                "informationUri": _HOME,
                "rules": [_build_rule(id_) for id_ in ids],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True}],
        "results": [_build_result(diagnostic, indices, base) for diagnostic in diagnostics],
    }
    log: Json = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, ensure_ascii=False, indent=2) + "\n"


def _build_rule(id_: str) -> Json:
    page = find_page(id_)
    rule: Json = {"id": id_, "helpUri": build_link(id_)}
    if page is not None:
        rule |= {
            "shortDescription": {"text": page.summary},
            "fullDescription": {"text": page.what},
            "defaultConfiguration": {"level": page.severity},
            "help": {"text": f"{page.what}\n\n{page.why}", "markdown": page.text},
        }
    return rule


def _build_result(diagnostic: Diagnostic, indices: Mapping[str, int], base: str) -> Json:
    hint = find_hint(diagnostic)
    result: Json = {
        "ruleId": diagnostic.id,
        "ruleIndex": indices[diagnostic.id],
        "level": diagnostic.severity,
        "message": {"text": diagnostic.message if hint is None else f"{diagnostic.message} Hint: {hint}"},
        "locations": [{"physicalLocation": _build_place(diagnostic.span, base)}],
    }
    if diagnostic.labels:
        result["relatedLocations"] = [
            {"id": index, "physicalLocation": _build_place(label.span, base), "message": {"text": label.text}}
            for index, label in enumerate(diagnostic.labels)
        ]
    if diagnostic.fix is not None and diagnostic.fix.edits:
        result["fixes"] = [_build_fix(diagnostic.fix, base)]
    return result


def _build_place(span: Span, base: str) -> Json:
    return {"artifactLocation": {"uri": build_uri(span.source.name, base)}, "region": build_region(span)}


def _build_fix(fix: Fix, base: str) -> Json:
    by_file: dict[str, list[Edit]] = {}
    for edit in fix.edits:
        by_file.setdefault(build_uri(edit.span.source.name, base), []).append(edit)
    changes = [
        {
            "artifactLocation": {"uri": uri},
            "replacements": [
                {"deletedRegion": build_region(edit.span), "insertedContent": {"text": edit.text}}
                for edit in edits
            ],
        }
        for uri, edits in by_file.items()
    ]
    return {"description": {"text": fix.title}, "artifactChanges": changes}
