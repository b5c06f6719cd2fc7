"""What a spec means, as one hash: the same for two texts that differ in layout and comments only.

For a file with tasks it is made from their artifacts: the hashes of the layers data, prompts, reward and train of every task, by
the task's name. They hold what was lowered and nothing of the text that it was lowered from. For a library, which has no task, it
is made from the syntax trees of its declarations and of the files that it imports, by name, so that their order does not matter.
Documentation counts where a prompt can hold it: that of a rule (`rule.doc`) and of a field that a teacher yields.
"""

from __future__ import annotations

import json
from typing import Any

from exgrpo_artifact.canonical import hash_value
from exgrpo_artifact.record import Record, get_fields, replace
from exgrpo_artifact.storage import MANIFEST
from exgrpo_compiler.ast import Decl, SpecFile, YieldField
from exgrpo_compiler.diagnostics import Outcome, has_errors
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.pipeline import check_spec, compile_spec
from exgrpo_compiler.program import Load
from exgrpo_compiler.resolve import resolve_program
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.tree_shape import strip_places


def compute_semantic_hash(source: Source, load: Load) -> Outcome[str]:
    """64 hex digits, or no value where the spec holds errors."""
    checked = check_spec(source, load)
    if checked.value is None or has_errors(checked.diagnostics):
        return Outcome(None, checked.diagnostics)
    if not checked.value.program.tasks:
        return Outcome(hash_value(_describe_library(source, load)), checked.diagnostics)
    compiled = compile_spec(source, load)
    assert compiled.value is not None
    layers = {name: json.loads(files[MANIFEST])["hashes"] for name, files in compiled.value.items()}
    return Outcome(hash_value({"tasks": layers}), checked.diagnostics)


def _describe_library(source: Source, load: Load) -> dict[str, Any]:
    resolved = resolve_program(source, load, parse_spec)
    assert resolved.value is not None
    modules = resolved.value.modules
    return {"library": {name: _describe_file(module.spec) for name, module in modules.items()}}


def _describe_file(spec: SpecFile) -> dict[str, Any]:
    return {
        "edition": spec.edition,
        "uses": sorted(repr(strip_places(use)) for use in spec.uses),
        "declarations": sorted(repr(strip_places(_drop_docs(decl))) for decl in spec.decls),
    }


def _drop_docs(node: Any) -> Any:
    """A tree without the documentation that reaches no prompt."""
    if isinstance(node, tuple):
        return tuple(map(_drop_docs, node))
    if not isinstance(node, Record) or isinstance(node, Span):
        return node
    is_read = isinstance(node, YieldField) or (isinstance(node, Decl) and node.kind == "rule")
    fields = {name: _drop_docs(getattr(node, name)) for name in get_fields(type(node))}
    if "doc" in fields and not is_read:
        fields["doc"] = ""
    return replace(node, **fields)
