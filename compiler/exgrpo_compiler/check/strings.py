"""Strings that are no templates: `{{` in one is a mistake, and so is a credential in any."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from exgrpo_artifact.record import Record
from exgrpo_compiler.ast import (
    Assign,
    AssistantStep,
    Attribute,
    Decl,
    Expr,
    ForStep,
    Name,
    Ref,
    Stmt,
    Text,
    UserStep,
)
from exgrpo_compiler.check.forms import FORMS
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.program import Key, ModuleAlias, Program
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.template.words import make_span

_TEMPLATE_KEYS = {"probes": "prompt", "dialogue": "system", "rubric": "text"}
_STEPS = frozenset({UserStep, AssistantStep})
_PLAIN = frozenset({str, int, float, bool, type(None), Source, Span, Name})
"""Types of what holds no string of the spec."""
_SUSPECT = re.compile(r"\{\{|@|[?&]\w|\\u")
"""What a declaration's text has where one of its strings may be wrong."""
_CREDENTIAL = re.compile(r"@|[?&]\w|\\u")
"""The same without braces."""
_CREDENTIAL_URL = r"://[^/\s@]*@|[?&](api_?key|key|token|access_token|secret|password)=[^&\s]"
"""Compiled where a string first looks suspect, which most do not."""


def find_template_consts(program: Program) -> frozenset[Key]:
    """The consts that stand for a template somewhere; their texts are checked as templates there."""
    found: set[Key] = set()
    for key, decl in program.decls.items():
        template_key = _TEMPLATE_KEYS.get(decl.kind)
        statements = decl.block.statements if template_key and decl.block is not None else ()
        for value in _find_templates(statements, template_key or ""):
            target: Key | ModuleAlias | None = None
            if isinstance(value, Ref):
                target = program.find(key.module, value.name)
            elif isinstance(value, Attribute) and isinstance(value.value, Ref):
                alias = program.find(key.module, value.value.name)
                target = Key(alias.module, value.name.text) if isinstance(alias, ModuleAlias) else None
            if isinstance(target, Key):
                found.add(target)
    return frozenset(found)


def _find_templates(statements: Iterable[Stmt], template_key: str) -> Iterator[Expr]:
    for statement in statements:
        if isinstance(statement, ForStep):
            yield from _find_templates(statement.block.statements, template_key)
        elif isinstance(statement, Assign) and statement.path[0].text != template_key:
            continue
        elif isinstance(statement, Assign | UserStep | AssistantStep) and statement.value is not None:
            yield statement.value


def check_strings(
    decl: Decl, problems: Problems, *, is_template_const: bool = False, is_overridden: bool = False
) -> None:
    """Reports `template-in-string` and `secret-in-spec` in a declaration; one that is overridden has strings from elsewhere."""
    if not is_overridden and (
        not _SUSPECT.search(decl.span.source.text, decl.span.start, decl.span.end) or _is_plain(decl)
    ):
        return
    for text, is_template in _find_texts(decl, decl.kind):
        at = text.value.find("{{")
        if at >= 0 and not is_template and not is_template_const:
            problems.error(
                "template-in-string",
                make_span(text, at, 2),
                "This string is no template, so `{{` would stand in it as it is.",
                hint="templates are `prompt`, `system`, `user`, `assistant` and a rubric's `text`",
            )
        credential = re.search(_CREDENTIAL_URL, text.value, re.IGNORECASE)
        if credential:
            start = credential.start()
            if text.value[start] == ":":
                start = _find_scheme(text.value, start)
            problems.error(
                "secret-in-spec",
                make_span(text, start, credential.end() - start),
                "This URL holds a credential, which must not stand in a spec.",
                hint='name an environment variable: base_url: env("TEACHER_BASE_URL")',
            )


def _is_plain(decl: Decl) -> bool:
    """Whether all that is suspect are braces in templates, where they belong; told without a look at every string."""
    text, start, end = decl.span.source.text, decl.span.start, decl.span.end
    if _CREDENTIAL.search(text, start, end) or decl.block is None:
        return False
    templates = [
        value.span
        for value in _find_templates(decl.block.statements, _TEMPLATE_KEYS.get(decl.kind, ""))
        if type(value) is Text
    ]
    for span in sorted(templates, key=lambda span: span.start):
        if text.find("{{", start, span.start) >= 0:
            return False
        start = span.end
    return text.find("{{", start, end) < 0


def _find_scheme(text: str, end: int) -> int:
    """Where the word before `://` begins."""
    while end > 0 and (text[end - 1].isalnum() or text[end - 1] in "+.-"):
        end -= 1
    return end


def _is_template_path(assign: Assign, kind: str) -> bool:
    """Whether a template stands at the left of `=`; in a variant, a path such as `ask.prompt` leads to one.

    What a key that is not there was meant for is not known; that it is not there is said elsewhere.
    """
    if len(assign.path) > 1:
        return assign.path[-1].text in _TEMPLATE_KEYS.values()
    key = assign.path[0].text
    return kind in _TEMPLATE_KEYS and (key == _TEMPLATE_KEYS[kind] or key not in FORMS[kind].keys)


def _find_texts(root: Record, decl_kind: str) -> Iterator[tuple[Text, bool]]:
    """Every string below a node, and whether it is the whole value of a template's place."""
    todo: list[tuple[Any, bool]] = [(root, False)]
    while todo:
        node, is_template = todo.pop()
        kind = type(node)
        if kind is Text:
            yield node, is_template
        elif kind is tuple:
            todo.extend((item, False) for item in reversed(node) if type(item) not in _PLAIN)
        else:
            is_place = kind in _STEPS or (kind is Assign and _is_template_path(node, decl_kind))
            for name in reversed(kind.record_fields):
                value = getattr(node, name)
                if type(value) not in _PLAIN:
                    todo.append((value, is_place and name == "value"))
